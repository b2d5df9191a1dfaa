"""Sessions as a dataset stores them: their order, their events, their names and users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.rejects import SCHEMA, SESSION_DROPPED
from hup.data.session_log import SESSION_COLUMNS
from hup.data.tables import numbering
from hup.data.tables.histories import CutSessions, Sessions
from hup.data.tables.key_blocks import Ints

BATCH_ROWS = 1 << 18
CHUNK_SESSIONS = 1 << 18
_REJECT_ROWS = 1 << 16
TOO_SHORT = "session has fewer than two item runs"


def stored_order(sessions: Sessions, seed: int | None = None) -> Ints:
    """Order sessions by time, so that a split by place is one by time.

    Parameters
    ----------
    sessions : Sessions
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

    def sessions(self, sessions: Sessions, order: Ints) -> pa.Table:
        """Give `SESSION_COLUMNS` of sessions in stored order."""
        user = self._user.take(pa.array(sessions.key[order]))
        times = (pa.array(np.asarray(column[order])) for column in (sessions.start_ms, sessions.end_ms))
        return pa.table([self._names(sessions, order), user, *times], schema=SESSION_COLUMNS)

    def short_sessions(self, short: Sessions) -> Iterator[pa.RecordBatch]:
        """Yield a reject row for each session that has no target."""
        for start in range(0, len(short), _REJECT_ROWS):
            places = np.arange(start, min(start + _REJECT_ROWS, len(short)))
            yield _sessions_dropped(self._names(short, places), pa.repeat(pa.scalar(TOO_SHORT), len(places)))

    def long_histories(self, too_long: pa.Table) -> pa.RecordBatch:
        """Give a reject row for each history that is left out for its length (``key`` and ``rows``)."""
        what = f"history has more than {numbering.LONGEST_HISTORY:,} events"
        reasons = [f"{what}: {rows:,}" for rows in too_long["rows"].to_pylist()]
        return _sessions_dropped(self._history.take(too_long["key"].combine_chunks()), pa.array(reasons, pa.string()))

    def _names(self, sessions: Sessions, places: Ints) -> pa.LargeStringArray:
        history = self._history.take(pa.array(sessions.key[places]))
        number = pc.cast(pa.array(sessions.part[places] + 1), pa.large_string())
        numbered = pc.binary_join_element_wise(history, number, pa.scalar("#", pa.large_string()))
        return pc.if_else(pa.array(sessions.parts[places] > 1), numbered, history)


def _sessions_dropped(names: pa.LargeStringArray, reasons: pa.StringArray) -> pa.RecordBatch:
    n = len(names)
    nowhere = pa.nulls(n, pa.string()), pa.nulls(n, pa.int64())
    effect = pa.repeat(pa.scalar(SESSION_DROPPED), n)
    return pa.record_batch([*nowhere, names.cast(pa.string()), reasons, effect], SCHEMA)
