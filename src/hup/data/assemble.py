"""A log that is ready becomes a dataset folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hup.data.dataset import MANIFEST, REJECTS, Dataset
from hup.data.dataset_writer import WrittenEvents, fingerprint, write_dataset_files, write_events
from hup.data.manifest import Buckets, Manifest, Rejects, Split, TimeRange, TreeCounts
from hup.data.progress import Progress
from hup.data.rejects import RejectTally, write_rejects
from hup.data.split import split_bounds, train_vocabulary
from hup.data.statistics import count
from hup.data.stored_log import StoredLog
from hup.data.vocabulary import make_vocabulary
from hup.errors import HupError


@dataclass(frozen=True)
class Assembly:
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
    """

    folder: Path
    kept_rejects: Path
    split: Split
    max_reject_share: float
    base: Dataset | None = None


def check_rejects(log: StoredLog, assembly: Assembly, progress: Progress) -> RejectTally:
    """Write the reject file, and refuse a log with too little that is good.

    Raises
    ------
    HupError
        If too much is malformed or no session is usable; the reject file is kept beside the dataset.
    """
    earlier = assembly.base.path / REJECTS if assembly.base is not None else None
    if earlier is not None and not earlier.is_file():
        progress.note(f"{earlier} is not there; the list begins anew.")
        earlier = None
    path = assembly.folder / REJECTS
    tally = write_rejects(path, log.rejects(), log.file_rejects, earlier)
    for broken in log.file_rejects:
        progress.note(f"{broken.file}: {broken.reason}. What could be read of it is used.")
    problem = tally.problem(log.rows, assembly.max_reject_share, "tokens" if log.preparation.format == "jd" else "rows")
    if problem is None and not log.n_sessions:
        found = tally.describe(tally.by_reason)
        problem = f"No usable session: every session needs two item runs or more. Found: {found}."
    if problem is not None:
        path.replace(assembly.kept_rejects)
        raise HupError(f"{problem} All are listed in {assembly.kept_rejects}.")
    return tally


def write_dataset(log: StoredLog, tally: RejectTally, assembly: Assembly, progress: Progress) -> None:
    """Write all files of the dataset; the manifest, which makes the folder a dataset, last."""
    folder = assembly.folder
    progress.phase("Writing events", log.n_events, "events")
    events = write_events(folder, log.batches(), log.n_items, progress.advance)
    vocabulary = make_vocabulary(log.items(), events.appearance, log.levels, log.separator)
    columns = events.columns(vocabulary.taxonomy.paths)
    progress.phase("Statistics", len(columns.item), "events")
    counts = count(columns, len(log.behaviors), progress.advance)
    bounds = split_bounds(counts.sessions, assembly.split.shares)
    train = train_vocabulary(columns.item, columns.offsets, columns.paths, bounds)
    del columns
    progress.phase("Assembling files")
    write_dataset_files(folder, events, vocabulary, log.origins)
    before = assembly.base.manifest if assembly.base is not None else None
    manifest = Manifest(
        format=log.preparation.format,
        levels=log.levels,
        behaviors=list(log.behaviors),
        counts=counts,
        buckets=before.buckets if before else Buckets(),
        split=assembly.split.model_copy(update={"bounds": bounds}),
        train=train,
        sources=log.origins.sources(events.sessions, np.diff(events.offsets)),
        rejects=_added_rejects(before.rejects if before else None, tally.manifest()),
        time=_time_range(log, events),
        preparation=log.preparation,
        tree=_added_tree(before.tree if before else None, log.tree() or TreeCounts()),
        left_out=_added(before.left_out if before else {}, log.left_out),
        lineage=[*before.lineage, before.fingerprint] if before else [],
        fingerprint=fingerprint(folder, vocabulary, log.behaviors, bounds),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _time_range(log: StoredLog, events: WrittenEvents) -> TimeRange | None:
    start, end = log.origins.times(events.sessions)
    if start.null_count == len(start):
        return None
    return TimeRange(first_ms=int(np.min(start.drop_null())), last_ms=int(np.max(end.drop_null())))


def _added(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {name: before.get(name, 0) + now.get(name, 0) for name in dict.fromkeys((*before, *now))}


def _added_rejects(before: Rejects | None, now: Rejects) -> Rejects:
    if before is None:
        return now
    return Rejects(rows=before.rows + now.rows, by_reason=_added(before.by_reason, now.by_reason))


def _added_tree(before: TreeCounts | None, now: TreeCounts) -> TreeCounts:
    """Add items and events; parents and circles are those of the whole table, which was read again."""
    if before is None:
        return now
    of_table = {"unknown_parents": now.unknown_parents, "cycles": now.cycles}
    return TreeCounts(**{**_added(before.model_dump(), now.model_dump()), **of_table})
