"""A log whose sessions are chosen and ordered becomes the files of a dataset folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hup.behaviors import Behavior
from hup.data.columns import assemble, hash_batch, map_column, open_columns, write_batch
from hup.data.dataset import EVENTS, ITEMS, MANIFEST, REJECTS, SESSIONS, TAXONOMY, Dataset
from hup.data.manifest import BucketEdges, ItemColumnsInfo, Manifest, Rejects, Split, SplitBounds, TimeRange, TreeCounts
from hup.data.progress import Progress
from hup.data.rejects import RejectTally, write_rejects
from hup.data.session_log import SESSION_COLUMNS, SessionLog
from hup.data.statistics import Columns, count, split_bounds, train_vocabulary
from hup.data.taxonomy import CodedItems, FirstAppearance, coded_items
from hup.errors import HupError

EVENT_COLUMNS = {"item": np.int32, "behavior": np.uint8, "interval": np.float32, "dwell": np.float32}
SESSION_SCHEMA = pa.schema([("offset", pa.int64()), *SESSION_COLUMNS])


@dataclass(frozen=True)
class DatasetPlan:
    """Where and how a dataset folder is made.

    Attributes
    ----------
    folder : Path
        Being filled; becomes the dataset later.
    kept_rejects : Path
        Where the reject file goes if the log turns out to be no good.
    split : Split
        Method, shares and seed; its bounds are not known yet.
    max_reject_share : float
        More malformed rows than this share is an error.
    base : Dataset, optional
        The dataset that the log is appended to.
    item_columns : ItemColumnsInfo, optional
        What is carried of the items, which is in `folder` already.
    """

    folder: Path
    kept_rejects: Path
    split: Split
    max_reject_share: float
    base: Dataset | None = None
    item_columns: ItemColumnsInfo | None = None


def check_rejects(log: SessionLog, plan: DatasetPlan, progress: Progress) -> RejectTally:
    """Write the reject file, and refuse a log with too little that is good.

    Raises
    ------
    HupError
        If too much is malformed or no session is usable; the reject file is kept beside the dataset.
    """
    earlier = plan.base.path / REJECTS if plan.base is not None else None
    if earlier is not None and not earlier.is_file():
        progress.note(f"{earlier} is not there; the list begins anew.")
        earlier = None
    path = plan.folder / REJECTS
    tally = write_rejects(path, log.rejects(), log.file_rejects, earlier)
    for broken in log.file_rejects:
        progress.note(f"{broken.file}: {broken.reason}. What could be read of it is used.")
    problem = tally.problem(log.rows, plan.max_reject_share, "tokens" if log.preparation.format == "jd" else "rows")
    if problem is None and not len(log.sessions):
        reasons = tally.describe(tally.by_reason)
        unwanted = "".join(f" Left out: {reason} ({rows:,})." for reason, rows in log.left_out.items())
        problem = f"No usable session: every session needs two item runs or more. Found: {reasons}.{unwanted}"
    if problem is not None:
        path.replace(plan.kept_rejects)
        raise HupError(f"{problem} All are listed in {plan.kept_rejects}.")
    return tally


def write_dataset(log: SessionLog, tally: RejectTally, plan: DatasetPlan, progress: Progress) -> None:
    """Write all files of the dataset; the manifest, which makes the folder a dataset, last.

    Parameters
    ----------
    log : SessionLog
        What was checked, after the sessions of the dataset that it is appended to, if any.
    tally : RejectTally
        Of `check_rejects`.
    plan : DatasetPlan
        Where and how.
    progress : Progress
        Told what is being done.
    """
    folder = plan.folder
    progress.phase("Writing events", log.n_events, "events")
    events = write_events(folder, log.events(), len(log.items), progress.advance)
    items = coded_items(log.items, events.appearance, log.levels, log.separator)
    columns = events.columns(items.taxonomy.paths)
    progress.phase("Statistics", len(columns.item), "events")
    counts = count(columns, len(log.behaviors), progress.advance)
    bounds = split_bounds(counts.sessions, plan.split.shares)
    train = train_vocabulary(columns, bounds)
    del columns
    progress.phase("Assembling files")
    assemble(folder, EVENT_COLUMNS, folder / EVENTS)
    offsets = pa.array(events.offsets[:-1])
    sessions = log.sessions.combine_chunks().to_batches(len(offsets))[0]
    write_batch(folder / SESSIONS, pa.record_batch([offsets, *sessions.columns], schema=SESSION_SCHEMA))
    write_batch(folder / ITEMS, items.item_batch())
    pq.write_table(items.category_table(), folder / TAXONOMY)
    before = plan.base.manifest if plan.base is not None else None
    manifest = Manifest(
        format=log.preparation.format,
        levels=log.levels,
        behaviors=list(log.behaviors),
        counts=counts,
        buckets=before.buckets if before else BucketEdges(),
        split=plan.split.model_copy(update={"bounds": bounds}),
        train=train,
        sources=log.sources,
        rejects=added_rejects(before.rejects if before else None, tally.manifest()),
        time=_time_range(log.sessions),
        preparation=log.preparation,
        tree=_added_tree(before.tree if before else None, log.tree),
        left_out=_added(before.left_out if before else {}, log.left_out),
        item_columns=plan.item_columns,
        lineage=[*before.lineage, before.fingerprint] if before else [],
        fingerprint=fingerprint(folder, items, log.behaviors, bounds),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class WrittenEvents:
    """Event columns on disk, still raw.

    Attributes
    ----------
    folder : Path
        Where the raw columns are.
    offsets : ndarray of int64, shape (sessions + 1,)
        Where sessions begin.
    appearance : FirstAppearance
        Codes of the items.
    """

    folder: Path
    offsets: npt.NDArray[np.int64]
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
    offsets = [np.empty(0, np.int64)]
    with open_columns(folder, EVENT_COLUMNS) as events:
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
            offsets.append(np.flatnonzero(begins) + n_events)
            last_session = key[-1]
            n_events += len(key)
            advance(len(key))
    return WrittenEvents(folder, np.append(np.concatenate(offsets), np.int64(n_events)), appearance)


def _one_nan(seconds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Write "not known" with the same bits everywhere: engines give NaN with either sign."""
    unknown = np.isnan(seconds)
    return np.where(unknown, np.float32(np.nan), seconds) if unknown.any() else seconds


