"""Which codes are ranked for a query: what it has visited, what is near that, and what is popular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hup.models.boosted.counted import Counted, LevelCounts, coarser
from hup.models.boosted.queries import Queries
from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.neighbor_shares import NeighborShares
from hup.sessions.levels import Level, ragged_arange

Ints = NDArray[np.int64]
Pairs = tuple[Ints, Ints]


@dataclass(frozen=True)
class Candidates:
    """Candidates of ``Q`` queries at one level, ``C`` in all, by query and code.

    Attributes
    ----------
    query, code : ndarray
        ``(C,)`` int64.
    visit : ndarray
        ``(C,)`` int64, row of the visits; -1 where the session has not been on the code.
    """

    query: Ints
    code: Ints
    visit: Ints

    def __len__(self) -> int:
        return len(self.code)

    def of_queries(self, kept: NDArray[np.bool_]) -> Self:
        """Leave out the candidates of some queries: ``kept`` is ``(Q,)``."""
        at = kept[self.query]
        return type(self)(self.query[at], self.code[at], self.visit[at])


def candidates_of(
    counted: Counted,
    queries: Queries,
    shares: NeighborShares,
    level: Level,
    *,
    most: int,
    popular: int,
    no_category: Sequence[int],
) -> Candidates:
    """Find the candidates of a level.

    Parameters
    ----------
    counted : Counted
    queries : Queries
    shares : NeighborShares
        Of the level.
    level : Level
    most : int
        Most candidates of a query. At most half of them are visits, the latest ones; then come popular codes; the
        others are those with the largest shares near the visits.
    popular : int
        The most popular codes that are among them, and as many again of the category that the user is on, one level up.
    no_category : sequence of int
        For level 1 … K the code that is no candidate; -1 = there is none.
    """
    visits, counts = queries.visits[level], counted.levels[level]
    latest = np.flatnonzero((visits.code >= 0) & (visits.since < max(1, most // 2)))[::-1]
    popularity = counts.by_popularity[:popular]
    everyone = np.arange(len(queries))
    sources: list[Pairs] = [
        (visits.query[latest], visits.code[latest]),
        (np.repeat(everyone, len(popularity)), np.tile(popularity, len(queries))),
        _popular_in_category(counted, queries, level, popular),
        _nearest(shares, most + 1),  # one of them may be barred
    ]
    query, code = (np.concatenate(part) for part in zip(*sources, strict=True))
    no_candidate = no_category[level.k - 1] if level.is_category else queries.current(level)[query]
    query, code = _first(query, code, code != no_candidate, most)
    return Candidates(query, code, _visits_on(visits.query, visits.code, query, code))


def _first(query: Ints, code: Ints, kept: NDArray[np.bool_], most: int) -> Pairs:
    """Keep the first ``most`` distinct codes of every query, and sort them by query and code."""
    query, code = query[kept], code[kept]
    width = int(code.max(initial=0)) + 1
    place = np.sort(np.unique(query * width + code, return_index=True)[1])
    place = place[np.argsort(query[place], kind="stable")]
    query, code = query[place], code[place]
    kept = np.arange(len(query)) - np.searchsorted(query, query) < most
    query, code = query[kept], code[kept]
    order = np.lexsort((code, query))
    return query[order], code[order]


def _visits_on(visit_query: Ints, visit_code: Ints, query: Ints, code: Ints) -> Ints:
    """Find each query's visit of a code, ``(C,)``; -1 where there is none."""
    # One key for both; a code may be -1.
    width = int(max(visit_code.max(initial=0), code.max(initial=0))) + 2
    keys, asked = visit_query * width + visit_code + 1, query * width + code + 1
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys[order], asked), len(keys) - 1)
    return np.where(keys[order][place] == asked, order[place], -1)


def _nearest(shares: NeighborShares, most: int) -> Pairs:
    """List the codes with the largest shares near the visits, best first; late visits weigh most."""
    near = [shares.matrix(weight, relation) for weight in ("current", "recent") for relation in RELATIONS]
    total = sp.csr_array(sum(near[1:], start=near[0]))
    query = np.repeat(np.arange(total.shape[0]), np.diff(total.indptr))
    order = np.lexsort((total.indices, -total.data, query))
    kept = order[np.arange(len(order)) - total.indptr[query] < most]
    return query[kept], total.indices[kept].astype(np.int64)


def _popular_in_category(counted: Counted, queries: Queries, level: Level, most: int) -> Pairs:
    """Pair every query with the most popular codes of the category that its user is on, one level up."""
    above = next(iter(coarser(level, len(counted.parents))), None)
    if above is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    codes, starts = _by_category(counted, counted.levels[level], level, above)
    current = queries.current(above)
    asked = np.flatnonzero((current >= 0) & (current < len(starts) - 1))
    begin = starts[current[asked]]
    spans = np.minimum(starts[current[asked] + 1] - begin, most)
    return np.repeat(asked, spans), codes[ragged_arange(begin, spans)]


def _by_category(counted: Counted, counts: LevelCounts, level: Level, above: Level) -> Pairs:
    """Sort the visited codes of a level by category, the most popular first, and say where each category starts."""
    codes = counts.by_popularity
    parent = counted.ancestors(level, codes, above.k)
    order = np.argsort(parent, kind="stable")
    return codes[order], np.searchsorted(parent[order], np.arange(counted.levels[above].size + 1))
