"""How the order of candidates is learned: from the validation split, once, with the weights that training ended with.

Training sessions cannot teach it. The pyramid has learned them, and they are part of all that is counted: there both
look better than they are, and an order learned there trusts them too much. Sessions of the validation split are
described as those to come will be. How long is learned, and how far the order is followed, is chosen by folds of these
sessions: each is judged by what was learned from the others. Where the gain may be luck, as with a hundred sessions it
may, the order is not followed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.data.dataset import Dataset
from hup.models.hup.mixture.likelihood import Followed
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.probabilities import Probabilities
from hup.models.hup.mixture.reranking import HIDDEN
from hup.models.hup.mixture.visits import joined, last_runs, run_table, spread
from hup.models.hup.mixture.weights import likely_mean
from hup.nn.devices import placed
from hup.nn.reranker import Reranker
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.levels import ITEM, Level
from hup.sessions.runs import runs_of

#: What is tried of the strength of the learned order.
RERANKINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
FOLDS = 4
_FEWEST_PASSES, _MOST_PASSES, _STEPS = 10, 24, 500  # over the lessons: a few of them want more
_SESSIONS, _QUERIES, _QUERIES_EACH = 4_000, 20_000, 10  # at most
_SMALLEST_BATCH, _LARGEST_BATCH, _BATCHES = 32, 128, 32
_LIKELIEST, _DRAWN = 16, 24  # candidates that a step learns from
_RATE, _DECAY = 0.006, 0.01
_AVERAGED = 0.99  # of the weights, over steps
_SURE = 3.0  # standard errors that the gain must be above nothing: it is the best of many that were tried
_SCORES_PER_BLOCK = 1 << 22

Ints = NDArray[np.int64]
#: Takes histories and events of them, ``(Q,)`` int64, and gives the profiles of the item level there, ``(Q, d)``.
ItemProfiles = Callable[[Histories, Tensor], Tensor]


@dataclass(frozen=True)
class Lesson:
    """Candidates of ``Q`` queries whose target is among them.

    Attributes
    ----------
    logarithm : Tensor
        ``(Q, M)``, of the probability of each candidate before they are ranked anew.
    signals : Tensor
        ``(Q, M, F)``; they are made comparable before they are learned from.
    column : Tensor
        ``(Q,)`` int64, place of the target.
    weight : Tensor
        ``(Q,)``.
    session : Tensor
        ``(Q,)`` int64, which session it is of.
    """

    logarithm: Tensor
    signals: Tensor
    column: Tensor
    weight: Tensor
    session: Tensor

    @property
    def batch(self) -> int:
        """Queries of a step."""
        return min(max(len(self.column) // _BATCHES, _SMALLEST_BATCH), _LARGEST_BATCH)

    @property
    def passes(self) -> int:
        """How often all is gone through, at most: some hundreds of steps, while it is not too often."""
        steps = max(1, len(self.column) // self.batch)
        return min(max(_STEPS // steps, _FEWEST_PASSES), _MOST_PASSES)

    def of_queries(self, queries: Tensor) -> Self:
        """Take some queries, by row or by mask."""
        parts = (self.logarithm, self.signals, self.column, self.weight, self.session)
        return type(self)(*(part[queries] for part in parts))

    def with_some(self, rows: Tensor, generator: torch.Generator) -> Self:
        """Take some queries, each with its target, its likeliest candidates and some drawn from the others.

        Each of the drawn stands for as many as were left out for it, so the likelihood is about that of all candidates,
        at less than half of the work. As others are drawn every time, no less is learned.
        """
        n_candidates = self.logarithm.shape[1]
        likeliest = min(_LIKELIEST, n_candidates)
        drawn = likeliest + torch.randperm(n_candidates - likeliest, generator=generator)[:_DRAWN]
        column = torch.cat([torch.arange(likeliest), drawn]).to(rows.device)
        each = self.logarithm.new_zeros(1 + len(column))
        if len(drawn):
            each[1 + likeliest :] = np.log((n_candidates - likeliest) / len(drawn))
        target = self.column[rows, None]
        columns = torch.cat([target, column.expand(len(rows), -1)], dim=1)
        again = columns == target
        again[:, 0] = False
        at = (n_candidates * rows[:, None] + columns).flatten()
        logarithm = self.logarithm.flatten().index_select(0, at).view(columns.shape) + each
        signals = self.signals.flatten(0, 1).index_select(0, at).unflatten(0, columns.shape)
        logarithm = logarithm.masked_fill(again, -torch.inf)
        return type(self)(logarithm, signals, torch.zeros_like(rows), self.weight[rows], self.session[rows])

    def likelihood(self, said: Tensor, strength: float) -> Tensor:
        """Logarithm of the probability that each target has among its candidates, ``(Q,)``, weighed."""
        logits = self.logarithm + strength * said
        return -self.weight * functional.cross_entropy(logits, self.column, reduction="none")


def teach(
    network: MixtureNetwork,
    profiles: ItemProfiles,
    dataset: Dataset,
    *,
    prefixes: float,
    most_sessions: int | None,
    seed: int,
) -> None:
    """Teach a network's reranker, and choose how far it is followed.

    Parameters
    ----------
    network : MixtureNetwork
        Its reranker is changed, and the weight ``reranking`` of the item level; 0 where there is nothing to learn from.
    profiles : callable
    dataset : Dataset
        Its validation split is learned from.
    prefixes : float
        Share of the weight that all queries have; the ends of sessions have the rest.
    most_sessions : int or None
        Most sessions to learn from, evenly spaced; never more than 4,000.
    seed : int
    """
    reranker = network.reranker
    assert reranker is not None
    network.weigh(ITEM, reranking=0.0)
    lesson = _lesson(network, profiles, dataset, prefixes, most_sessions)
    if lesson is None:
        return
    reranker.settle(lesson.signals.flatten(0, 1))
    for some in lesson.signals.split(_LARGEST_BATCH):  # in place: all of them may be half a gigabyte
        some.copy_(reranker.comparable(some))
    judged = _judged(lesson, seed)
    likelihoods = judged.sum(axis=2)
    passes = int(likelihoods.max(axis=1).argmax())
    gains = judged[passes, likelihoods[passes].argmax()] - judged[passes, 0]
    if gains.sum() <= _SURE * gains.std() * np.sqrt(len(gains)):
        return
    *_, learned = _learned(lesson, seed, lesson.batch, passes + 1)
    for kept, value in zip(reranker.layers.parameters(), learned.layers.parameters(), strict=True):
        kept.data.copy_(value)
    network.weigh(ITEM, reranking=likely_mean(likelihoods[passes], RERANKINGS)[0])


def _judged(lesson: Lesson, seed: int) -> NDArray[np.float64]:
    """Sum the likelihood of each session's targets by what the other folds teach, ``(passes, strengths, sessions)``."""
    sessions, place = lesson.session.unique(return_inverse=True)  # they may be every fourth of the split
    judged = lesson.weight.new_zeros(lesson.passes, len(RERANKINGS), len(sessions), dtype=torch.float64)
    for fold in range(FOLDS):
        left_out = place % FOLDS == fold
        if left_out.all() or not left_out.any():
            continue
        others, of_session = lesson.of_queries(left_out), place[left_out]
        taught = _learned(lesson.of_queries(~left_out), seed, lesson.batch, lesson.passes)
        for number, learned in enumerate(taught):
            with torch.no_grad():
                said = torch.cat([learned.of_comparable(some) for some in others.signals.split(_LARGEST_BATCH)])
                for column, strength in enumerate(RERANKINGS):
                    judged[number, column].index_add_(0, of_session, others.likelihood(said, strength).double())
    summed: NDArray[np.float64] = judged.cpu().numpy()
    return summed