def fingerprint(folder: Path, items: CodedItems, behaviors: Sequence[Behavior], bounds: SplitBounds) -> str:
    """Digest the content of written dataset files, the behaviors and the split.

    Values only: neither the folder's path, nor the time, nor the versions of file formats matter.
    """
    digest: Any = hashlib.sha256()
    for name in (EVENTS, SESSIONS, ITEMS):
        hash_batch(folder / name, digest)
    for row in items.category_table().to_pylist():
        digest.update(repr(tuple(row.values())).encode())
    for behavior in behaviors:
        digest.update(behavior.model_dump_json().encode())
    digest.update(bounds.model_dump_json().encode())
    return str(digest.hexdigest())


def _time_range(sessions: pa.Table) -> TimeRange | None:
    first, last = pc.min(sessions["start"]).as_py(), pc.max(sessions["end"]).as_py()
    return None if first is None or last is None else TimeRange(first_ms=first, last_ms=last)


def _added(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {name: before.get(name, 0) + now.get(name, 0) for name in dict.fromkeys((*before, *now))}


def added_rejects(before: Rejects | None, now: Rejects) -> Rejects:
    """Add the counts of an appended stretch to those before."""
    if before is None:
        return now
    return Rejects(rows=before.rows + now.rows, by_reason=_added(before.by_reason, now.by_reason))


def _added_tree(before: TreeCounts | None, now: TreeCounts) -> TreeCounts:
    """Add items and events; parents and circles are those of the whole table, which was read again."""
    if before is None:
        return now
    of_table = {"unknown_parents": now.unknown_parents, "cycles": now.cycles}
    return TreeCounts(**{**_added(before.model_dump(), now.model_dump()), **of_table})
