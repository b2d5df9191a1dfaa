"""The sessions of event tables: cut from histories, kept on disk, put in the order of a dataset, named.

Rows stream through in blocks of whole histories, so memory is bounded by a block, however long the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.columns import changes, map_column, open_columns
from hup.data.rejects import SCHEMA, SESSION_DROPPED
from hup.data.session_log import SESSION_COLUMNS
from hup.data.tables import numbering
from hup.data.tables.histories import (
    Block,
    Bools,
    HistoryRules,
    Ints,
    cut,
    dwells,
    has_target,
    intervals,
    key_blocks,
    repeated_ids,
    repeated_rows,
)

BATCH_ROWS = 1 << 18
CHUNK_SESSIONS = 1 << 18
_REJECT_ROWS = 1 << 16
TOO_SHORT = "session has fewer than two item runs"
_SESSION_COLUMNS = {
    **{"key": np.int64, "part": np.int32, "parts": np.int32},
    **{"start_ms": np.int64, "end_ms": np.int64, "length": np.int64},
}
_EVENT_COLUMNS = {"item_id": np.int32, "behavior": np.uint8, "interval": np.float32, "dwell": np.float32}


@dataclass(frozen=True, eq=False)
class SessionTable:
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
    sessions : SessionTable
        The sessions that are used.
    short : SessionTable
        Those that are not, having fewer than two item runs; their events are not kept.
    counts : HistoryCounts
        What became of the rows.
    used_by_file : ndarray of int64, shape (files,)
        Events used of each file.
    """

    folder: Path
    sessions: SessionTable
    short: SessionTable
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
    into sessions (`histories.cut`); sessions with fewer than two item runs go; intervals and dwells are computed
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
        sessions=SessionTable.map(folder / "sessions"),
        short=SessionTable.map(folder / "short"),
        counts=HistoryCounts(**counts),
        used_by_file=used_by_file,
    )


def _without(block: Block, begins: Bools, repeats_of: Callable[[Block, Ints], Bools]) -> tuple[Block, Bools]:
    """Leave out rows that repeat an earlier one of their history, which is thus never the first."""
    repeats = repeats_of(block, np.cumsum(begins))
    return (block.select(~repeats), begins[~repeats]) if repeats.any() else (block, begins)


def _sessions(block: Block, begins: Bools) -> dict[str, Ints]:
    """Give the columns of `SessionTable`, a row for each session of a block."""
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


def stored_order(sessions: SessionTable, seed: int | None = None) -> Ints:
    """Order sessions by time, so that a split by place is one by time.

    Parameters
    ----------
    sessions : SessionTable
        In order of key and part.
    seed : int, optional
        Permute that order by this seed, for splits at random.

    Returns
    -------
    ndarray of int64, shape (sessions,)
        For each place in the dataset the number of its session: by time of the last event, then of the first, then by
        key and part.
    """
    order = np.lexsort((sessions.start_ms, sessions.end_ms))  # stable, hence of equals by key and part
    return order if seed is None else np.random.default_rng(seed).permutation(order)


def batches(cut: CutSessions, order: Ints) -> Iterator[pa.RecordBatch]:
    """Yield events in stored order.

    Parameters
    ----------
    cut : CutSessions
        Sessions and events.
    order : ndarray of int64, shape (sessions,)
        Of `stored_order`.

    Yields
    ------
    RecordBatch
        ``session`` int64 (place in `order`), ``item_id`` int32, ``behavior`` uint8, ``interval`` and ``dwell``
        float32; whole sessions, at most `BATCH_ROWS` rows. A longer session is several batches.
    """
    columns = cut.events()
    for begin in range(0, len(order), CHUNK_SESSIONS):
        chunk = order[begin : begin + CHUNK_SESSIONS]
        offset, length = cut.sessions.offset[chunk], cut.sessions.length[chunk]
        for group in _groups(np.cumsum(length)):
            rows = _rows(offset[group], length[group])
            session = np.repeat(np.arange(begin + group.start, begin + group.stop), length[group])
            for start in range(0, len(rows), BATCH_ROWS):
                piece = slice(start, start + BATCH_ROWS)
                gathered = {name: pa.array(column[rows[piece]]) for name, column in columns.items()}
                yield pa.record_batch({"session": pa.array(session[piece]), **gathered})


def _groups(ends: Ints) -> Iterator[slice]:
    """Divide sessions that end at `ends` into stretches of at most `BATCH_ROWS` events, or of one session."""
    first = rows = 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, rows + BATCH_ROWS, side="right")))
        yield slice(first, last)
        first, rows = last, int(ends[last - 1])


def _rows(offset: Ints, length: Ints) -> Ints:
    """List the places of the events of sessions that begin at `offset`."""
    begins = np.cumsum(length) - length
    return np.repeat(offset - begins, length) + np.arange(int(length.sum()))


class HistoryNames:
    """Whose histories are, and what the sessions cut from them are called.

    A session is named by its id in the tables; where they have none by its user and, if the user has several, a
    running number, as in ``u17#3``.

    Parameters
    ----------
    keys : Table
        ``user`` and ``session`` of each history, null where the log has none, by key.
    by : {"session", "gap", "user"}
        What a session is.
    """

    def __init__(self, keys: pa.Table, by: Literal["session", "gap", "user"]) -> None:
        self._user = keys["user"].combine_chunks()
        self._history = keys["session" if by == "session" else "user"].combine_chunks()

    def sessions(self, sessions: SessionTable, order: Ints) -> pa.Table:
        """Give `SESSION_COLUMNS` of sessions in stored order."""
        user = self._user.take(pa.array(sessions.key[order]))
        times = (pa.array(np.asarray(column[order])) for column in (sessions.start_ms, sessions.end_ms))
        return pa.table([self._names(sessions, order), user, *times], schema=SESSION_COLUMNS)

    def short_sessions(self, short: SessionTable) -> Iterator[pa.RecordBatch]:
        """Yield a reject row for each session that has no target."""
        for start in range(0, len(short), _REJECT_ROWS):
            places = np.arange(start, min(start + _REJECT_ROWS, len(short)))
            yield _sessions_dropped(self._names(short, places), pa.repeat(pa.scalar(TOO_SHORT), len(places)))

    def long_histories(self, too_long: pa.Table) -> pa.RecordBatch:
        """Give a reject row for each history that is left out for its length (``key`` and ``rows``)."""
        what = f"history has more than {numbering.LONGEST_HISTORY:,} events"
        reasons = [f"{what}: {rows:,}" for rows in too_long["rows"].to_pylist()]
        return _sessions_dropped(self._history.take(too_long["key"].combine_chunks()), pa.array(reasons, pa.string()))

    def _names(self, sessions: SessionTable, places: Ints) -> pa.LargeStringArray:
        history = self._history.take(pa.array(sessions.key[places]))
        number = pc.cast(pa.array(sessions.part[places] + 1), pa.large_string())
        numbered = pc.binary_join_element_wise(history, number, pa.scalar("#", pa.large_string()))
        return pc.if_else(pa.array(sessions.parts[places] > 1), numbered, history)


def _sessions_dropped(names: pa.LargeStringArray, reasons: pa.StringArray) -> pa.RecordBatch:
    n = len(names)
    nowhere = pa.nulls(n, pa.string()), pa.nulls(n, pa.int64())
    effect = pa.repeat(pa.scalar(SESSION_DROPPED), n)
    return pa.record_batch([*nowhere, names.cast(pa.string()), reasons, effect], SCHEMA)
