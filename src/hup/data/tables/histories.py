"""From ordered rows to sessions: without duplicates, cut, with the times between events, as raw columns on disk.

Rows stream through in blocks of whole histories, so memory is bounded by a block, however long the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.changes import changes
from hup.data.columns import map_column, open_columns
from hup.data.tables.key_blocks import Block, Bools, Ints, key_blocks
from hup.data.tables.session_cuts import (
    HistoryRules,
    cut,
    dwells,
    has_target,
    intervals,
    repeated_ids,
    repeated_rows,
)

_SESSION_COLUMNS = {
    **{"key": np.int64, "part": np.int32, "parts": np.int32},
    **{"start_ms": np.int64, "end_ms": np.int64, "length": np.int64},
}
_EVENT_COLUMNS = {"item_id": np.int32, "behavior": np.uint8, "interval": np.float32, "dwell": np.float32}


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions that histories were cut into, in order of key and part; every column has shape (sessions,).

    Attributes
    ----------
    key : ndarray of int64
        History that each was cut from.
    part : ndarray of int32
        Its number among the sessions of that history, used or not, oldest first, from 0.
    parts : ndarray of int32
        How many sessions that history was cut into.
    start_ms, end_ms : ndarray of int64
        Times of the first and the last event.
    length : ndarray of int64
        Number of events.
    """

    key: Ints
    part: npt.NDArray[np.int32]
    parts: npt.NDArray[np.int32]
    start_ms: Ints
    end_ms: Ints
    length: Ints

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def map(cls, folder: Path) -> Self:
        """Map the columns that `write_histories` wrote to `folder`."""
        return cls(**{name: map_column(folder, name, dtype) for name, dtype in _SESSION_COLUMNS.items()})

    @cached_property
    def offset(self) -> Ints:
        """Place of the first event in the event columns, shape (sessions,); of sessions that are used."""
        return np.cumsum(self.length) - self.length


@dataclass(frozen=True)
class HistoryCounts:
    """What became of the rows.

    Attributes
    ----------
    rows : int
        Rows read: the sum of the next five.
    events : int
        Events used.
    duplicates : int
        Rows whose event id an earlier row of their history has.
    repeated_rows : int
        Rows whose time, item and behavior an earlier row of their history has; counted where these are to go.
    older_events : int
        Events before the newest ones, where only these are wanted.
    short_events : int
        Events of sessions with fewer than two item runs.
    short_sessions : int
        These sessions.
    capped_dwells : int
        Item runs whose dwell was set to the cap.
    """

    rows: int = 0
    events: int = 0
    duplicates: int = 0
    repeated_rows: int = 0
    older_events: int = 0
    short_events: int = 0
    short_sessions: int = 0
    capped_dwells: int = 0


@dataclass(frozen=True, eq=False)
class CutSessions:
    """Sessions and their events on disk.

    Attributes
    ----------
    folder : Path
        Where they are.
    sessions : Sessions
        The sessions that are used.
    short : Sessions
        Those that are not, having fewer than two item runs; their events are not kept.
    counts : HistoryCounts
        What became of the rows.
    used_by_file : ndarray of int64, shape (files,)
        Events used of each file.
    """

    folder: Path
    sessions: Sessions
    short: Sessions
    counts: HistoryCounts
    used_by_file: Ints

    def categories(self) -> npt.NDArray[np.int32]:
        """Map the category code that each event saw its item in; 0 where the rows had none."""
        return map_column(self.folder / "events", "category", np.int32)

    def events(self) -> dict[str, npt.NDArray[Any]]:
        """Map ``item_id``, ``behavior``, ``interval`` and ``dwell`` of the events, session after session."""
        return {name: map_column(self.folder / "events", name, dtype) for name, dtype in _EVENT_COLUMNS.items()}


