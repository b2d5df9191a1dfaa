"""What the order of candidates is learned from: queries with their candidates, and which of them came next.

Sessions of the validation split are described as those to come will be: neither the pyramid nor the counts have seen
them. Where they are few, the newest training sessions are asked besides, each fold of them described by what is counted
in the other sessions. The pyramid has learned them, so there the profile says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.data.dataset import Dataset
from hup.data.taxonomy import Taxonomy
from hup.models.hup.mixture.answer import Counts
from hup.models.hup.mixture.co_visits import count_co_visits
from hup.models.hup.mixture.likelihood import Followed
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.probabilities import Probabilities
from hup.models.hup.mixture.reranking import POOLED
from hup.models.hup.mixture.visits import joined, last_runs, run_table, spread
from hup.nn.devices import placed
from hup.nn.reranker import Reranker
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.left_out import newest_first, without
from hup.sessions.levels import ITEM, Level
from hup.sessions.runs import code_counts, runs_of, training_runs

_SESSIONS, _QUERIES, _QUERIES_EACH = 4_000, 20_000, 10  # at most
_ENOUGH = 2_000  # validation sessions, that training sessions need not help
_LEFT_OUT = 1 / 7  # most of training that is not counted where it is asked
_LIKELIEST, _DRAWN = 16, 24  # candidates that a step learns from
_SCORES_PER_BLOCK = 1 << 22
_AT_ONCE = 128  # queries whose signals are made comparable

Ints = NDArray[np.int64]
#: Takes histories and events of them, ``(Q,)`` int64, and gives the profiles there, ``(Q, d)`` by level, or none.
Profiles = Callable[[Histories, Tensor], Mapping[Level, Tensor]]


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

    def made_comparable(self, reranker: Reranker) -> Self:
        """Make the signals comparable, in place, as all of them may be half a gigabyte; of what is silent 0."""
        for some in self.signals.split(_AT_ONCE):
            some.copy_(reranker.comparable(some).nan_to_num_())
        return self

    @classmethod
    def of(cls, lessons: Sequence[Self]) -> Self:
        """Put lessons together."""
        first, *more = lessons
        if not more:
            return first
        names = ("logarithm", "signals", "column", "weight", "session")
        return cls(*(torch.cat([getattr(lesson, name) for lesson in lessons]) for name in names))


def of_validation(
    network: MixtureNetwork,
    level: Level,
    profiles: Profiles,
    dataset: Dataset,
    prefixes: float,
    most_sessions: int | None,
) -> Lesson | None:
    """Ask at most so many validation sessions, evenly spaced; None where no target is among a level's candidates.

    ``prefixes`` is the share of the weight that all queries have; the ends of sessions have the rest.
    """
    sessions = np.asarray(dataset.sessions("validation"), dtype=np.int64)
    most = min(len(sessions), most_sessions or len(sessions), _SESSIONS)
    asked = sessions[np.arange(most) * len(sessions) // max(most, 1)]
    return _weighed(_blocks(network, level, dataset, asked, most, profiles, None), prefixes)


def of_training(
    network: MixtureNetwork, level: Level, dataset: Dataset, prefixes: float, neighbors: int
) -> Lesson | None:
    """Ask the newest training sessions, as many as validation sessions are too few; None where these suffice.

    Signals of the profile are NaN. ``neighbors`` are kept of every item.
    """
    n = len(dataset.sessions("train"))
    most = min(max(_ENOUGH - len(dataset.sessions("validation")), 0), n)
    if not most:
        return None
    runs, lessons = training_runs(dataset, ITEM), list[Lesson]()
    for fold in newest_first(most, math.ceil(most / (n * _LEFT_OUT))):
        left_out = range(n - most + fold.start, n - most + fold.stop)
        counts = _counted(network, dataset.taxonomy, *without(*runs, left_out), neighbors)
        asked = dataset.sessions("train").start + np.asarray(left_out, dtype=np.int64)
        lessons += _blocks(network, level, dataset, asked, most, None, counts)
    return _weighed(lessons, prefixes)


def _counted(
    network: MixtureNetwork, taxonomy: Taxonomy, items: Ints, offsets: Ints, neighbors: int
) -> dict[Level, Counts]:
    """Count the codes of all levels in item runs of sessions, as the network counted those of all."""
    made = {}
    for level in network.ranked:
        like, codes = network.counts(level), level.of_items(items, taxonomy.paths)
        window, size, itself = like.co_visits.window, like.co_visits.size, level.is_category
        co_visits = count_co_visits(codes, offsets, size, window=window, neighbors=neighbors, with_itself=itself)
        popularity = code_counts(codes, offsets, size).astype(np.float32)
        made[level] = Counts(co_visits, placed(popularity, like.popularity))
    return made


def _weighed(lessons: Iterator[Lesson] | Sequence[Lesson], prefixes: float) -> Lesson | None:
    """Put lessons together whose weights tell the ends of sessions; None where there is nothing in them."""
    parts = [lesson for lesson in lessons if len(lesson.column)]
    if not parts:
        return None
    whole = Lesson.of(parts)
    is_end = whole.weight
    return replace(whole, weight=prefixes + (1 - prefixes) * is_end / is_end.mean().clamp(min=1 / len(is_end)))


def _blocks(
    network: MixtureNetwork,
    level: Level,
    dataset: Dataset,
    sessions: Ints,
    of_all: int,
    profiles: Profiles | None,
    counts: Mapping[Level, Counts] | None,
) -> Iterator[Lesson]:
    """Look at some of so many sessions, block by block."""
    each = min(_QUERIES_EACH, max(1, _QUERIES // max(of_all, 1)))
    at_once = max(1, _SCORES_PER_BLOCK // (network.co_visits[ITEM].size * each))
    for start in range(0, len(sessions), at_once):
        yield _looked_at(network, level, dataset, sessions[start : start + at_once], each, profiles, counts)


def _looked_at(
    network: MixtureNetwork,
    level: Level,
    dataset: Dataset,
    sessions: Ints,
    each: int,
    profiles: Profiles | None,
    counts: Mapping[Level, Counts] | None,
) -> Lesson:
    """Look at some sessions, each at its end, where the weight is 1, and at some runs before, where it is 0."""
    histories, targets = histories_and_targets(dataset, sessions)
    table = run_table(histories, network.n_behaviors)
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    queries = spread(table.offsets, each)
    wide = network.with_earlier(table, histories)
    asked = Followed.of(table, whole, level).at(queries)
    with torch.inference_mode():
        answers = network.answers(wide, np.flatnonzero(wide.is_now)[queries], counts)
        at_queries: Mapping[Level, Tensor] = {}
        if profiles is not None:
            at_queries = profiles(histories, runs_of(histories, ITEM).last[torch.from_numpy(queries)])
        current = placed(table.item[queries], network.weights)
        candidates = Probabilities(network, answers, at_queries, current).candidates(level)
    signals = candidates.signals
    if network.has_profile and profiles is None:
        signals = functional.pad(signals, (0, len(POOLED)), value=torch.nan)
    hit = candidates.code == placed(asked.code, network.weights).unsqueeze(1)
    there = hit.any(dim=1)
    is_end = placed(np.isin(queries, last_runs(table)).astype(np.float32), network.weights)
    session = placed(sessions[asked.session], network.weights)
    column = hit[there].long().argmax(dim=1)
    return Lesson(candidates.logarithm[there], signals[there], column, is_end[there], session[there])
