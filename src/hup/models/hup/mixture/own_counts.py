"""What sessions have themselves put into the counts, so that it can be taken away where they are the ones that ask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.data.columns import changes
from hup.models.hup.mixture.co_visits import CoVisits, near_pairs
from hup.sessions.levels import ragged_arange

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class OwnCounts:
    """What the sessions of a batch have themselves put into all that is counted of a level."""

    co_visits: OwnCoVisits
    runs: OwnRuns

    @classmethod
    def of(cls, co_visits: CoVisits, popularity: NDArray[np.float32], codes: Ints, offsets: Ints) -> OwnCounts:
        """Count whole sessions.

        Parameters
        ----------
        co_visits : CoVisits
        popularity : ndarray
            ``(n,)``, runs of every known code in training.
        codes, offsets : ndarray
            ``(R,)`` and ``(B + 1,)``: sessions of runs, the target's among them; equal neighbours are one run.
        """
        return cls(OwnCoVisits.of(co_visits, codes, offsets), OwnRuns.of(popularity, codes, offsets))


@dataclass(frozen=True)
class OwnCoVisits:
    """What single sessions have put into the counts of a :class:`CoVisits` that was counted over them, too.

    Attributes
    ----------
    pairs : tuple of SumsByKey
        For "after" and "before": counts of session ``b`` for codes ``u, v`` at ``(b * n + u) * n + v``.
    visited : SumsByKey
        1 at ``b * n + v`` where session ``b`` is on code ``v``; "together" follows from it.
    totals : tuple of SumsByKey
        For every relation: sums of the rows at ``b * n + u``.
    size : int
        Known codes, n.
    """

    pairs: tuple[SumsByKey, SumsByKey]
    visited: SumsByKey
    totals: tuple[SumsByKey, ...]
    size: int

    @classmethod
    def of(cls, counted: CoVisits, codes: Ints, offsets: Ints) -> OwnCoVisits:
        """Count the sessions one by one; as for :meth:`OwnCounts.of`."""
        size = counted.size
        known = np.where((codes >= 0) & (codes < size), codes, -1)
        near = near_pairs(known, offsets, size, counted.window, with_itself=counted.with_itself)
        session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        at = np.unique(session[known >= 0] * np.int64(size) + known[known >= 0])
        visited = SumsByKey(at, np.ones(len(at)))
        both = _pairs_of_members(at // size, at % size, with_itself=counted.with_itself)
        pairs, totals = [], []
        for relation, (who, first, second, weight) in enumerate(
            (
                (near.session, near.first, near.second, near.weight),
                (near.session, near.second, near.first, near.weight),
                (*both, np.ones(len(both[0]))),
            )
        ):
            # What is not among the kept ones of a row is not in its total either.
            kept = counted.of_relation(relation, first, second) > 0
            pairs.append(SumsByKey.of((who * size + first) * size + second, np.where(kept, weight, 0)))
            totals.append(SumsByKey.of(who * np.int64(size) + first, np.where(kept, weight, 0)))
        return cls((pairs[0], pairs[1]), visited, tuple(totals), size)

    def of_pairs(self, session: Ints, first: Ints, second: Ints) -> Doubles:
        """Shares of a session in the counts of pairs of codes, ``(P, 3)``; only where both codes are known."""
        known = (first >= 0) & (first < self.size) & (second >= 0) & (second < self.size)
        key = (session * self.size + first) * self.size + second
        member = self.visited.at(session * np.int64(self.size) + first) * self.visited.at(
            session * np.int64(self.size) + second
        )
        shares = np.stack([self.pairs[0].at(key), self.pairs[1].at(key), member], axis=1)
        return np.where(known[:, None], shares, 0)

    def of_rows(self, relation: int, session: Ints, first: Ints) -> tuple[Ints, Ints, Doubles]:
        """List shares of a session in the whole rows of codes, for one of the relations.

        Parameters
        ----------
        relation : int
        session, first : ndarray
            ``(P,)`` int64.

        Returns
        -------
        place, second : ndarray
            ``(N,)`` int64: which of the ``P`` rows, and the code in it.
        share : ndarray
            ``(N,)``.
        """
        known = np.flatnonzero((first >= 0) & (first < self.size))
        together = relation == len(self.pairs)
        shares = self.visited if together else self.pairs[relation]
        row = session[known] if together else session[known] * self.size + first[known]
        low = np.searchsorted(shares.keys, row * self.size)
        spans = np.searchsorted(shares.keys, (row + 1) * self.size) - low
        at = ragged_arange(low, spans)
        return np.repeat(known, spans), shares.keys[at] % max(self.size, 1), shares.values[at]

    def of_totals(self, session: Ints, first: Ints) -> Doubles:
        """Shares of a session in the sums of rows, ``(P, 3)``."""
        known = (first >= 0) & (first < self.size)
        key = session * np.int64(self.size) + first
        shares = np.stack([of_relation.at(key) for of_relation in self.totals], axis=1)
        return np.where(known[:, None], shares, 0)


@dataclass(frozen=True)
class OwnRuns:
    """How often each of ``B`` sessions is on each of its known codes, against all of training: popularity.

    Attributes
    ----------
    counts : ndarray
        ``(n,)``, runs of every known code in training.
    own : SumsByKey
        Runs of session ``b`` on code ``v``, at ``b * n + v``.
    offsets : ndarray
        ``(B + 1,)`` int64; session ``b`` has the codes ``offsets[b]:offsets[b + 1]`` of ``own``.
    """

    counts: NDArray[np.float32]
    own: SumsByKey
    offsets: Ints

    @classmethod
    def of(cls, counts: NDArray[np.float32], codes: Ints, offsets: Ints) -> OwnRuns:
        """Count the runs of whole sessions; as for :meth:`OwnCounts.of`."""
        size, n_sessions = len(counts), len(offsets) - 1
        session = np.repeat(np.arange(n_sessions), np.diff(offsets))
        begins = (changes(codes) | changes(session)) & (codes >= 0) & (codes < size)
        own = SumsByKey.of(session[begins] * size + codes[begins])
        return cls(counts, own, np.searchsorted(own.keys, np.arange(n_sessions + 1) * size))

    def of_queries(self, session: Ints) -> tuple[Ints, Ints, Doubles]:
        """Pair queries with the codes of their session.

        Parameters
        ----------
        session : ndarray
            ``(Q,)`` int64 row of each query's session.

        Returns
        -------
        query, code : ndarray
            ``(P,)`` int64, sorted by query.
        left : ndarray
            ``(P,)``, runs of the code in training that are of other sessions.
        """
        spans = np.diff(self.offsets)[session]
        place = ragged_arange(self.offsets[session], spans)
        code = self.own.keys[place] % max(len(self.counts), 1)
        return np.repeat(np.arange(len(session)), spans), code, self.counts[code] - self.own.values[place]

    def left(self, session: Ints, code: Ints) -> Doubles:
        """Look up runs of other sessions on codes, for pairs ``(Q,)``; 0 where the code is not known."""
        size = len(self.counts)
        known = (code >= 0) & (code < size)
        left = self.counts[np.where(known, code, 0)] - self.own.at(session * size + code)
        return np.where(known, left, 0)

    def of_sessions(self) -> tuple[Ints, Ints, Doubles]:
        """List row of the session, code, and its runs that are of others, ``(N,)`` each."""
        size = max(len(self.counts), 1)
        code = self.own.keys % size
        return self.own.keys // size, code, self.counts[code] - self.own.values


@dataclass(frozen=True)
class SumsByKey:
    """Sums by whole-number key, looked up many at once.

    Attributes
    ----------
    keys : ndarray
        ``(n,)`` int64, ascending, each once.
    values : ndarray
        ``(n,)`` float64.
    """

    keys: Ints
    values: Doubles

    @classmethod
    def of(cls, keys: Ints, values: Doubles | None = None) -> SumsByKey:
        """Sum values ``(P,)`` by their keys; without values count the keys."""
        distinct, place = np.unique(keys, return_inverse=True)
        return cls(distinct, np.bincount(place, values, minlength=len(distinct)).astype(np.float64))

    def at(self, keys: Ints) -> Doubles:
        """Look up keys; 0 where there is none such."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.values[place], 0)


def _pairs_of_members(session: Ints, code: Ints, *, with_itself: bool) -> tuple[Ints, Ints, Ints]:
    """Pair every distinct code of a session with every other one of it; both are sorted by session."""
    counts = np.bincount(session) if len(session) else np.zeros(0, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    n_partners = counts[session] if len(session) else counts
    first = np.repeat(np.arange(len(session)), n_partners)
    place = np.arange(len(first)) - np.repeat(np.cumsum(n_partners) - n_partners, n_partners)
    second = starts[session[first]] + place if len(first) else first
    if not with_itself:
        first, second = first[first != second], second[first != second]
    return session[first], code[first], code[second]
