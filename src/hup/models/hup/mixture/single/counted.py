"""What was counted says of one level to one user: :class:`~hup.nn.mixture.Mixture` and the counts, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hup.models.hup.mixture.answer import Counts
from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.visits import Visits
from hup.nn.mixture import N_RELATIONS, Attention, Mixture, log_popularity, popularity_mass
from hup.nn.single import array
from hup.sessions.levels import Level, ragged_arange

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_NEVER = np.float32(-1e9)


@dataclass(frozen=True)
class Near:
    """All that is counted near the visits, by one relation.

    Attributes
    ----------
    visit, code : ndarray
        ``(E,)`` int64: near which visit, and what.
    share : ndarray
        ``(E,)``, of all that is counted near the visit.
    """

    visit: Ints
    code: Ints
    share: Floats


@dataclass(frozen=True)
class Parts:
    """The mixture of one level for one user; see :class:`~hup.nn.mixture.Mixed`.

    Attributes
    ----------
    weights : ndarray
        ``(4,)``.
    repeat, memory : ndarray
        ``(P,)`` and ``(P, 3)``.
    support : ndarray
        ``(P, 3)``, how much is known of the neighbours of every visit's code.
    near : tuple of Near
        By relation.
    known : ndarray
        ``(n,)``, probabilities of the vocabulary.
    """

    weights: Floats
    repeat: Floats
    memory: Floats
    support: Floats
    near: tuple[Near, ...]
    known: Floats

    def shares(self) -> list[float]:
        """Weigh the visits by what they bring to repeat and memory; they sum to 1."""
        weights = self.weights[0] * self.repeat + self.weights[1] * self.memory.sum(axis=1)
        total = float(weights.sum())
        # A session of one run that training never saw has nothing to repeat or to remember.
        shares: list[float] = (weights / total if total > 0 else np.full(len(weights), 1 / len(weights))).tolist()
        return shares


class CountedLevel:
    """What was counted at a level.

    Parameters
    ----------
    level : Level
    mixture : Mixture
        Its weights are shared: what is changed in place is seen.
    counts : Counts
    """

    def __init__(self, level: Level, mixture: Mixture, counts: Counts) -> None:
        self.level, self.co_visits, self.has = level, counts.co_visits, np.asarray(mixture.has)
        self.pointer, self.neighbors = _Scores(mixture.pointer), _Scores(mixture.neighbors)
        self.context, self.part = _Linear(mixture.context), _Linear(mixture.part)
        self.counts = counts.popularity

    @cached_property
    def log_popularity(self) -> Floats:
        """Bias of what a profile says, ``(n,)``."""
        return array(log_popularity(self.counts))

    @cached_property
    def popularity(self) -> Floats:
        """Popularity, ``(n,)``, summing to 1."""
        mass = array(popularity_mass(self.counts))
        shares: Floats = mass / np.maximum(mass.sum(), np.float32(1e-30))
        return shares

    def parts(self, visits: Visits, current: int) -> Parts:
        """Mix for a user who is on an item, of the visits at the end of the session."""
        size = self.co_visits.size
        known = (visits.code >= 0) & (visits.code < size)
        support = np.where(known[:, None], self.co_visits.totals[np.where(known, visits.code, 0)], 0)
        support = np.where(support < 1e-5, 0, support).astype(np.float32)
        supported = support > 0
        may_repeat = np.ones(len(known), dtype=bool) if self.level.is_category else ~visits.is_current

        repeat = softmax(np.where(may_repeat, self.pointer(visits.signals)[:, 0], _NEVER)) * may_repeat
        log_support = np.log1p(support)
        scores = self.neighbors(np.concatenate([visits.signals, log_support], axis=1))
        memory = softmax(np.where(supported, scores, _NEVER).ravel()).reshape(-1, N_RELATIONS) * supported
        context = np.append(visits.context[0], (memory * log_support).sum() / np.float32(3))
        there = np.asarray([may_repeat.any(), supported.any(), True, True]) & self.has
        weights = softmax(np.where(there, self.part(np.tanh(self.context(context))), _NEVER))

        near = tuple(self._near(relation, visits.code, support[:, relation]) for relation in range(len(RELATIONS)))
        mixed = self._popular(current) * weights[2]
        for relation, others in enumerate(near):
            np.add.at(mixed, others.code, weights[1] * memory[others.visit, relation] * others.share)
        mixed[visits.code[known]] += weights[0] * repeat[known]
        return Parts(weights, repeat, memory, support, near, mixed)

    def _popular(self, current: int) -> Floats:
        """Shares of popularity, ``(n,)``, a copy of which the item that the user is on has none."""
        if self.level.is_category or not 0 <= current < len(self.popularity):
            return self.popularity.copy()
        shares: Floats = self.popularity / np.maximum(1 - self.popularity[current], np.float32(1e-30))
        shares[current] = 0
        return shares

    def _near(self, relation: int, code: Ints, support: Floats) -> Near:
        """Look up what is counted near codes with support ``(P,)``."""
        counts = self.co_visits.counts[relation]
        visit = np.flatnonzero(support)
        low = counts.indptr[code[visit]]
        lengths = counts.indptr[code[visit] + 1] - low
        at = ragged_arange(low, lengths)
        visit = np.repeat(visit, lengths)
        return Near(visit, counts.indices[at], counts.data[at] / support[visit])


class _Linear:
    """A linear layer's twin."""

    def __init__(self, linear: nn.Linear) -> None:
        self.weight, self.bias = array(linear.weight).T, 0 if linear.bias is None else array(linear.bias)

    def __call__(self, inputs: Floats) -> Floats:
        outputs: Floats = inputs @ self.weight + self.bias
        return outputs


class _Scores:
    """An attention's twin."""

    def __init__(self, attention: Attention) -> None:
        self.rule, self.signals, self.score = map(_Linear, (attention.rule, attention.signals, attention.score))

    def __call__(self, signals: Floats) -> Floats:
        return self.rule(signals) + self.score(np.tanh(self.signals(signals)))


def softmax(scores: Floats) -> Floats:
    """Give shares of the exponentials."""
    exponent = np.exp(scores - scores.max())
    shares: Floats = exponent / exponent.sum()
    return shares
