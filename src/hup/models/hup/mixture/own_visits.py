"""What sessions have themselves put into popularity, so that it can be taken away where they are the ones that ask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.data.columns import changes
from hup.models.hup.mixture.sums_by_key import SumsByKey
from hup.sessions.batches import ragged_arange

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class OwnVisits:
    """How often each of ``B`` sessions is on each of its known codes, against all of training.

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
    def of(cls, counts: NDArray[np.float32], codes: Ints, offsets: Ints) -> OwnVisits:
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

    def known_without(self, session: Ints, code: Ints) -> NDArray[np.bool_]:
        """Tell for pairs ``(Q,)`` whether other sessions have been on the code."""
        size = len(self.counts)
        known = (code >= 0) & (code < size)
        left = self.counts[np.where(known, code, 0)] - self.own.at(session * size + code)
        return known & (left > 0)
