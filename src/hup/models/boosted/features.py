"""What the trees see of a candidate: all that the mixture of ``best`` sees, in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hup.models.boosted.candidates import Candidates
from hup.models.boosted.counted import Counted, coarser
from hup.models.boosted.queries import Queries
from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.neighbor_shares import WEIGHTS, NeighborShares
from hup.models.hup.mixture.visit_signals import CONTEXT, EARLIER, SIGNALS
from hup.sessions.levels import ITEM, Level

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Column = tuple[str, NDArray[np.floating] | NDArray[np.bool_]]

#: Weights of visits that coarser levels, and vectors, are looked at by.
_FEW = ("current", "recent")


def features(
    counted: Counted,
    queries: Queries,
    shares: Mapping[Level, NeighborShares],
    level: Level,
    candidates: Candidates,
) -> tuple[list[str], Floats]:
    """Describe candidates.

    Parameters
    ----------
    counted : Counted
    queries : Queries
    shares : mapping of Level to NeighborShares
        Of the level and all coarser ones.
    level : Level
    candidates : Candidates
        Of the level.

    Returns
    -------
    names : list of str
    values : ndarray
        ``(C, F)`` float32; NaN where there is nothing to say.
    """
    columns = _Columns(counted, queries, shares, level, candidates)
    sources = [columns.visit(), columns.neighbors(), columns.popularity(), columns.categories(), columns.query()]
    if level == ITEM:
        sources.append(columns.vectors())
    names, values = [], []
    for name, column in (column for source in sources for column in source):
        names.append(name)
        values.append(np.asarray(column, dtype=np.float32))
    return names, np.stack(values, axis=1)


class _Columns:
    """Columns of one level's candidates; parameters as for :func:`features`."""

    def __init__(
        self,
        counted: Counted,
        queries: Queries,
        shares: Mapping[Level, NeighborShares],
        level: Level,
        candidates: Candidates,
    ) -> None:
        self.counted, self.queries, self.shares = counted, queries, shares
        self.level, self.candidates = level, candidates
        self.above = coarser(level, len(counted.parents))
        self.known = candidates.code < counted.levels[level].size
        code = np.where(self.known, candidates.code, 0)
        self.codes = {level: code} | {one: counted.ancestors(level, code, one.k) for one in self.above}

    def visit(self) -> Iterator[Column]:
        """Give the signals of the visit, where there is one; :meth:`categories` has those of all candidates."""
        signals = self.queries.visits[self.level].signals
        there = self.candidates.visit >= 0
        rows = signals[np.maximum(self.candidates.visit, 0)]
        n_behaviors = self.queries.table.behaviors.shape[1]
        for place, name in enumerate([*SIGNALS, *(f"events of behavior {n}" for n in range(n_behaviors))]):
            yield name, np.where(there, rows[:, place], np.nan)
        if self.queries.table.earlier is not None:
            for place, name in enumerate(EARLIER, start=rows.shape[1] - len(EARLIER)):
                yield name, np.where(there, rows[:, place], np.nan)

    def neighbors(self) -> Iterator[Column]:
        """Look up the shares near the visits, at the level and at the coarser ones."""
        for level in (self.level, *self.above):
            of_level = self.shares[level]
            for weight in WEIGHTS if level == self.level else _FEW:
                for relation in RELATIONS:
                    share = of_level.at(weight, relation, self.candidates.query, self.codes[level])
                    yield f"{level} {relation} {weight}", np.where(self.known, share, np.nan)
        for place, relation in enumerate(RELATIONS):
            share = self.shares[self.level].at("current", relation, self.candidates.query, self.codes[self.level])
            support = self.shares[self.level].support[self.candidates.query, place]
            yield f"counts {relation} current", np.where(self.known, np.log1p(share * support), np.nan)
            yield f"counts {relation} current of all", np.log1p(support)

    def popularity(self) -> Iterator[Column]:
        """Count runs of the code and of its categories, and give the share of each in the next coarser one."""
        finer: Doubles | None = None
        for level in (self.level, *self.above):
            runs = self.counted.levels[level].popularity[self.codes[level]].astype(np.float64)
            yield f"{level} runs", np.where(self.known, np.log1p(runs), np.nan)
            if finer is not None:
                share = np.divide(finer, runs, out=np.zeros_like(runs), where=runs > 0)
                yield f"{level} share of it", np.where(self.known, share, np.nan)
            finer = runs

    def categories(self) -> Iterator[Column]:
        """Compare each category with the current one, and give its share in the visits, weighed by recency."""
        visits, table, query = self.queries.visits[self.level], self.queries.table, self.candidates.query
        weight = WEIGHTS["recent"](visits.since)
        total = np.bincount(visits.query, weight, len(self.queries))
        run = visits.run[np.maximum(self.candidates.visit, 0)]
        for level in self.above:
            of_visits = table.codes(level)[visits.run]
            # What training never saw is a visit, and so has the categories of its run.
            code = np.where(self.known, self.codes[level], table.codes(level)[run])
            yield f"{level} is current", code == self.queries.current(level)[query]
            width = int(max(of_visits.max(initial=0), code.max(initial=0))) + 2
            keys, place = np.unique(visits.query * width + of_visits + 1, return_inverse=True)
            sums = np.bincount(place, weight, len(keys))
            asked = query * width + code + 1
            found = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
            yield f"{level} share of visits", np.where(keys[found] == asked, sums[found], 0) / total[query]

    def query(self) -> Iterator[Column]:
        """Tell what is known of the session, for all of its candidates alike."""
        context = self.queries.visits[self.level].context[self.candidates.query]
        n_behaviors = self.queries.table.behaviors.shape[1]
        for place, name in enumerate([*CONTEXT, *(f"behavior {n} of the open run" for n in range(n_behaviors))]):
            if name != "constant":
                yield name, context[:, place]

    def vectors(self) -> Iterator[Column]:
        """Give the cosine with the mean vector of the visits, weighed; NaN where either has none."""
        visits, query = self.queries.visits[ITEM], self.candidates.query
        there = (visits.code >= 0) & (visits.code < len(self.counted.vectors))
        vectors = self.counted.vectors[self.codes[ITEM]]
        has_one = self.known & (vectors != 0).any(axis=1)
        for name in _FEW:
            place = (visits.query[there], visits.code[there])
            shape = (len(self.queries), len(self.counted.vectors))
            mean = sp.csr_array((WEIGHTS[name](visits.since)[there], place), shape=shape) @ self.counted.vectors
            length = np.linalg.norm(mean, axis=1)
            product = np.einsum("cd,cd->c", vectors, mean[query])
            cosine = np.divide(product, length[query], out=np.full(len(query), np.nan), where=length[query] > 0)
            yield f"cosine {name}", np.where(has_one, cosine, np.nan)
