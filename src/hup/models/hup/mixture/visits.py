"""What a session has already been on: for every moment the distinct codes so far, and what the user did with each.

A *visit* pairs a query (an item run at whose end something is to be recommended) with a code of its session, at the
last run on which the code was met by then. So a query has one visit for each distinct code of its prefix, and the first
of them, by recency, is the code that the user is on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hup.models.hup.mixture.visit_signals import VisitFacts, context_of
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level, ragged_arange
from hup.sessions.runs import runs_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_NONE = -(1 << 40)  # equals no code


@dataclass(frozen=True)
class RunTable:
    """The item runs of ``B`` sessions, ``R`` in all; the last one of each is still open.

    Attributes
    ----------
    offsets : ndarray
        ``(B + 1,)`` int64.
    item : ndarray
        ``(R,)`` int64 codes; beyond the vocabulary where not known.
    categories : ndarray
        ``(R, K)`` int64, column ``k - 1`` is ``category_k``.
    events : ndarray
        ``(R,)`` float32, events of each run.
    dwell : ndarray
        ``(R,)`` float32 seconds, 0 where not known; that of open runs is not looked at.
    behaviors : ndarray
        ``(R, n_behaviors)`` float32, events by behavior.
    earlier : ndarray or None
        ``(R, 2)`` float32: how many sessions ago a run was, and seconds from that session's end to the session's
        beginning; 0 and 0 = it is of the session itself. None where earlier sessions are not looked at.
    """

    offsets: Ints
    item: Ints
    categories: Ints
    events: Floats
    dwell: Floats
    behaviors: Floats
    earlier: Floats | None = None

    @property
    def is_now(self) -> NDArray[np.bool_]:
        """Runs of the session itself, ``(R,)``; those of earlier ones stand before them."""
        return np.ones(len(self.item), dtype=bool) if self.earlier is None else self.earlier[:, 0] == 0

    @property
    def session(self) -> Ints:
        """Row of the session that each run belongs to, ``(R,)``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def codes(self, level: Level) -> Ints:
        """Codes of a level, ``(R,)``."""
        return level.pick(self.item, tuple(self.categories.T))

    def of_runs(self, runs: Ints | slice, offsets: Ints | None = None) -> RunTable:
        """Take some runs, of sessions with these offsets; default one session. Of a slice nothing is copied."""
        parts = {name: getattr(self, name)[runs] for name in ("item", "categories", "events", "dwell", "behaviors")}
        if offsets is None:
            offsets = np.asarray([0, len(parts["item"])])
        return RunTable(offsets=offsets, earlier=None if self.earlier is None else self.earlier[runs], **parts)

    def parents(self, level: Level) -> Ints:
        """Codes of the next coarser level, ``(R,)``: of items category_K; -1 where there is none."""
        above = level.k - 1 if level.is_category else self.categories.shape[1]
        return self.codes(Level.category(above)) if above else np.full(len(self.item), -1)


@dataclass(frozen=True)
class Visits:
    """The ``P`` visits of ``Q`` queries at one level, query by query, oldest first.

    Attributes
    ----------
    run : ndarray
        ``(P,)`` int64, last run on the code by then.
    query : ndarray
        ``(P,)`` int64, row of the query.
    code : ndarray
        ``(P,)`` int64.
    is_open : ndarray
        ``(P,)`` bool, the run is the query's own.
    is_current : ndarray
        ``(P,)`` bool, the code is the one that the user is on.
    signals : ndarray
        ``(P, F)`` float32, :meth:`~hup.models.hup.mixture.visit_signals.VisitFacts.signals`.
    query_run : ndarray
        ``(Q,)`` int64.
    context : ndarray
        ``(Q, G)`` float32, :func:`~hup.models.hup.mixture.visit_signals.context_of`.
    """

    run: Ints
    query: Ints
    code: Ints
    is_open: NDArray[np.bool_]
    is_current: NDArray[np.bool_]
    signals: Floats
    query_run: Ints
    context: Floats

    @cached_property
    def since(self) -> Ints:
        """Distinct codes since each visit, ``(P,)``; 0 = it is the current one."""
        ends: Ints = np.searchsorted(self.query, self.query, side="right")
        return ends - 1 - np.arange(len(self.query))


