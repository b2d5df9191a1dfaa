"""Training sessions by what they hold: which of them share codes with a history, without comparing with all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.columns import changes
from hup.sessions.batches import Histories
from hup.sessions.levels import ragged_arange
from hup.sessions.runs import runs_of

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LastVisits:
    """Distinct known codes of ``B`` histories, each at its last run.

    Attributes
    ----------
    row, code : ndarray
        ``(N,)``, history and code.
    back : ndarray
        ``(N,)``, runs between the code's last run and the history's last run; 0 = the user is on it.
    length : ndarray
        ``(B,)``, number of distinct known codes of each history.
    runs : ndarray
        ``(B,)``, number of runs of each history, whatever their codes.
    """

    row: IntArray
    code: IntArray
    back: IntArray
    length: IntArray
    runs: IntArray


@dataclass(frozen=True)
class Neighbors:
    """Pairs of a history and a training session that share codes.

    Attributes
    ----------
    row, session : ndarray
        ``(P,)``.
    similarity : ndarray
        ``(P,)``, sum of the weights of the shared codes.
    back : ndarray
        ``(P,)``, ``LastVisits.back`` of the latest code of the history that the session shares.
    place : ndarray
        ``(P,)``, place of that code in the training session.
    last_place : ndarray
        ``(P,)``, last place of any shared code in the training session.
    """

    row: IntArray
    session: IntArray
    similarity: FloatArray
    back: IntArray
    place: IntArray
    last_place: IntArray

    def take(self, at: IntArray) -> Neighbors:
        """Take some of the pairs."""
        return Neighbors(
            self.row[at], self.session[at], self.similarity[at], self.back[at], self.place[at], self.last_place[at]
        )


def last_visits(histories: Histories, level: str, n_known: int, of: str | None = None) -> LastVisits:
    """Find the distinct known codes of histories, by the runs of the level ``of``: by default ``level`` itself."""
    runs = runs_of(histories, of or level)
    row, code = runs.history().numpy(), histories.codes(level)[runs.first].numpy()
    back = runs.offsets.numpy()[1:][row] - 1 - np.arange(len(code))
    known = (code >= 0) & (code < n_known)
    row, code, back = row[known], code[known], back[known]
    _, first = np.unique((row * max(n_known, 1) + code)[::-1], return_index=True)
    last = len(code) - 1 - first
    length = np.bincount(row[last], minlength=len(histories))
    return LastVisits(row[last], code[last], back[last], length, runs.lengths().numpy())


class SessionIndex:
    """Training sessions of a level, each distinct code at its last place, and the newest sessions of every code.

    Parameters
    ----------
    codes, offsets : ndarray
        Runs of the training sessions, oldest session first (:func:`hup.sessions.runs.training_runs`).
    n_known : int
    newest : int
        How many of a code's sessions are looked at, the newest ones.
    """

    def __init__(self, codes: IntArray, offsets: IntArray, n_known: int, newest: int) -> None:
        session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        place = np.arange(len(codes)) - offsets[session]
        _, first = np.unique((session * max(n_known, 1) + codes)[::-1], return_index=True)
        last = np.sort(len(codes) - 1 - first)
        self._set(codes[last], place[last], session[last], len(offsets) - 1, n_known, newest)

    def _set(
        self, codes: IntArray, place: IntArray, session: IntArray, n_sessions: int, n_known: int, newest: int
    ) -> None:
        self.codes, self.place, self.n_known = codes, place, n_known
        self.offsets = np.searchsorted(session, np.arange(n_sessions + 1))
        # By code, newest session first; then cut.
        order = np.lexsort((-session, codes))
        starts = np.searchsorted(codes[order], np.arange(n_known))
        rank = np.arange(len(order)) - starts[codes[order]]
        kept = order[rank < newest]
        self._sessions_of, self._place_of = session[kept], place[kept]
        self._starts = np.searchsorted(codes[kept], np.arange(n_known + 1))

    @property
    def n_sessions(self) -> int:
        """Number of training sessions."""
        return len(self.offsets) - 1

    def neighbors(self, visits: LastVisits, weight: FloatArray) -> Neighbors:
        """Pair histories with the sessions that share codes with them.

        Parameters
        ----------
        visits : LastVisits
        weight : ndarray
            ``(N,)``, what sharing each of the visited codes is worth.
        """
        starts, counts = self._starts[visits.code], np.diff(self._starts)[visits.code]
        at = ragged_arange(starts, counts)
        visit = np.repeat(np.arange(len(visits.code)), counts)
        row, session = visits.row[visit], self._sessions_of[at]
        # The latest shared code of each pair stands first among its equals. One number of all three is sorted several
        # times as fast as the three; no two are equal, as a history has one code at a time.
        longest = int(visits.back.max(initial=0)) + 1
        order = np.argsort((row * self.n_sessions + session) * longest + visits.back[visit])
        row, session, visit, at = row[order], session[order], visit[order], at[order]
        first = np.flatnonzero(changes(row) | changes(session))
        place = self._place_of[at]
        if not len(first):
            return Neighbors(row, session, np.zeros(0), visits.back[visit], place, place)
        similarity, last_place = np.add.reduceat(weight[visit], first), np.maximum.reduceat(place, first)
        back = visits.back[visit[first]]
        return Neighbors(row[first], session[first], similarity, back, place[first], last_place)

    def entries(self, neighbors: Neighbors) -> tuple[IntArray, IntArray, IntArray]:
        """List all codes of the neighbours: the pair that each belongs to, the code, its place in the session."""
        starts = self.offsets[neighbors.session]
        counts = self.offsets[neighbors.session + 1] - starts
        at = ragged_arange(starts, counts)
        return np.repeat(np.arange(len(counts)), counts), self.codes[at], self.place[at]

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Give what :meth:`restored` needs."""
        parts = {"codes": self.codes, "place": self.place, "offsets": self.offsets}
        return {f"{prefix}.{name}": torch.from_numpy(np.ascontiguousarray(part)) for name, part in parts.items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], prefix: str, n_known: int, newest: int) -> SessionIndex:
        """Make the index again from :meth:`tensors`."""
        codes, place, offsets = (tensors[f"{prefix}.{name}"].numpy() for name in ("codes", "place", "offsets"))
        index = cls.__new__(cls)
        session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        index._set(codes, place, session, len(offsets) - 1, n_known, newest)
        return index


