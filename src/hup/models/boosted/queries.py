"""Queries: prefixes of sessions, at whose end something is to be ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hup.models.hup.mixture.visits import RunTable, Visits, last_runs, visits_of
from hup.sessions.levels import Level, ragged_arange, ranked_levels

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Queries:
    """``Q`` queries, one at the end of each session of a table.

    Attributes
    ----------
    table : RunTable
    visits : mapping of Level to Visits
        Of every level that is recommended.
    """

    table: RunTable
    visits: Mapping[Level, Visits]

    def __len__(self) -> int:
        return len(self.table.offsets) - 1

    @classmethod
    def of(cls, table: RunTable, most: int) -> Self:
        """Ask at the end of every session; a visit lies at most so many runs before it."""
        ends = last_runs(table)
        visits = {level: visits_of(table, level, ends, most=most) for level in ranked_levels(table.categories.shape[1])}
        return cls(table, visits)

    def current(self, level: Level) -> Ints:
        """Code that every user is on, ``(Q,)``."""
        return self.table.codes(level)[last_runs(self.table)]


def prefixes(table: RunTable, at: Ints) -> RunTable:
    """Cut sessions after their own runs ``at``, ``(Q,)``: a table of Q sessions, the last run of each still open."""
    begin = table.offsets[:-1][table.session[at]]
    lengths = at - begin + 1
    runs = ragged_arange(begin, lengths)
    return table.of_runs(runs, np.concatenate([[0], np.cumsum(lengths)]))