def run_table(histories: Histories, n_behaviors: int) -> RunTable:
    """Collapse histories into their item runs.

    Parameters
    ----------
    histories : Histories
    n_behaviors : int
        Behaviors that the vocabulary knows; events of others are counted, too, but as none of them.
    """
    runs = runs_of(histories, ITEM)
    first, last = runs.first.numpy(), runs.last.numpy()
    n_runs = len(first)
    counts = last - first + 1
    run, behavior = np.repeat(np.arange(n_runs), counts), histories.behavior.numpy()
    known = behavior >= 0
    cells = np.bincount(run[known] * n_behaviors + behavior[known], minlength=n_runs * n_behaviors)
    dwell = runs.dwell.numpy()
    return RunTable(
        offsets=runs.offsets.numpy(),
        item=histories.item.numpy()[first],
        categories=histories.categories.numpy()[first],
        events=counts.astype(np.float32),
        dwell=np.where(np.isnan(dwell), 0, np.maximum(dwell, 0)).astype(np.float32),
        behaviors=cells.reshape(n_runs, n_behaviors).astype(np.float32),
    )


def last_runs(table: RunTable) -> Ints:
    """Run that each session is on, ``(B,)``."""
    return table.offsets[1:] - 1


def last_events(table: RunTable) -> Ints:
    """Last event of every run, ``(R,)``."""
    return np.cumsum(table.events.astype(np.int64)) - 1


