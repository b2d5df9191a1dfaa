"""How much of what is visited near a session's codes each code has, by relation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hup.models.hup.mixture.co_visits import RELATIONS, CoVisits
from hup.models.hup.mixture.visits import Visits

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

#: How visits are weighed, by the number of distinct codes since each.
WEIGHTS: dict[str, Callable[[Ints], Doubles]] = {
    "current": lambda since: (since == 0).astype(np.float64),
    "one before": lambda since: (since == 1).astype(np.float64),
    "recent": lambda since: 1 / (1.0 + since),
    "all": lambda since: np.ones(len(since)),
}


@dataclass(frozen=True)
class NeighborShares:
    """What the visits of ``Q`` queries say about the ``n`` known codes of their level.

    Attributes
    ----------
    size : int
        Known codes, n.
    cells : mapping of str to ndarray
        ``(E,)`` int64 for each relation: ``query * n + code`` of all pairs that have a share, ascending.
    shares : mapping of (str, str) to ndarray
        ``(E,)`` for each of :data:`WEIGHTS` and each relation: sum over the visits, weighed, of the share that the code
        has in what is visited near the visit's code.
    support : ndarray
        ``(Q, 3)``, all that is counted near the current code, by relation.
    """

    size: int
    cells: dict[str, Ints]
    shares: dict[tuple[str, str], Doubles]
    support: Doubles

    @classmethod
    def of(cls, counted: CoVisits, visits: Visits, latest: int) -> Self:
        """Look around the visits of queries.

        Parameters
        ----------
        counted : CoVisits
        visits : Visits
            At the end of every query.
        latest : int
            Most visits that are looked at, the latest ones.
        """
        n_queries, since = len(visits.query_run), visits.since
        kept = (visits.code >= 0) & (visits.code < counted.size) & (since < latest)
        query, code, since = visits.query[kept], visits.code[kept], since[kept]
        support = counted.totals[code]
        per_count = np.divide(1, support, out=np.zeros_like(support), where=support > 0)
        cells: dict[str, Ints] = {}
        shares: dict[tuple[str, str], Doubles] = {}
        for number, relation in enumerate(RELATIONS):
            place, second, count = counted.rows(number, code)
            share = count * per_count[place, number]
            cells[relation], cell = np.unique(query[place] * counted.size + second, return_inverse=True)
            for weight, weigh in WEIGHTS.items():
                summed = np.zeros(len(cells[relation]))
                np.add.at(summed, cell, weigh(since)[place] * share)
                shares[weight, relation] = summed
        current = np.zeros((n_queries, len(RELATIONS)))
        current[query[since == 0]] = support[since == 0]
        return cls(counted.size, cells, shares, current)

    def at(self, weight: str, relation: str, query: Ints, code: Ints) -> Doubles:
        """Look up the shares of codes, ``(C,)``; 0 of what is not known."""
        cells, asked = self.cells[relation], np.where(code < self.size, query * self.size + code, -1)
        if not len(cells):
            return np.zeros(len(asked))
        place = np.minimum(np.searchsorted(cells, asked), len(cells) - 1)
        return np.where(cells[place] == asked, self.shares[weight, relation][place], 0)

    def matrix(self, weight: str, relation: str) -> sp.csr_array:
        """Give the shares of all codes, ``(Q, n)``."""
        query, code = np.divmod(self.cells[relation], self.size)
        return sp.csr_array((self.shares[weight, relation], (query, code)), shape=(len(self.support), self.size))
