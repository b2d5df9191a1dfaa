"""A long table, made part by part into a file that is whole or not there; a run that was stopped goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from hup.errors import HupError
from hup.files import locked, write_aside
from hup.recommender.table_formats import check_ending, table_writer

Part = TypeVar("Part")


def write_in_parts(
    path: Path,
    question: Mapping[str, Any],
    schema: pa.Schema,
    parts: Sequence[Part],
    make: Callable[[Part], pa.RecordBatch],
    *,
    note: Callable[[str], None],
    skipped: Callable[[Part], None],
) -> int:
    """Write a table whose parts are made one after the other.

    What is made is kept in ``PATH.partial`` until all is there; then it becomes ``PATH``, in place of what was there.

    Parameters
    ----------
    path : Path
        A ``.parquet``, ``.csv`` or ``.jsonl`` file.
    question : mapping
        All that the table depends on, as JSON has it. Parts of another question are made anew.
    schema : pa.Schema
    parts : sequence
        What `make` makes each record batch of.
    make : callable
    note : callable
        Told what is found of an earlier run.
    skipped : callable
        Told of each part that is there already.

    Returns
    -------
    int
        Rows of the table.

    Raises
    ------
    HupError
        The ending is none of these, the file cannot be written, or another run is writing it.
    """
    check_ending(path)
    folder = path.with_name(f"{path.name}.partial")
    busy = f"Another run is writing {path}. Wait for it, or choose another place to write to."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "lock", busy):
            there = _parts_there(folder, dict(question), note)
            for number, part in enumerate(parts):
                if number in there:
                    skipped(part)
                    continue
                with write_aside(_part(folder, number)) as aside:
                    pq.write_table(pa.Table.from_batches([make(part)], schema), aside)
            whole, rows = folder / f"whole{path.suffix}", 0
            with table_writer(whole, schema) as write:
                for number in range(len(parts)):
                    for batch in pq.ParquetFile(_part(folder, number)).iter_batches():
                        write(batch)
                        rows += batch.num_rows
            whole.replace(path)
            shutil.rmtree(folder)
    except OSError as error:
        raise HupError(f"Cannot write {path}: {error.strerror or error}. Choose another place to write to.") from error
    return rows


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.parquet"


def _parts_there(folder: Path, question: dict[str, Any], note: Callable[[str], None]) -> set[int]:
    """Numbers of the parts that an earlier run has made for the same question; those for another one are removed."""
    asked = folder / "question.json"
    parts = sorted(folder.glob("[0-9]*.parquet"))
    before = json.loads(asked.read_text(encoding="utf-8")) if asked.is_file() else None
    if before == json.loads(json.dumps(question)):
        if parts:
            note(f"{len(parts):,} parts are there from a run that was stopped; it goes on.")
        return {int(part.stem) for part in parts}
    if parts:
        note("A run that was stopped asked something else, or of another model or dataset; its parts are made anew.")
    for part in parts:
        part.unlink()
    with write_aside(asked) as aside:
        aside.write_text(json.dumps(question), encoding="utf-8")
    return set()
