"""What every kind of log hands to the writer of the dataset folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from hup.behaviors import Behavior
from hup.data.event_log import Origins
from hup.data.file_reject import FileReject
from hup.data.manifest import Preparation, TreeCounts


@dataclass(frozen=True)
class StoredLog:
    """A log whose sessions are chosen, ordered and ready to be written.

    Attributes
    ----------
    preparation : Preparation
        How it was read; goes into the manifest.
    levels : int
        Number of category levels, K.
    separator : str
        What joins the K names of a path in `items`.
    behaviors : tuple of Behavior
        Behavior types by code.
    n_events, n_sessions : int
        Size of what `batches` yields.
    batches : callable
        Yields the events in stored order: ``session`` int64 (key for `origins`), ``item_id``, ``behavior`` uint8,
        ``interval`` and ``dwell`` float32 seconds (NaN: not known).
    items : callable
        Gives ``item`` (name) and ``path`` (K names, coarsest first), row by item id.
    n_items : int
        Number of item ids.
    rejects : callable
        Yields rows of `rejects.SCHEMA` in log order.
    rows : int
        Rows or tokens of the log, good and bad, without those left out on purpose.
    file_rejects : sequence of FileReject
        What was wrong with whole files.
    origins : Origins
        Where sessions came from.
    left_out : dict of str to int
        Rows left out on purpose, by reason.
    tree : callable
        Gives what was done to make the category tree whole; after `items`.
    """

    preparation: Preparation
    levels: int
    separator: str
    behaviors: tuple[Behavior, ...]
    n_events: int
    n_sessions: int
    batches: Callable[[], Iterator[pa.RecordBatch]]
    items: Callable[[], pa.Table]
    n_items: int
    rejects: Callable[[], Iterator[pa.RecordBatch]]
    rows: int
    file_rejects: Sequence[FileReject]
    origins: Origins
    left_out: dict[str, int] = field(default_factory=dict)
    tree: Callable[[], TreeCounts | None] = lambda: None
