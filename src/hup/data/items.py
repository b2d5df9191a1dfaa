"""The columns of items on their way into a dataset folder: with new events, or by themselves."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hup.data.dataset import EVENTS, ITEMS, MANIFEST, REJECTS, SESSIONS, TAXONOMY, Dataset
from hup.data.dataset_writer import DatasetPlan, added_rejects
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.log_source import Sources
from hup.data.manifest import ItemColumnsInfo
from hup.data.progress import Progress
from hup.data.rejects import write_rejects
from hup.data.session_log import SessionLog
from hup.data.tables.items_given import GivenItems, ItemsSource, coverage, find_items, joined_rejects, read_items
from hup.data.tables.mapping import Mapping
from hup.errors import HupError


def with_items(log: SessionLog, plan: DatasetPlan, given: GivenItems | None) -> tuple[SessionLog, DatasetPlan]:
    """Add what was given of the items to a log and to the plan of its dataset; else keep what is known of them.

    Parameters
    ----------
    log : SessionLog
    plan : DatasetPlan
        Its folder has what was given already.
    given : GivenItems or None
    """
    if given is not None:
        rejects, file_rejects = joined_rejects(log.rejects, given), [*log.file_rejects, *given.file_rejects]
        return replace(log, rejects=rejects, file_rejects=file_rejects), replace(plan, item_columns=given.info)
    if plan.base is None or plan.base.item_columns is None:
        return log, plan
    plan.base.item_columns.save(plan.folder)
    return log, replace(plan, item_columns=plan.base.item_columns.info)


def renew_items(
    base: Dataset, source: ItemsSource, engine: DuckDBEngine, folder: Path, progress: Progress
) -> GivenItems:
    """Fill a folder with a dataset whose events stay, and with what is known of its items now.

    Parameters
    ----------
    base : Dataset
    source : ItemsSource
    engine : DuckDBEngine
    folder : Path
        Takes the place of the dataset's folder later.
    progress : Progress
    """
    made = base.manifest.preparation.mapping
    mapping = Mapping.validated(made, f"mapping in {base.path / MANIFEST}") if made is not None else None
    given = read_items(source, mapping, engine, folder, base.item_columns, progress)
    for name in (EVENTS, SESSIONS, ITEMS, TAXONOMY):
        _same_file(base.path / name, folder / name)
    earlier = base.path / REJECTS
    tally = write_rejects(folder / REJECTS, given.rejects(), given.file_rejects, earlier if earlier.is_file() else None)
    changed = {"item_columns": given.info, "rejects": added_rejects(base.manifest.rejects, tally.manifest())}
    manifest = base.manifest.model_copy(update=changed)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return given


def items_alone(source: Sources, folder: Path) -> ItemColumnsInfo:
    """Write the columns of a table of items into a folder that has no dataset; for those who only show them.

    Raises
    ------
    HupError
        If the table does not read, or no column has the ids.
    """
    progress = Progress()
    found = find_items(source, None, folder, "duckdb", progress.note)
    if found is None:
        raise HupError("No table of items is named.")
    with tempfile.TemporaryDirectory() as work, DuckDBEngine(Path(work)) as engine:
        return read_items(found, None, engine, folder, None, progress).info


def _same_file(there: Path, here: Path) -> None:
    """Give a file, which nobody ever writes to again, a second name; where there are no such, copy it."""
    try:
        os.link(there, here)
    except OSError:
        shutil.copyfile(there, here)


def with_coverage(dataset: Dataset, given: GivenItems | None, progress: Progress) -> Dataset:
    """Tell what was found out about the items that were given, and of how many in the log something is known."""
    if given is not None and dataset.item_columns is not None:
        for note in (*given.notes, coverage(dataset.item_columns, dataset.item_name_array, given.key)):
            progress.note(note)
    return dataset
