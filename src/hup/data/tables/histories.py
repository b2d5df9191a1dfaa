"""Histories: rows in order of key and time, in blocks; which repeat others, where sessions begin, times between them.

A history is a session of the log, or all that a user did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.columns import changes

BLOCK_ROWS = 1 << 18

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of whole keys, in order of key and time; all columns have shape (rows,).

    Attributes
    ----------
    key : ndarray of int64
        Whose events they are.
    file : ndarray of int32
        Where the rows come from.
    item_id : ndarray of int32
        What was looked at.
    category : ndarray of int32 or None
        Which category the row saw the item in.
    behavior : ndarray of uint8
        What was done.
    time_ms : ndarray of int64
        When, in milliseconds.
    event_id : Array or None
        Ids of any type that Arrow can compare; null where a row has none.
    interval, dwell : ndarray of float32 or None
        Seconds that the log states; NaN where it states none.
    """

    key: Ints
    file: npt.NDArray[np.int32]
    item_id: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32] | None
    behavior: npt.NDArray[np.uint8]
    time_ms: Ints
    event_id: pa.Array | None
    interval: Floats | None
    dwell: Floats | None

    def __len__(self) -> int:
        return len(self.key)

    def select(self, rows: Bools) -> Block:
        """Give some of the rows, in the same order, without their event ids."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "event_id"}
        chosen: dict[str, Any] = {name: None if column is None else column[rows] for name, column in numbers.items()}
        return Block(event_id=None, **chosen)


def key_blocks(batches: Iterable[pa.RecordBatch], advance: Callable[[int], None]) -> Iterator[Block]:
    """Divide rows into blocks that end where a key ends.

    Parameters
    ----------
    batches : iterable of RecordBatch
        The columns of `Block`, without or with ``event_id``, ``interval`` and ``dwell``, in order of key and time.
    advance : callable
        Told the number of rows taken in.

    Yields
    ------
    Block
        About `BLOCK_ROWS` rows, or those of one longer key.

    Raises
    ------
    ValueError
        If the rows are not in order.
    """
    pending: list[pa.RecordBatch] = []
    n_pending, wanted, last_key = 0, BLOCK_ROWS, None
    for part in _parts(batches):
        advance(part.num_rows)
        pending.append(part)
        n_pending += part.num_rows
        if n_pending < wanted:
            continue
        end = _end_of_whole_keys(pending, n_pending)
        wanted = n_pending - end + BLOCK_ROWS
        if end:
            whole, pending = _divided(pending, end)
            n_pending -= end
            block = _in_order(whole, last_key)
            last_key = int(block.key[-1])
            yield block
    if pending:
        yield _in_order(pending, last_key)


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Divide large batches and leave out empty ones."""
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            yield batch.slice(start, BLOCK_ROWS)


def _end_of_whole_keys(pending: Sequence[pa.RecordBatch], n_pending: int) -> int:
    """Give the number of rows before the last key, whose rows may go on."""
    last = pending[-1].column("key")[-1].as_py()
    end = n_pending
    for part in reversed(pending):
        keys = part.column("key").to_numpy()
        same = len(keys) - int(np.searchsorted(keys, last))
        end -= same
        if same < len(keys):
            return end
    return 0


def _divided(parts: Sequence[pa.RecordBatch], end: int) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    """Divide rows into those before row `end` and the rest."""
    first, rest = [], []
    for part in parts:
        first.append(part.slice(0, max(0, min(end, part.num_rows))))
        rest.append(part.slice(max(0, min(end, part.num_rows))))
        end -= part.num_rows
    return [part for part in first if part.num_rows], [part for part in rest if part.num_rows]


def _in_order(parts: Sequence[pa.RecordBatch], last_key: int | None) -> Block:
    """Join rows to a block, seeing to it that they are in order and come after `last_key`."""
    block = _joined(parts)
    earlier, later = block.key[:-1], block.key[1:]
    ordered = (earlier < later) | ((earlier == later) & (block.time_ms[:-1] <= block.time_ms[1:]))
    if not ordered.all() or (last_key is not None and block.key[0] < last_key):
        raise ValueError("rows are not in order of key and time")
    return block


def _joined(parts: Sequence[pa.RecordBatch]) -> Block:
    there = set(parts[0].schema.names)
    columns: dict[str, Any] = {
        field.name: np.concatenate([part.column(field.name).to_numpy(zero_copy_only=False) for part in parts])
        if field.name in there
        else None
        for field in fields(Block)
        if field.name != "event_id"
    }
    ids = pa.concat_arrays([part.column("event_id") for part in parts]) if "event_id" in there else None
    return Block(event_id=ids, **columns)


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
    suspects = _not_ascending(block.event_id, history)
    distinct = block.event_id.take(pa.array(suspects)).dictionary_encode()
    codes = distinct.indices.fill_null(-1).to_numpy()
    n_codes = len(distinct.dictionary)
    times = np.bincount(codes + 1, minlength=n_codes + 1)
    times[0] = 0
    again = times[codes + 1] > 1
    rows = suspects[again]
    repeats[rows] = _seen_before(history[rows] * n_codes + codes[again])
    return repeats


def _not_ascending(ids: pa.Array, history: Ints) -> Ints:
    """List the rows of histories in which ids may repeat: not those whose numbers only ever grow, as nearly all do."""
    if not pa.types.is_integer(ids.type) or ids.null_count:
        return np.arange(len(ids))
    number = ids.to_numpy()
    grows = (number[1:] > number[:-1]) | (history[1:] != history[:-1])
    doubtful = np.unique(history[1:][~grows])
    return np.flatnonzero(np.isin(history, doubtful)) if len(doubtful) else np.empty(0, np.int64)


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
