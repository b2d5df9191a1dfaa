"""Levels of one user as marginals of one distribution: :mod:`hup.models.hup.mixture.agreement`, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hup.models.hup.mixture.agreement import LEAST
from hup.sessions.levels import Level

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_TINY = np.float32(1e-30)


@dataclass(frozen=True)
class One:
    """Probabilities of one level.

    Attributes
    ----------
    known : ndarray
        ``(n,)``, of the vocabulary.
    code, probability, parent : ndarray
        ``(U,)`` each: of what the session has beyond it, and its code at the next coarser level, -1 = none.
    """

    known: Floats
    code: Ints
    probability: Floats
    parent: Ints

    @property
    def mass(self) -> np.float32:
        """Sum over all codes."""
        mass: np.float32 = self.known.sum() + self.probability.sum()
        return mass

    def times(self, factor: np.floating) -> One:
        """Scale all probabilities."""
        return replace(self, known=self.known * factor, probability=self.probability * factor)

    def without(self, code: int) -> One:
        """Leave a code of the vocabulary out; the others share what it had."""
        if code >= len(self.known):
            return self
        known, left = self.known.copy(), 1 - self.known[code]
        known[code] = 0
        return replace(self, known=known).times(1 / np.maximum(left, np.float32(1e-6)))


@dataclass(frozen=True)
class Tree:
    """What is above every known code of the levels but the coarsest, ``(n,)`` int64, finest level first."""

    parents: Sequence[Ints]

    def agreed(self, alone: Mapping[Level, One], trust: Mapping[Level, float]) -> dict[Level, One]:
        """Make one distribution of what the levels say; see :func:`hup.models.hup.mixture.agreement.agreed`."""
        made, said = dict(alone), next(iter(alone.values()))
        for level, parents in zip(list(alone)[1:], self.parents, strict=True):
            said = _summed(said, parents, alone[level])
            made[level] = _pooled(alone[level], said, trust[level])
        for (finer, level), parents in reversed(list(zip(pairwise(made), self.parents, strict=True))):
            made[finer] = _in_mass(_shared_out(made[finer], parents, made[level]), made[finer])
        return made

    def moved(self, said: Mapping[Level, One], level: Level, to: One) -> dict[Level, One]:
        """Let a level have other probabilities; see :func:`hup.models.hup.mixture.agreement.moved`."""
        made = dict(said) | {level: to}
        place, pairs = list(said).index(level), list(zip(pairwise(said), self.parents, strict=True))
        for (below, above), parents in reversed(pairs[:place]):
            made[below] = _in_mass(_shared_out(said[below], parents, made[above]), said[below])
        for (below, above), parents in pairs[place:]:
            before, after = (_summed(of[below], parents, said[above]) for of in (said, made))
            made[above] = _in_mass(_as_many_times(said[above], before, after), said[above])
        return made


def _summed(fine: One, parents: Ints, like: One) -> One:
    """Sum a level's probabilities by category of the next coarser one, whose codes ``like`` has."""
    sums = _by_parent(fine, parents, like)
    return replace(like, known=sums[: len(like.known)], probability=sums[like.code])


def _pooled(own: One, said: One, trust: float) -> One:
    def pool(first: Floats, second: Floats) -> Floats:
        logs = (1 - trust) * np.log(np.maximum(first, LEAST)) + trust * np.log(np.maximum(second, LEAST))
        pooled: Floats = np.exp(logs)
        return pooled

    both = replace(own, known=pool(own.known, said.known), probability=pool(own.probability, said.probability))
    return _in_mass(both, own)


def _shared_out(alone: One, parents: Ints, above: One) -> One:
    """Share the probability of each coarser category out among its children."""
    sums = _by_parent(alone, parents, above)
    total = np.zeros_like(sums)
    total[: len(above.known)] = above.known
    total[above.code] = above.probability
    factor = np.where((sums > 0) & (total > 0), total / np.maximum(sums, _TINY), np.float32(1))
    outside = np.where(alone.parent >= 0, factor[np.maximum(alone.parent, 0)], np.float32(1))
    return replace(alone, known=alone.known * factor[parents], probability=alone.probability * outside)


def _in_mass(said: One, like: One) -> One:
    """Give the mass of another one."""
    return said.times(like.mass / np.maximum(said.mass, np.float32(LEAST)))


def _as_many_times(said: One, before: One, after: One) -> One:
    """Multiply what is said by the ratio of two others, where there is one."""

    def ratio(first: Floats, second: Floats) -> Floats:
        there: Floats = np.where(first > 0, second / np.maximum(first, _TINY), np.float32(1))
        return there

    known = said.known * ratio(before.known, after.known)
    return replace(said, known=known, probability=said.probability * ratio(before.probability, after.probability))


def _by_parent(fine: One, parents: Ints, above: One) -> Floats:
    """Sum by parent, known or not, ``(w,)``."""
    width = 1 + max(len(above.known), above.code.max(initial=0), fine.parent.max(initial=0))
    sums = np.bincount(parents, fine.known, width)
    there = fine.parent >= 0
    np.add.at(sums, fine.parent[there], fine.probability[there])
    return sums.astype(np.float32)
