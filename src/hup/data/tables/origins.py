"""Where sessions of event tables came from: histories, users, times, files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.manifest import Source
from hup.data.rejects import SCHEMA, SESSION_DROPPED
from hup.data.tables.histories import CutSessions
from hup.data.tables.log import TableLog
from hup.data.tables.session_table import Sessions, ShortSessions

Ints = npt.NDArray[np.int64]
BATCH_ROWS = 1 << 16
TOO_SHORT = "session has fewer than two item runs"


class TableOrigins:
    """Origins of sessions by their rank in stored order.

    A session is named by its id in the tables; where they have none by its user and, if the user has several, a
    running number, as in ``u17#3``.

    Parameters
    ----------
    log : TableLog
        The rows that were read.
    keys : Table
        ``user`` and ``session`` of each history, null where the log has none.
    sessions : CutSessions
        What the histories were cut into.
    order : ndarray of int64, shape (sessions,)
        Session at each rank.
    by : {"session", "gap", "user"}
        What a session is.
    """

    def __init__(
        self, log: TableLog, keys: pa.Table, sessions: CutSessions, order: Ints, by: Literal["session", "gap", "user"]
    ) -> None:
        self._log = log
        self._user = keys["user"].combine_chunks()
        self._history = keys["session" if by == "session" else "user"].combine_chunks()
        self._sessions = sessions
        self._order = order

    def names(self, sessions: Ints) -> pa.LargeStringArray:
        """Name each session."""
        return self._named(self._sessions.sessions, self._order[sessions])

    def users(self, sessions: Ints) -> pa.LargeStringArray:
        """Name the user of each session; null where the log does not say."""
        return self._user.take(pa.array(self._sessions.sessions.key[self._order[sessions]]))

    def times(self, sessions: Ints) -> tuple[pa.Int64Array, pa.Int64Array]:
        """Give the times of each session's first and last event, in ms since 1970."""
        place = self._order[sessions]
        table = self._sessions.sessions
        return pa.array(np.asarray(table.start_ms[place])), pa.array(np.asarray(table.end_ms[place]))

    def sources(self, sessions: Ints, events: Ints) -> list[Source]:
        """Describe the input files."""
        log = self._log
        used = self._sessions.used_by_file
        return [
            Source(file=file, bytes=size, lines=rows, used_events=int(count))
            for file, size, rows, count in zip(log.files, log.sizes, log.counts.rows_by_file, used, strict=True)
        ]

    def short_sessions(self) -> Iterator[pa.RecordBatch]:
        """Yield a reject row for each session that has no target."""
        short = self._sessions.short
        for start in range(0, len(short), BATCH_ROWS):
            places = np.arange(start, min(start + BATCH_ROWS, len(short)))
            n = len(places)
            columns = [
                pa.nulls(n, pa.string()),
                pa.nulls(n, pa.int64()),
                self._named(short, places).cast(pa.string()),
                pa.repeat(pa.scalar(TOO_SHORT), n),
                pa.repeat(pa.scalar(SESSION_DROPPED), n),
            ]
            yield pa.record_batch(columns, SCHEMA)

    def _named(self, table: Sessions | ShortSessions, places: Ints) -> pa.LargeStringArray:
        history = self._history.take(pa.array(table.key[places]))
        number = pc.cast(pa.array(table.part[places] + 1), pa.large_string())
        numbered = pc.binary_join_element_wise(history, number, pa.scalar("#", pa.large_string()))
        return pc.if_else(pa.array(table.parts[places] > 1), numbered, history)
