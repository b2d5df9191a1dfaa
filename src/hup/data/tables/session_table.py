"""The table of sessions that histories were cut into, on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from hup.data.changes import changes
from hup.data.columns import ColumnWriter, map_column, open_columns
from hup.data.tables.key_blocks import Block, Bools, Ints

Int32s = npt.NDArray[np.int32]

_SHORT_COLUMNS = {"key": np.int64, "part": np.int32, "parts": np.int32, "start_ms": np.int64, "length": np.int64}
_COLUMNS = {**_SHORT_COLUMNS, "end_ms": np.int64, "offset": np.int64}


@dataclass(frozen=True, eq=False)
class ShortSessions:
    """Sessions that are not used, having fewer than two item runs, in order of key and part.

    Attributes
    ----------
    key : ndarray of int64, shape (sessions,)
        History that each was cut from.
    part : ndarray of int32, shape (sessions,)
        Its number among the sessions of that history, used or not, oldest first, from 0.
    parts : ndarray of int32, shape (sessions,)
        How many sessions that history was cut into.
    start_ms : ndarray of int64, shape (sessions,)
        Time of the first event.
    length : ndarray of int64, shape (sessions,)
        Number of events.
    """

    key: Ints
    part: Int32s
    parts: Int32s
    start_ms: Ints
    length: Ints

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def map(cls, folder: Path) -> Self:
        """Map the columns that a `SessionWriter` wrote to `folder`."""
        return cls(**{name: map_column(folder, name, dtype) for name, dtype in _SHORT_COLUMNS.items()})


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions that are used, in order of key and part: columns as in `ShortSessions`, and two more.

    Attributes
    ----------
    end_ms : ndarray of int64, shape (sessions,)
        Time of the last event.
    offset : ndarray of int64, shape (sessions,)
        Place of the first event in the event columns.
    """

    key: Ints
    part: Int32s
    parts: Int32s
    start_ms: Ints
    length: Ints
    end_ms: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def map(cls, folder: Path) -> Self:
        """Map the columns that a `SessionWriter` wrote to `folder`."""
        return cls(**{name: map_column(folder, name, dtype) for name, dtype in _COLUMNS.items()})


class SessionWriter:
    """Appends the sessions of block after block; use `open_sessions`."""

    def __init__(self, used: ColumnWriter, short: ColumnWriter) -> None:
        self._used = used
        self._short = short
        self._n_events = 0
        self._last_key: int | None = None
        self._last_parts = 0
        self.continued: dict[int, int] = {}

    def append(self, block: Block, begins: Bools, is_used: Bools) -> None:
        """Append the sessions of a block.

        Parameters
        ----------
        block : Block
            Rows.
        begins : ndarray of bool, shape (rows,)
            Where a session begins.
        is_used : ndarray of bool, shape (sessions,)
            Whether the session's events are written.
        """
        starts = np.flatnonzero(begins)
        length = np.diff(starts, append=len(block))
        part, parts = self._numbers(block.key[starts])
        columns = {
            "key": block.key[starts],
            "part": part,
            "parts": parts,
            "start_ms": block.time_ms[starts],
            "length": length,
        }
        self._short.append(**{name: values[~is_used] for name, values in columns.items()})
        used_length = length[is_used]
        offset = self._n_events + np.cumsum(used_length) - used_length
        self._n_events += int(used_length.sum())
        columns["end_ms"] = block.time_ms[starts + length - 1]
        self._used.append(offset=offset, **{name: values[is_used] for name, values in columns.items()})

    def _numbers(self, key: Ints) -> tuple[Ints, Ints]:
        """Give each session its number and their count, by key; the first key can go on from the block before."""
        starts = np.flatnonzero(changes(key))
        lengths = np.diff(starts, append=len(key))
        part = np.arange(len(key)) - np.repeat(starts, lengths)
        parts = np.repeat(lengths, lengths)
        if key[0] == self._last_key:
            part[: lengths[0]] += self._last_parts
            parts[: lengths[0]] += self._last_parts
            self.continued[int(key[0])] = int(parts[0])
        self._last_key, self._last_parts = int(key[-1]), int(parts[-1])
        return part, parts


@contextmanager
def open_sessions(used: Path, short: Path) -> Iterator[SessionWriter]:
    """Open the columns of sessions in two folders; `Sessions.map` and `ShortSessions.map` read them afterwards."""
    with open_columns(used, _COLUMNS) as used_columns, open_columns(short, _SHORT_COLUMNS) as short_columns:
        writer = SessionWriter(used_columns, short_columns)
        yield writer
    for folder in (used, short):
        _correct_parts(folder, writer.continued)


def _correct_parts(folder: Path, parts_of: dict[int, int]) -> None:
    """Tell all sessions of a key that was in several blocks how many there were in the end."""
    keys = map_column(folder, "key", np.int64)
    for key, parts in parts_of.items():
        start, end = np.searchsorted(keys, [key, key + 1])
        if start < end:
            np.memmap(folder / "parts.raw", np.int32, mode="r+")[start:end] = parts
