"""From the rows of histories to sessions: repeated rows, where sessions begin, and the times between their events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hup.data.changes import changes
from hup.data.tables.key_blocks import Block, Bools, Floats, Ints


@dataclass(frozen=True)
class HistoryRules:
    """How the events of a history become sessions.

    Attributes
    ----------
    by : {"session", "gap", "user"}
        A session is the whole history (a session of the log), is cut where the user was idle, or is a window of all
        that a user did.
    idle_gap_ms : int
        By gap: a longer pause begins a new session.
    window : int
        By user: most events of a session. Windows are counted from the newest event backwards, so that only the
        oldest can be smaller.
    last_events : int, optional
        Of each session only so many of the newest events are used; by user: of each user.
    dwell_cap_ms : int
        A longer dwell is set to this.
    drop_repeated_rows : bool
        Whether rows of the same time, item and behavior as an earlier row of the history go.
    """

    by: Literal["session", "gap", "user"]
    idle_gap_ms: int = 30 * 60 * 1000
    window: int = 200
    last_events: int | None = None
    dwell_cap_ms: int = 30 * 60 * 1000
    drop_repeated_rows: bool = False


def repeated_ids(block: Block, history: Ints) -> Bools:
    """Tell the rows whose event id an earlier row of their history has.

    Parameters
    ----------
    block : Block
        Rows with event ids; a row whose id is null repeats nothing.
    history : ndarray of int64, shape (rows,)
        Number of the history that each row belongs to, ascending.
    """
    repeats = np.zeros(len(block), bool)
    if block.event_id is None:
        return repeats
    distinct = block.event_id.dictionary_encode()
    codes = distinct.indices.fill_null(-1).to_numpy()
    n_codes = len(distinct.dictionary)
    if n_codes + block.event_id.null_count == len(codes):
        return repeats
    times = np.bincount(codes + 1, minlength=n_codes + 1)
    times[0] = 0
    rows = np.flatnonzero(times[codes + 1] > 1)
    repeats[rows] = _seen_before(history[rows] * n_codes + codes[rows])
    return repeats


def repeated_rows(block: Block, history: Ints) -> Bools:
    """Tell the rows whose time, item and behavior an earlier row of their history has.

    Parameters
    ----------
    block : Block
        Rows in order of time within each history.
    history : ndarray of int64, shape (rows,)
        Number of the history that each row belongs to, ascending.
    """
    begins = changes(block.time_ms) | changes(history)
    tied = ~begins
    tied[:-1] |= ~begins[1:]
    rows = np.flatnonzero(tied)
    repeats = np.zeros(len(block), bool)
    moment = np.cumsum(begins)[rows]
    what = block.item_id[rows].astype(np.int64) << 8 | block.behavior[rows]
    order = np.lexsort((what, moment))
    same = ~(changes(what[order]) | changes(moment[order]))
    repeats[rows[order]] = same
    return repeats


def _seen_before(values: npt.NDArray[Any]) -> Bools:
    """Tell the values that stand further in front, too."""
    order = np.argsort(values, kind="stable")
    seen = np.empty(len(values), bool)
    seen[order] = ~changes(values[order])
    return seen


def cut(block: Block, begins: Bools, rules: HistoryRules) -> tuple[Block, Bools]:
    """Cut whole histories into sessions.

    Parameters
    ----------
    block : Block
        The rows.
    begins : ndarray of bool, shape (rows,)
        Where a history begins.
    rules : HistoryRules
        How to cut. A gap cuts first, then each session keeps its newest events, then users are cut into windows.

    Returns
    -------
    Block
        The rows that are used.
    ndarray of bool
        Those at which a session begins.
    """
    if rules.by == "gap":
        begins = begins | (np.diff(block.time_ms, prepend=block.time_ms[:1]) > rules.idle_gap_ms)
    if rules.last_events is None and rules.by != "user":
        return block, begins
    to_end = _to_end(begins)
    if rules.by == "user":
        begins = begins | (to_end % rules.window == 0)
    if rules.last_events is not None:
        newest = to_end <= rules.last_events
        begins = begins | (to_end == rules.last_events)
        if not newest.all():
            block, begins = block.select(newest), begins[newest]
    return block, begins


def has_target(block: Block, begins: Bools) -> Bools:
    """Tell which sessions have at least two item runs; shape (sessions,)."""
    moves = changes(block.item_id) & ~begins
    return np.logical_or.reduceat(moves, np.flatnonzero(begins))


def intervals(block: Block, begins: Bools) -> Floats:
    """Give the seconds from each event to the next of its session.

    NaN for the last one of a session. What the log states wins.
    """
    seconds = np.empty(len(block), np.float32)
    seconds[:-1] = np.diff(block.time_ms) / 1000
    seconds[:-1][begins[1:]] = np.nan
    seconds[-1:] = np.nan
    if block.interval is None:
        return seconds
    return np.where(np.isnan(block.interval), seconds, block.interval)


def dwells(block: Block, begins: Bools, cap_ms: int) -> tuple[Floats, int]:
    """Give the seconds that each event's item run lasted, and the number of runs that lasted longer than the cap.

    A run lasts from its first event to the first event of the session's next run; how long the last one of a session
    lasted is not known (NaN). Where the log states the dwell of events of the run, the last such statement wins.

    Parameters
    ----------
    block : Block
        The rows.
    begins : ndarray of bool, shape (rows,)
        Where a session begins.
    cap_ms : int
        Most milliseconds of a run.
    """
    run_begins = begins | changes(block.item_id)
    starts = np.flatnonzero(run_begins)
    seconds = np.empty(len(starts), np.float32)
    seconds[:-1] = np.diff(block.time_ms[starts]) / 1000
    seconds[:-1][begins[starts[1:]]] = np.nan
    seconds[-1:] = np.nan
    if block.dwell is not None:
        row = np.where(np.isnan(block.dwell), -1, np.arange(len(block)))
        last_stated = np.maximum.reduceat(row, starts)
        seconds = np.where(last_stated >= 0, block.dwell[last_stated], seconds)
    cap = np.float32(cap_ms / 1000)
    over = seconds > cap
    seconds[over] = cap
    return np.repeat(seconds, np.diff(starts, append=len(block))), int(over.sum())


def _to_end(begins: Bools) -> Ints:
    """Count for each row the rows from it to the last of its session, both included."""
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(begins))
    return np.repeat(ends, ends - starts) - np.arange(len(begins))