def spread(offsets: Ints, most: int) -> Ints:
    """Choose at most so many runs of each session, evenly spaced and the last among them, ``(Q,)`` ascending."""
    lengths = np.diff(offsets)
    counts = np.minimum(lengths, most)
    session = np.repeat(np.arange(len(lengths)), counts)
    place = ragged_arange(np.zeros_like(counts), counts)
    return np.sort(offsets[1:][session] - 1 - place * lengths[session] // counts[session])


def visits_of(table: RunTable, level: Level, queries: Ints | None = None, *, most: int) -> Visits:
    """List the visits of a level.

    Every query looks back over a bounded number of runs, and sees nothing of what was before: all is as if the session
    had begun there. So a long session costs in proportion to its length, and a live profile the same after every event.

    Parameters
    ----------
    table : RunTable
    level : Level
    queries : ndarray, optional
        ``(Q,)`` int64, ascending: runs at whose ends something is asked, of the sessions themselves; default all.
    most : int
        How many runs before a query's a visit may lie.
    """
    codes, session = table.codes(level), table.session
    n_runs = len(codes)
    end = table.offsets[1:][session]
    groups = _Groups.of(session, codes, end)
    runs = np.arange(n_runs)
    begin = np.maximum(table.offsets[:-1][session], runs - most)  # of what a query at each run sees
    query_run = np.flatnonzero(table.is_now) if queries is None else queries
    # A run is the last one on its code for the queries from it to the next run on the code.
    low = np.searchsorted(query_run, runs)
    spans = np.searchsorted(query_run, np.minimum(groups.following, runs + most + 1)) - low
    run, query = np.repeat(runs, spans), ragged_arange(low, spans)
    order = np.lexsort((run, query))
    run, query = run[order], query[order]
    at = query_run[query]

    since = np.cumsum(np.bincount(query, minlength=len(query_run)))[query] - 1 - np.arange(len(run))
    n_distinct = np.bincount(query, table.is_now[run], minlength=len(query_run))
    n_earlier = np.bincount(session, ~table.is_now, minlength=len(table.offsets) - 1).astype(np.int64)
    begin_now = np.maximum(begin, (table.offsets[:-1] + n_earlier)[session])
    is_open = run == at
    before = groups.previous[at]  # last time that the user was on the current code
    inside = np.maximum(before, 0)
    followed = np.where(before >= begin[at], codes[np.minimum(inside + 1, n_runs - 1)], _NONE) == codes[run]
    preceded = np.where(before > begin[at], codes[np.maximum(inside - 1, 0)], _NONE) == codes[run]
    first = groups.first_from(run, begin[at])
    dwell_so_far = groups.between(table.dwell[:, None], first, run)[:, 0] - np.where(is_open, table.dwell[run], 0)
    facts = VisitFacts(
        since=since,
        runs_since=at - run,
        runs=groups.place[run] - groups.place[first] + 1,
        events=groups.between(table.events[:, None], first, run)[:, 0],
        dwell=dwell_so_far,
        last_events=table.events[run],
        last_dwell=np.where(is_open, 0, table.dwell[run]),
        followed=followed,
        preceded=preceded,
        session_runs=at - begin_now[at] + 1,
        session_codes=n_distinct[query],
        behaviors=groups.between(table.behaviors, first, run),
        alike=table.categories[run] == table.categories[at],
        earlier=None if table.earlier is None else table.earlier[run],
    )
    runs_so_far = query_run - begin_now[query_run] + 1
    context = context_of(runs_so_far, n_distinct, table.events[query_run], table.behaviors[query_run])
    return Visits(run, query, codes[run], is_open, since == 0, facts.signals(), query_run, context)


@dataclass(frozen=True)
class _Groups:
    """Runs of one session on one code, in order of time.

    Attributes
    ----------
    order, place : ndarray
        ``(R,)``, runs group by group, and where each of them stands there.
    group : ndarray
        ``(R,)``, number of the group at each place.
    starts : ndarray
        ``(G,)``, place at which each group begins.
    following, previous : ndarray
        ``(R,)``, next run on the same code, else the session's end; the one before, else -1.
    """

    order: Ints
    place: Ints
    group: Ints
    starts: Ints
    following: Ints
    previous: Ints

    @classmethod
    def of(cls, session: Ints, codes: Ints, end: Ints) -> _Groups:
        """Group runs by session and code; ``end`` is ``(R,)``, one past the last run of each one's session."""
        n_runs = len(codes)
        order = np.lexsort((np.arange(n_runs), codes, session))
        same = (codes[order][1:] == codes[order][:-1]) & (session[order][1:] == session[order][:-1])
        following, previous = end.copy(), np.full(n_runs, -1)
        following[order[:-1][same]] = order[1:][same]
        previous[order[1:][same]] = order[:-1][same]
        starts = np.concatenate([[True], ~same])
        place = np.empty(n_runs, dtype=np.int64)
        place[order] = np.arange(n_runs)
        return cls(order, place, np.cumsum(starts) - 1, np.flatnonzero(starts), following, previous)

    def first_from(self, run: Ints, begin: Ints) -> Ints:
        """Give the first run on the same code as ``run`` ``(P,)`` that is not before ``begin`` ``(P,)``."""
        group = self.group[self.place[run]]
        first = self.order[self.starts[group]]
        late = np.flatnonzero(first < begin)
        if len(late):
            n_runs = len(self.order)
            by_time = self.group * n_runs + self.order  # ascending
            first[late] = self.order[np.searchsorted(by_time, group[late] * n_runs + begin[late])]
        return first

    def between(self, values: Floats, first: Ints, last: Ints) -> Floats:
        """Sum over the runs of a group from one to another, both among them: ``(R, c)`` gives ``(P, c)``."""
        total = np.concatenate(
            [np.zeros((1, values.shape[1])), np.cumsum(values[self.order], axis=0, dtype=np.float64)]
        )
        sums: Floats = (total[self.place[last] + 1] - total[self.place[first]]).astype(np.float32)
        return sums


def joined(table: RunTable, item: Ints, categories: Ints) -> RunTable:
    """Put one more run behind every session, the target's: codes ``(B,)`` and ``(B, K)``, of which nothing is known."""
    at = table.offsets[1:]
    zero = np.zeros(len(at), dtype=np.float32)
    return replace(
        table,
        offsets=table.offsets + np.arange(len(table.offsets)),
        item=np.insert(table.item, at, item),
        categories=np.insert(table.categories, at, categories, axis=0),
        events=np.insert(table.events, at, zero),
        dwell=np.insert(table.dwell, at, zero),
        behaviors=np.insert(table.behaviors, at, 0, axis=0),
        earlier=None if table.earlier is None else np.insert(table.earlier, at, 0, axis=0),
    )