def _lesson(
    network: MixtureNetwork, profiles: ItemProfiles, dataset: Dataset, prefixes: float, most_sessions: int | None
) -> Lesson | None:
    """Look at validation sessions; None where no target is among the candidates."""
    sessions = np.asarray(dataset.sessions("validation"), dtype=np.int64)
    most = min(len(sessions), most_sessions or len(sessions), _SESSIONS)
    if not most:
        return None
    sessions = sessions[np.arange(most) * len(sessions) // most]
    each = min(_QUERIES_EACH, max(1, _QUERIES // most))
    at_once = max(1, _SCORES_PER_BLOCK // (network.co_visits[ITEM].size * each))
    blocks = (sessions[start : start + at_once] for start in range(0, most, at_once))
    parts = [_looked_at(network, profiles, dataset, block, each) for block in blocks]
    is_end = torch.cat([part.weight for part in parts])
    if not len(is_end):
        return None
    return Lesson(
        logarithm=torch.cat([part.logarithm for part in parts]),
        signals=torch.cat([part.signals for part in parts]),
        column=torch.cat([part.column for part in parts]),
        weight=prefixes + (1 - prefixes) * is_end / is_end.mean().clamp(min=1 / len(is_end)),
        session=torch.cat([part.session for part in parts]),
    )


def _looked_at(network: MixtureNetwork, profiles: ItemProfiles, dataset: Dataset, sessions: Ints, each: int) -> Lesson:
    """Look at some sessions, each at its end, where the weight is 1, and at some runs before, where it is 0."""
    histories, targets = histories_and_targets(dataset, sessions)
    table = run_table(histories, network.n_behaviors)
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    queries = spread(table.offsets, each)
    wide = network.with_earlier(table, histories)
    asked = Followed.of(table, whole, ITEM).at(queries)
    with torch.inference_mode():
        answer = network.answer(ITEM, wide, network.visits(wide, ITEM, np.flatnonzero(wide.is_now)[queries]))
        at_queries: dict[Level, Tensor] = {}
        if network.has_profile:
            at_queries[ITEM] = profiles(histories, runs_of(histories, ITEM).last[torch.from_numpy(queries)])
        current = placed(asked.current, network.weights)
        candidates = Probabilities(network, {ITEM: answer}, at_queries, current).candidates
    hit = candidates.code == placed(asked.code, network.weights).unsqueeze(1)
    there = hit.any(dim=1)
    is_end = placed(np.isin(queries, last_runs(table)).astype(np.float32), network.weights)
    session = placed(sessions[asked.session], network.weights)
    column = hit[there].long().argmax(dim=1)
    return Lesson(candidates.logarithm[there], candidates.signals[there], column, is_end[there], session[there])


def _learned(lesson: Lesson, seed: int, batch: int, passes: int) -> Iterator[Reranker]:
    """Descend the negative log-likelihood of the targets; after every pass give a mean of the weights so far."""
    signals = lesson.signals
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean = Reranker(signals.shape[2], HIDDEN).to(signals.device)
    student = copy.deepcopy(mean)
    learned = list(student.layers.requires_grad_().parameters())
    optimizer = torch.optim.AdamW(learned, lr=_RATE, weight_decay=_DECAY, fused=True)
    generator, step = torch.Generator().manual_seed(seed), 0
    for _ in range(passes):
        for rows in torch.randperm(len(lesson.column), generator=generator).to(signals.device).split(batch):
            optimizer.zero_grad()
            some = lesson.with_some(rows, generator)
            (-some.likelihood(student.of_comparable(some.signals), 1.0).mean()).backward()
            optimizer.step()
            step += 1
            share = max(1 - _AVERAGED, 1 / (step + 1))
            for kept, value in zip(mean.layers.parameters(), learned, strict=True):
                kept.data.lerp_(value.detach(), share)
        yield mean
