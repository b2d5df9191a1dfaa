"""Ordered events to the files of a dataset folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hup.behaviors import Behavior
from hup.data.columns import assemble, hash_batch, map_column, open_columns, write_batch
from hup.data.dataset import EVENTS, ITEMS, SESSIONS, TAXONOMY
from hup.data.event_log import Origins
from hup.data.manifest import SplitBounds
from hup.data.statistics import Columns
from hup.data.vocabulary import FirstAppearance, Vocabulary

EVENT_COLUMNS = {"item": np.int32, "behavior": np.uint8, "interval": np.float32, "dwell": np.float32}
SESSION_SCHEMA = pa.schema(
    [
        ("offset", pa.int64()),
        ("session", pa.large_string()),
        ("user", pa.large_string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
    ]
)
_SESSION_COLUMNS = {"offset": np.int64, "session": np.int64}


@dataclass(frozen=True)
class WrittenEvents:
    """Event columns on disk, still raw.

    Attributes
    ----------
    folder : Path
        Where the raw columns are.
    offsets : ndarray of int64, shape (sessions + 1,)
        Where sessions begin.
    sessions : ndarray of int64, shape (sessions,)
        Keys of the sessions, for `Origins`.
    appearance : FirstAppearance
        Codes of the items.
    """

    folder: Path
    offsets: npt.NDArray[np.int64]
    sessions: npt.NDArray[np.int64]
    appearance: FirstAppearance

    def columns(self, paths: npt.NDArray[np.int32]) -> Columns:
        """Map the raw columns, with the category paths of the items."""
        events = {name: map_column(self.folder, name, dtype) for name, dtype in EVENT_COLUMNS.items()}
        return Columns(offsets=self.offsets, paths=paths, **events)


def write_events(
    folder: Path, batches: Iterable[pa.RecordBatch], n_ids: int, advance: Callable[[int], None]
) -> WrittenEvents:
    """Write ordered events as raw columns, numbering items by first appearance.

    Parameters
    ----------
    folder : Path
        Where to write.
    batches : iterable of RecordBatch
        ``session``, ``item_id``, ``behavior``, ``interval``, ``dwell`` in stored order.
    n_ids : int
        Number of item ids.
    advance : callable
        Told the number of events written.
    """
    appearance = FirstAppearance(n_ids)
    n_events, last_session = 0, None
    with open_columns(folder, EVENT_COLUMNS) as events, open_columns(folder, _SESSION_COLUMNS) as sessions:
        for batch in batches:
            if not batch.num_rows:
                continue
            column = {name: batch.column(name).to_numpy() for name in batch.schema.names}
            events.append(
                item=appearance.encode(column["item_id"]),
                behavior=column["behavior"],
                interval=_one_nan(column["interval"]),
                dwell=_one_nan(column["dwell"]),
            )
            key = column["session"]
            begins = np.append(last_session is None or key[0] != last_session, key[1:] != key[:-1])
            starts = np.flatnonzero(begins)
            sessions.append(offset=starts + n_events, session=key[starts])
            last_session = key[-1]
            n_events += len(key)
            advance(len(key))
    offsets = np.append(map_column(folder, "offset", np.int64), np.int64(n_events))
    keys = np.array(map_column(folder, "session", np.int64))
    for name in _SESSION_COLUMNS:
        (folder / f"{name}.raw").unlink()
    return WrittenEvents(folder, offsets, keys, appearance)


def _one_nan(seconds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Write "not known" with the same bits everywhere: engines give NaN with either sign."""
    unknown = np.isnan(seconds)
    return np.where(unknown, np.float32(np.nan), seconds) if unknown.any() else seconds


def write_dataset_files(folder: Path, events: WrittenEvents, vocabulary: Vocabulary, origins: Origins) -> None:
    """Write the Arrow and parquet files of a dataset but the rejects; raw columns are used up."""
    assemble(folder, EVENT_COLUMNS, folder / EVENTS)
    write_batch(folder / SESSIONS, session_batch(events, origins))
    write_batch(folder / ITEMS, vocabulary.item_batch())
    pq.write_table(vocabulary.category_table(), folder / TAXONOMY)


def session_batch(events: WrittenEvents, origins: Origins) -> pa.RecordBatch:
    """Give the rows of ``sessions.arrow``."""
    start, end = origins.times(events.sessions)
    columns = [
        pa.array(events.offsets[:-1]),
        origins.names(events.sessions),
        origins.users(events.sessions),
        start,
        end,
    ]
    return pa.record_batch(columns, schema=SESSION_SCHEMA)


def fingerprint(folder: Path, vocabulary: Vocabulary, behaviors: Sequence[Behavior], bounds: SplitBounds) -> str:
    """Digest the content of written dataset files, the behaviors and the split.

    Values only: neither the folder's path, nor the time, nor the versions of file formats matter.
    """
    digest: Any = hashlib.sha256()
    for name in (EVENTS, SESSIONS, ITEMS):
        hash_batch(folder / name, digest)
    for row in vocabulary.category_table().to_pylist():
        digest.update(repr(tuple(row.values())).encode())
    for behavior in behaviors:
        digest.update(behavior.model_dump_json().encode())
    digest.update(bounds.model_dump_json().encode())
    return str(digest.hexdigest())
