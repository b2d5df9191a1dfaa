"""From ordered rows to sessions: without duplicates, cut, with the times between events, as raw columns on disk.

Rows stream through in blocks of whole histories, so memory is bounded by a block, however long the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.changes import changes
from hup.data.columns import map_column, open_columns
from hup.data.tables.duplicates import repeated_ids, repeated_rows
from hup.data.tables.key_blocks import Block, Bools, Ints, key_blocks, pieces
from hup.data.tables.session_cuts import HistoryRules, cut, dwells, has_target, intervals
from hup.data.tables.session_table import Sessions, ShortSessions, open_sessions

_EVENT_COLUMNS = {"item_id": np.int32, "behavior": np.uint8, "interval": np.float32, "dwell": np.float32}


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
    cut_keys : int
        Histories of so many rows (over `key_blocks.LONGEST_KEY`) that they were taken in pieces, each as a history of
        its own.
    """

    rows: int = 0
    events: int = 0
    duplicates: int = 0
    repeated_rows: int = 0
    older_events: int = 0
    short_events: int = 0
    short_sessions: int = 0
    capped_dwells: int = 0
    cut_keys: int = 0


@dataclass(frozen=True, eq=False)
class CutSessions:
    """Sessions and their events on disk.

    Attributes
    ----------
    folder : Path
        Where they are.
    sessions : Sessions
        The sessions that are used.
    short : ShortSessions
        Those that are not.
    counts : HistoryCounts
        What became of the rows.
    used_by_file : ndarray of int64, shape (files,)
        Events used of each file.
    """

    folder: Path
    sessions: Sessions
    short: ShortSessions
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
    cut_keys: set[int] = set()
    last_key = None
    with (
        open_columns(folder / "events", {**_EVENT_COLUMNS, "category": np.int32}) as event_columns,
        open_sessions(folder / "sessions", folder / "short") as sessions,
    ):
        for block in key_blocks(batches, advance):
            begins = pieces(block)
            cut_keys.update(_cut_keys(block, begins, last_key))
            last_key = block.key[-1]
            distinct, begins = _without(block, begins, repeated_ids)
            kept, begins = _without(distinct, begins, repeated_rows) if rules.drop_repeated_rows else (distinct, begins)
            newest, begins = cut(kept, begins, rules)
            is_used = has_target(newest, begins)
            sessions.append(newest, begins, is_used)
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
        short=ShortSessions.map(folder / "short"),
        counts=HistoryCounts(**counts, cut_keys=len(cut_keys)),
        used_by_file=used_by_file,
    )


def _without(block: Block, begins: Bools, repeats_of: Callable[[Block, Ints], Bools]) -> tuple[Block, Bools]:
    """Leave out rows that repeat an earlier one of their history, which is thus never the first."""
    repeats = repeats_of(block, np.cumsum(begins))
    return (block.select(~repeats), begins[~repeats]) if repeats.any() else (block, begins)


def _of_sessions(block: Block, begins: Bools, is_wanted: Bools) -> tuple[Block, Bools]:
    """Give the rows of some sessions."""
    if is_wanted.all():
        return block, begins
    lengths = np.diff(np.flatnonzero(begins), append=len(block))
    wanted = np.repeat(is_wanted, lengths)
    return block.select(wanted), begins[wanted]


def _cut_keys(block: Block, begins: Bools, last_key: int | None) -> list[int]:
    """List the keys that are not in this block alone, or not in one piece."""
    cut_here = block.key[begins & ~changes(block.key)]
    return [*cut_here.tolist(), *([int(block.key[0])] if block.key[0] == last_key else [])]