def newest(neighbors: Neighbors, n: int) -> Neighbors:
    """Keep the ``n`` newest sessions of every history; pairs come as :meth:`SessionIndex.neighbors` gives them."""
    ends = np.cumsum(np.bincount(neighbors.row))[neighbors.row]
    kept = np.flatnonzero(ends - np.arange(len(ends)) <= n)
    return neighbors if len(kept) == len(ends) else neighbors.take(kept)


def most_similar(neighbors: Neighbors, similarity: FloatArray, n: int) -> tuple[Neighbors, FloatArray]:
    """Keep the ``n`` most similar sessions of every history, most similar first; of equal ones the newest.

    Pairs come by history, oldest session first, as :meth:`SessionIndex.neighbors` gives them.
    """
    if not len(similarity):
        return neighbors, similarity
    counts = np.bincount(neighbors.row)
    ends = np.cumsum(counts)
    # A row for each history, its newest session first; sorting short rows is faster than sorting all pairs.
    newness = ends[neighbors.row] - 1 - np.arange(len(similarity))
    distance = np.full((len(counts), counts.max()), np.inf)
    distance[neighbors.row, newness] = -similarity
    best = np.argsort(distance, axis=1, kind="stable")[:, :n]
    kept = (ends[:, None] - 1 - best)[np.arange(best.shape[1]) < counts[:, None]]
    return neighbors.take(kept), similarity[kept]


def summed(row: IntArray, code: IntArray, value: FloatArray, shape: tuple[int, int]) -> sp.csr_array:
    """Add values up by row and code, into sparse rows of float32."""
    key, place = np.unique(row * shape[1] + code, return_inverse=True)
    total = np.bincount(place, weights=value, minlength=len(key)).astype(np.float32)
    return sp.csr_array((total, (key // max(shape[1], 1), key % max(shape[1], 1))), shape=shape)
