"""What sessions have themselves put into popularity, so that it can be taken away where they are the ones that ask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.data.batches import ragged_arange

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class OwnVisits:
    """How often each of ``B`` sessions is on each of its codes, and how often the other sessions are.

    Attributes
    ----------
    offsets : ndarray
        ``(B + 1,)`` int64; session ``b`` has the rows ``offsets[b]:offsets[b + 1]`` of the others.
    code : ndarray
        ``(D,)`` int64, known codes, ascending within a session.
    left : ndarray
        ``(D,)`` float64, runs of the code in training that are of other sessions.
    size : int
        Known codes.
    """

    offsets: Ints
    code: Ints
    left: Doubles
    size: int

    @classmethod
    def of(cls, counts: NDArray[np.float64], codes: Ints, offsets: Ints) -> OwnVisits:
        """Count the runs of whole sessions.

        Parameters
        ----------
        counts : ndarray
            ``(n,)``, runs of every known code in training.
        codes, offsets : ndarray
            ``(R,)`` and ``(B + 1,)``: sessions of runs, the target's among them; equal neighbours are one run.
        """
        size, n_sessions = len(counts), len(offsets) - 1
        session = np.repeat(np.arange(n_sessions), np.diff(offsets))
        begins = np.ones(len(codes), dtype=bool)
        begins[1:] = (codes[1:] != codes[:-1]) | (session[1:] != session[:-1])
        begins &= (codes >= 0) & (codes < size)
        key, own = np.unique(session[begins] * size + codes[begins], return_counts=True)
        code = key % max(size, 1)
        bounds = np.searchsorted(key, np.arange(n_sessions + 1) * size)
        return cls(bounds, code, np.maximum(counts[code] - own, 0), size)

    def of_queries(self, session: Ints) -> tuple[Ints, Ints]:
        """Pair queries with the rows of their session: ``(P,)`` rows of ``session``, ascending, and of this table."""
        spans = np.diff(self.offsets)[session]
        return np.repeat(np.arange(len(session)), spans), ragged_arange(self.offsets[session], spans)

    def known_without(self, session: Ints, code: Ints) -> NDArray[np.bool_]:
        """Tell for pairs ``(Q,)`` whether other sessions have been on the code."""
        known = (code >= 0) & (code < self.size)
        if not len(self.code):
            return known
        key = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets)) * np.int64(self.size) + self.code
        asked = session * np.int64(self.size) + code
        place = np.minimum(np.searchsorted(key, asked), len(key) - 1)
        left: NDArray[np.bool_] = known & ~((key[place] == asked) & (self.left[place] <= 0))
        return left
