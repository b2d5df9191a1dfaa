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
    shares : mapping of (str, str) to csr_array
        ``(Q, n)`` for each of :data:`WEIGHTS` and each relation: sum over the visits, weighed, of the share that a code
        has in what is visited near the visit's code.
    support : ndarray
        ``(Q, 3)``, all that is counted near the current code, by relation.
    """

    shares: dict[tuple[str, str], sp.csr_array]
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
        shares = {}
        for weight, weigh in WEIGHTS.items():
            for relation, matrix, scale in zip(RELATIONS, counted.counts, per_count.T, strict=True):
                asked = sp.csr_array((weigh(since) * scale, (query, code)), shape=(n_queries, counted.size))
                share = sp.csr_array(asked @ matrix)
                share.sort_indices()
                shares[weight, relation] = share
        current = np.zeros((n_queries, len(RELATIONS)))
        current[query[since == 0]] = support[since == 0]
        return cls(shares, current)

    def at(self, weight: str, relation: str, query: Ints, code: Ints) -> Doubles:
        """Look up the shares of codes, ``(C,)``."""
        if not len(query):  # SciPy gives no array of nothing
            return np.zeros(0)
        value: Doubles = np.asarray(self.shares[weight, relation][query, code], dtype=np.float64).ravel()
        return value
