"""Sessions in the order in which a dataset stores them, gathered from where histories left them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from hup.data.tables.histories import CutSessions
from hup.data.tables.key_blocks import Ints
from hup.data.tables.session_table import Sessions

BATCH_ROWS = 1 << 18
CHUNK_SESSIONS = 1 << 18


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
