"""What every kind of log hands to the writer of the dataset folder: its sessions, chosen and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from hup.behaviors import Behavior
from hup.data.manifest import Preparation, Source, TreeCounts
from hup.data.rejects import FileReject

SESSION_COLUMNS = pa.schema(
    [("session", pa.large_string()), ("user", pa.large_string()), ("start", pa.int64()), ("end", pa.int64())]
)


@dataclass(frozen=True, eq=False)
class SessionLog:
    """A log whose sessions are chosen and ordered, whatever it was.

    All is known when it is made but the rows of `events` and `rejects`, which are too many: each call of these two
    yields them from the first one on, in any order of the calls.

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
    items : Table
        ``item`` (name) and ``path`` (K names, coarsest first), row by item id; also items without an event.
    sessions : Table
        `SESSION_COLUMNS` in stored order: a name for people, the user (null: not known), and the times of first and
        last event in ms since 1970 (null: the log has no times).
    n_events : int
        Number of rows of `events`.
    events : callable
        Yields the events in stored order: ``session`` int64 (another one where a session begins), ``item_id``,
        ``behavior`` uint8, ``interval`` and ``dwell`` float32 seconds (NaN: not known).
    rejects : callable
        Yields rows of `rejects.SCHEMA` in log order.
    rows : int
        Rows or tokens of the log, good and bad, without those left out on purpose.
    file_rejects : sequence of FileReject
        What was wrong with whole files.
    sources : list of Source
        The input files.
    left_out : dict of str to int
        Rows left out on purpose, by reason.
    tree : TreeCounts
        What was done to make the category tree whole.
    """

    preparation: Preparation
    levels: int
    separator: str
    behaviors: tuple[Behavior, ...]
    items: pa.Table
    sessions: pa.Table
    n_events: int
    events: Callable[[], Iterator[pa.RecordBatch]]
    rejects: Callable[[], Iterator[pa.RecordBatch]]
    rows: int
    file_rejects: Sequence[FileReject]
    sources: list[Source]
    left_out: dict[str, int] = field(default_factory=dict)
    tree: TreeCounts = field(default_factory=TreeCounts)
