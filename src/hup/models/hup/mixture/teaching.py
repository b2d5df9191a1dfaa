"""How the order of candidates is learned: once, with the weights that training ended with.

How long is learned, and how far the order is followed, is chosen by folds of validation sessions: each is judged by
what was learned from the others, and from training sessions where these help. Where nothing is gained that way the
order is not followed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.dataset import Dataset
from hup.models.hup.mixture.lessons import Lesson, Profiles, of_training, of_validation
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.reranking import HIDDEN
from hup.models.hup.mixture.weights import likely_mean
from hup.nn.reranker import Reranker

#: What is tried of the strength of the learned order.
RERANKINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
FOLDS = 4
_FEWEST_PASSES, _MOST_PASSES, _STEPS = 10, 24, 500  # over the lessons: a few of them want more
_SMALLEST_BATCH, _LARGEST_BATCH, _BATCHES = 32, 128, 32
_RATE, _DECAY = 0.006, 0.01
_AVERAGED = 0.99  # of the weights, over steps
_SURE = 1.0  # standard errors that the gain must be above nothing


def teach(
    network: MixtureNetwork,
    profiles: Profiles,
    dataset: Dataset,
    *,
    prefixes: float,
    neighbors: int,
    most_sessions: int | None,
    seed: int,
) -> None:
    """Teach a network's orders, that of the items first, and choose how far each is followed.

    Parameters
    ----------
    network : MixtureNetwork
        Its rerankers are changed, and ``reranking`` of their levels' weights; 0 where there is nothing to learn from.
    profiles : callable
    dataset : Dataset
        Its validation split is learned from, and the late part of training where that is short.
    prefixes : float
        Share of the weight that all queries have; the ends of sessions have the rest.
    neighbors : int
        Neighbours of a code that are kept.
    most_sessions : int or None
        Most validation sessions to learn from, evenly spaced; never more than 4,000.
    seed : int
    """
    network.leave_orders()
    for level in network.ordered:
        asked = of_validation(network, level, profiles, dataset, prefixes, most_sessions)
        if asked is not None:
            more = of_training(network, level, dataset, prefixes, neighbors)
            network.weigh(level, reranking=_taught(network.reranker(level), asked, more, seed))


def _taught(reranker: Reranker, asked: Lesson, more: Lesson | None, seed: int) -> float:
    """Teach an order by validation sessions, and by others; tell how far it is to be followed."""
    reranker.settle(asked.signals.flatten(0, 1))
    lesson = Lesson.of([some.made_comparable(reranker) for some in (asked, more) if some is not None])
    judged = _judged(lesson, len(asked.column), seed)
    likelihoods = judged.sum(axis=2)
    passes = int(likelihoods.max(axis=1).argmax())
    gains = judged[passes, likelihoods[passes].argmax()] - judged[passes, 0]
    if gains.sum() <= _SURE * gains.std() * np.sqrt(len(gains)):
        return 0.0
    *_, learned = _learned(lesson, torch.arange(len(lesson.column)), seed, passes + 1)
    for kept, value in zip(reranker.layers.parameters(), learned.layers.parameters(), strict=True):
        kept.data.copy_(value)
    return likely_mean(likelihoods[passes], RERANKINGS)[0]


def batch_of(n_queries: int) -> int:
    """Tell how many queries a step takes, of so many that are learned from."""
    return min(max(n_queries // _BATCHES, _SMALLEST_BATCH), _LARGEST_BATCH)


def most_passes(n_queries: int) -> int:
    """Tell how often all is gone through, at most: some hundreds of steps, while it is not too often."""
    steps = max(1, n_queries // batch_of(n_queries))
    return min(max(_STEPS // steps, _FEWEST_PASSES), _MOST_PASSES)


def _judged(lesson: Lesson, n_asked: int, seed: int) -> NDArray[np.float64]:
    """Sum the likelihood of each validation session's targets, ``(passes, strengths, sessions)``.

    By what the other folds of these sessions, the first ``n_asked`` queries of the lesson, and all other queries teach.
    """
    rows, passes = torch.arange(len(lesson.column)), most_passes(len(lesson.column))
    sessions, place = lesson.session[:n_asked].cpu().unique(return_inverse=True)  # may be every fourth of the split
    fold_of = torch.cat([place % FOLDS, torch.full((len(rows) - n_asked,), -1)])
    judged = lesson.weight.new_zeros(passes, len(RERANKINGS), len(sessions), dtype=torch.float64)
    for fold in range(FOLDS):
        left_out = rows[fold_of == fold]
        if len(left_out) in (0, n_asked):
            continue
        of_session = place[left_out].to(judged.device)
        for number, learned in enumerate(_learned(lesson, rows[fold_of != fold], seed, passes)):
            blocks = zip(left_out.split(_LARGEST_BATCH), of_session.split(_LARGEST_BATCH), strict=True)
            for asked, of_these in blocks:
                some = lesson.of_queries(asked.to(judged.device))
                with torch.no_grad():
                    said = learned.of_comparable(some.signals)
                    for column, strength in enumerate(RERANKINGS):
                        judged[number, column].index_add_(0, of_these, some.likelihood(said, strength).double())
    summed: NDArray[np.float64] = judged.cpu().numpy()
    return summed


def _learned(lesson: Lesson, rows: Tensor, seed: int, passes: int) -> Iterator[Reranker]:
    """Descend the negative log-likelihood of some targets; after every pass give a mean of the weights so far."""
    signals, batch = lesson.signals, batch_of(len(rows))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean = Reranker(signals.shape[2], HIDDEN).to(signals.device)
    student = copy.deepcopy(mean)
    learned = list(student.layers.requires_grad_().parameters())
    optimizer = torch.optim.AdamW(learned, lr=_RATE, weight_decay=_DECAY, fused=True)
    generator, step = torch.Generator().manual_seed(seed), 0
    for _ in range(passes):
        for some_rows in rows[torch.randperm(len(rows), generator=generator)].to(signals.device).split(batch):
            optimizer.zero_grad()
            some = lesson.with_some(some_rows, generator)
            (-some.likelihood(student.of_comparable(some.signals), 1.0).mean()).backward()
            optimizer.step()
            step += 1
            share = max(1 - _AVERAGED, 1 / (step + 1))
            for kept, value in zip(mean.layers.parameters(), learned, strict=True):
                kept.data.lerp_(value.detach(), share)
        yield mean