def write_histories(
    folder: Path,
    batches: Iterable[pa.RecordBatch],
    rules: HistoryRules,
    n_files: int,
    advance: Callable[[int], None] = lambda _rows: None,
) -> CutSessions:
    """Cut ordered rows into sessions and write their events as raw columns.

    In this order: rows whose event id their history had before go, then repeated rows if asked; histories are cut
    into sessions (`session_cuts.cut`); sessions with fewer than two item runs go; intervals and dwells are computed
    where the log states none. The result does not depend on where batches end.

    Parameters
    ----------
    folder : Path
        Where to write.
    batches : iterable of RecordBatch
        ``key``, ``file``, ``item_id``, ``behavior``, ``time_ms`` and, where the log has them, ``category`` (a code),
        ``event_id``, ``interval`` and ``dwell``, in order of key, time, event id and place.
    rules : HistoryRules
        What a session is.
    n_files : int
        Number of files.
    advance : callable, optional
        Told the number of rows read.

    Raises
    ------
    ValueError
        If the rows are not in order of key and time.
    """
    for name in ("events", "sessions", "short"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    used_by_file = np.zeros(n_files, np.int64)
    with (
        open_columns(folder / "events", {**_EVENT_COLUMNS, "category": np.int32}) as event_columns,
        open_columns(folder / "sessions", _SESSION_COLUMNS) as session_columns,
        open_columns(folder / "short", _SESSION_COLUMNS) as short_columns,
    ):
        for block in key_blocks(batches, advance):
            distinct, begins = _without(block, changes(block.key), repeated_ids)
            kept, begins = _without(distinct, begins, repeated_rows) if rules.drop_repeated_rows else (distinct, begins)
            newest, begins = cut(kept, begins, rules)
            is_used = has_target(newest, begins)
            sessions = _sessions(newest, begins)
            session_columns.append(**{name: column[is_used] for name, column in sessions.items()})
            short_columns.append(**{name: column[~is_used] for name, column in sessions.items()})
            used, begins = _of_sessions(newest, begins, is_used)
            dwell, n_capped = dwells(used, begins, rules.dwell_cap_ms)
            event_columns.append(
                item_id=used.item_id,
                category=used.category if used.category is not None else np.zeros(len(used), np.int32),
                behavior=used.behavior,
                interval=intervals(used, begins),
                dwell=dwell,
            )
            used_by_file += np.bincount(used.file, minlength=n_files)
            counts.update(
                rows=len(block),
                events=len(used),
                duplicates=len(block) - len(distinct),
                repeated_rows=len(distinct) - len(kept),
                older_events=len(kept) - len(newest),
                short_events=len(newest) - len(used),
                short_sessions=int((~is_used).sum()),
                capped_dwells=n_capped,
            )
    return CutSessions(
        folder=folder,
        sessions=Sessions.map(folder / "sessions"),
        short=Sessions.map(folder / "short"),
        counts=HistoryCounts(**counts),
        used_by_file=used_by_file,
    )


def _without(block: Block, begins: Bools, repeats_of: Callable[[Block, Ints], Bools]) -> tuple[Block, Bools]:
    """Leave out rows that repeat an earlier one of their history, which is thus never the first."""
    repeats = repeats_of(block, np.cumsum(begins))
    return (block.select(~repeats), begins[~repeats]) if repeats.any() else (block, begins)


def _sessions(block: Block, begins: Bools) -> dict[str, Ints]:
    """Give the columns of `Sessions`, a row for each session of a block."""
    starts = np.flatnonzero(begins)
    length = np.diff(starts, append=len(block))
    key = block.key[starts]
    first = np.flatnonzero(changes(key))
    parts = np.diff(first, append=len(key))
    return {
        "key": key,
        "part": np.arange(len(key)) - np.repeat(first, parts),
        "parts": np.repeat(parts, parts),
        "start_ms": block.time_ms[starts],
        "end_ms": block.time_ms[starts + length - 1],
        "length": length,
    }


def _of_sessions(block: Block, begins: Bools, is_wanted: Bools) -> tuple[Block, Bools]:
    """Give the rows of some sessions."""
    if is_wanted.all():
        return block, begins
    lengths = np.diff(np.flatnonzero(begins), append=len(block))
    wanted = np.repeat(is_wanted, lengths)
    return block.select(wanted), begins[wanted]
