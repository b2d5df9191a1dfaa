"""How the order of candidates is learned: on sessions that are left out of the counts that describe them.

In training of the mixture a session's own counts are taken away where it asks. A network that sees all counts at once
would learn to find what was taken away. So it learns in rounds, one after each epoch, each from another fold of the
newest training sessions, described by what is counted in all other sessions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.mixture.answer import Counts
from hup.models.hup.mixture.co_visits import count_co_visits
from hup.models.hup.mixture.counted import counted_probabilities
from hup.models.hup.mixture.likelihood import Followed
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.reranking import Candidates
from hup.models.hup.mixture.visits import joined, last_runs, run_table, spread
from hup.nn.devices import placed
from hup.nn.reranker import Reranker
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM, ragged_arange
from hup.sessions.runs import training_runs

FOLDS = 5
_NEWEST = 40_000  # sessions to learn from, in all folds
_QUERIES = 5_000  # about so many of a round
_PASSES = 3
_BATCH = 128
_RATE, _DECAY = 0.003, 0.01
_AVERAGED = 0.995  # of the weights, over steps
_SCORES_PER_BLOCK = 1 << 22

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Lesson:
    """Candidates of queries whose target is among them.

    Attributes
    ----------
    candidates : Candidates
    column : Tensor
        ``(Q,)`` int64, place of the target.
    is_end : Tensor
        ``(Q,)`` bool, the query stands at its session's end.
    """

    candidates: Candidates
    column: Tensor
    is_end: Tensor


def teach(network: MixtureNetwork, reranker: Reranker, dataset: Dataset, config: Config) -> None:
    """Teach the next round.

    Parameters
    ----------
    network : MixtureNetwork
        Its mixture of the item level describes the sessions.
    reranker : Reranker
        It is changed.
    dataset : Dataset
        Its training split is learned from.
    config : Config
    """
    fold = int(reranker.rounds) % FOLDS
    train = np.asarray(dataset.sessions("train"), dtype=np.int64)
    left_out = np.flatnonzero((np.arange(len(train)) >= len(train) - _NEWEST) & (np.arange(len(train)) % FOLDS == fold))
    reranker.rounds.data += 1
    if not len(left_out) or len(left_out) == len(train):
        return
    counts = _counts_without(dataset, left_out, config, network.mixture(ITEM).counts)
    lessons = [lesson for lesson in _lessons(network, counts, dataset, train[left_out], config) if len(lesson.column)]
    if lessons:
        _learn(reranker, lessons, config.loss.prefixes, config.training.seed + int(reranker.rounds))


def _counts_without(dataset: Dataset, left_out: Ints, config: Config, all_counts: Tensor) -> Counts:
    """Count items as for the mixture, but without some of the training sessions."""
    items, offsets = training_runs(dataset, ITEM)
    size = len(all_counts)
    kept = np.setdiff1d(np.arange(len(offsets) - 1), left_out)
    lengths = np.diff(offsets)[kept]
    codes, bounds = items[ragged_arange(offsets[kept], lengths)], np.concatenate([[0], np.cumsum(lengths)])
    co_visits = count_co_visits(
        codes, bounds, size, window=config.mixture.window, neighbors=config.mixture.neighbors, with_itself=False
    )
    runs = np.bincount(codes[(codes >= 0) & (codes < size)], minlength=size)
    return Counts(co_visits, placed(runs.astype(np.float32), all_counts))


def _lessons(
    network: MixtureNetwork, counts: Counts, dataset: Dataset, sessions: Ints, config: Config
) -> Iterator[Lesson]:
    """Look at sessions, block by block, each at its end and at some runs before."""
    each = max(2, _QUERIES // len(sessions))
    at_once = max(1, _SCORES_PER_BLOCK // (counts.co_visits.size * each))
    for start in range(0, len(sessions), at_once):
        histories, targets = histories_and_targets(dataset, sessions[start : start + at_once])
        table = run_table(histories, network.n_behaviors)
        whole = joined(table, targets.item.numpy(), targets.categories.numpy())
        queries = spread(table.offsets, each)
        wide = network.with_earlier(table, histories)
        asked = Followed.of(table, whole, ITEM).at(queries)
        with torch.inference_mode():
            visits = network.visits(wide, ITEM, np.flatnonzero(wide.is_now)[queries])
            answer = network.answer(ITEM, wide, visits, counts=counts)
            current = placed(asked.current, network.weights)
            known = counted_probabilities(ITEM, answer, current)
            candidates = Candidates.of(answer, known, current, config.mixture.reranked)
        hit = candidates.code == placed(asked.code, network.weights).unsqueeze(1)
        there = hit.any(dim=1)
        is_end = placed(np.isin(queries, last_runs(table)), network.weights)
        yield Lesson(candidates.of_queries(there), hit[there].long().argmax(dim=1), is_end[there])


def _learn(reranker: Reranker, lessons: list[Lesson], prefixes: float, seed: int) -> None:
    """Descend the negative log-likelihood of the targets among the candidates, and keep a mean of the weights."""
    candidates = Candidates.joined([one.candidates for one in lessons])
    column = torch.cat([one.column for one in lessons])
    is_end = torch.cat([one.is_end for one in lessons]).float()
    weight = prefixes + (1 - prefixes) * is_end / is_end.mean().clamp(min=1 / len(is_end))
    if not reranker.mean.any():
        reranker.settle(candidates.signals.flatten(0, 1))
    student = copy.deepcopy(reranker)
    learned = list(student.layers.requires_grad_().parameters())
    kept = list(reranker.layers.parameters())
    optimizer = torch.optim.AdamW(learned, lr=_RATE, weight_decay=_DECAY, fused=True)
    generator, step = torch.Generator().manual_seed(seed), 0
    for _ in range(_PASSES):
        for rows in torch.randperm(len(column), generator=generator).to(column.device).split(_BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(
                candidates.of_queries(rows).logits(student, 1.0), column[rows], reduction="none"
            )
            (loss * weight[rows]).mean().backward()
            optimizer.step()
            step += 1
            share = max(1 - _AVERAGED, 1 / (step + 1))
            for mean, value in zip(kept, learned, strict=True):
                mean.data.lerp_(value.detach(), share)
