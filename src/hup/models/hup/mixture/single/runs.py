"""Item runs of a live session as a table, and the visits at its end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hup.models.hup.live.state import EarlierRun, ItemRun, ProfileState
from hup.models.hup.mixture.earlier import before_sessions
from hup.models.hup.mixture.visit_signals import VisitFacts, context_of
from hup.models.hup.mixture.visits import RunTable, Visits
from hup.sessions.levels import UNKNOWN, Level

_NONE = -(1 << 40)  # equals no code


def live_table(state: ProfileState, levels: int, n_behaviors: int, earlier: Sequence[EarlierRun] | None) -> RunTable:
    """List the item runs of a live session that are remembered, the open one last.

    Parameters
    ----------
    state : ProfileState
        Of a session that has begun.
    levels, n_behaviors : int
    earlier : sequence of EarlierRun or None
        Runs of sessions before, which are put before; None = earlier sessions are not looked at.
    """
    run = state.begun
    now = ItemRun(state.current, state.items[state.current], run.n_events, UNKNOWN, run.behaviors)
    table = _table((*state.runs, now), levels, n_behaviors)
    if earlier is None:
        return table
    ages = [0 if state.began is None or one.ended is None else state.began - one.ended for one in earlier]
    return before_sessions(
        table,
        _table([one.run for one in earlier], levels, n_behaviors),
        np.zeros(len(earlier), dtype=np.int64),
        np.asarray([(one.ago, age) for one, age in zip(earlier, ages, strict=True)]).reshape(-1, 2),
    )


def _table(runs: Sequence[ItemRun], levels: int, n_behaviors: int) -> RunTable:
    """Lay out item runs as a table of one session."""
    rows = [(run.seen.code, *run.seen.path, run.events, run.dwell, *run.behaviors) for run in runs]
    numbers = np.array(rows, dtype=np.int64).reshape(-1, 1 + levels + 2 + n_behaviors)
    return RunTable(
        offsets=np.array([0, len(runs)]),
        item=numbers[:, 0].copy(),
        categories=numbers[:, 1 : 1 + levels].copy(),
        events=numbers[:, 1 + levels].astype(np.float32),
        dwell=np.maximum(numbers[:, 2 + levels] / 1000, 0).astype(np.float32),
        behaviors=numbers[:, 3 + levels :].astype(np.float32),
    )


def visits_at_end(table: RunTable, level: Level, *, most: int) -> Visits:
    """List the visits at the end of a table of one session: what :func:`visits_of` gives for its last run.

    Parameters
    ----------
    table : RunTable
        Of one session, not empty.
    level : Level
    most : int
        How many runs before the last one a visit may lie.
    """
    begin = max(0, len(table.item) - 1 - most)
    codes, events, dwell = table.codes(level)[begin:], table.events[begin:], table.dwell[begin:]
    behaviors, categories, is_now = table.behaviors[begin:], table.categories[begin:], table.is_now[begin:]
    at = len(codes) - 1
    by_code = np.argsort(codes, kind="stable")
    changes = np.flatnonzero(codes[by_code[1:]] != codes[by_code[:-1]]) + 1
    starts = np.concatenate([[0], changes])
    sizes = np.diff(starts, append=len(codes))
    last = by_code[starts + sizes - 1]
    by_time = np.argsort(last)
    run, sizes = last[by_time], sizes[by_time]

    def summed(values: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.add.reduceat(values[by_code].astype(np.float64), starts, axis=0)[by_time]
        return sums.astype(np.float32)

    since = np.arange(len(run))[::-1]
    is_open = run == at
    of_current = np.flatnonzero(codes[:at] == codes[at])
    before = int(of_current[-1]) if len(of_current) else -1  # last time that the user was on the current code
    n_runs, n_codes = int(np.count_nonzero(is_now)), int(np.count_nonzero(is_now[run]))
    facts = VisitFacts(
        since=since,
        runs_since=at - run,
        runs=sizes,
        events=summed(events),
        dwell=summed(dwell) - np.where(is_open, dwell[run], 0),
        last_events=events[run],
        last_dwell=np.where(is_open, 0, dwell[run]),
        followed=codes[run] == (codes[before + 1] if before >= 0 else _NONE),
        preceded=codes[run] == (codes[before - 1] if before > 0 else _NONE),
        session_runs=n_runs,
        session_codes=n_codes,
        behaviors=summed(behaviors),
        alike=categories[run] == categories[at],
        earlier=None if table.earlier is None else table.earlier[begin:][run],
    )
    context = context_of(np.asarray([n_runs]), np.asarray([n_codes]), events[-1:], behaviors[-1:])
    query = np.zeros(len(run), dtype=np.int64)
    end = np.asarray([begin + at])
    return Visits(begin + run, query, codes[run], is_open, since == 0, facts.signals(), end, context)
