"""A table as Parquet, CSV or JSON lines, written batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hup.errors import HupError
from hup.recommender.restriction import PATH_MARK

ENDINGS = (".parquet", ".csv", ".jsonl")
Write = Callable[[pa.RecordBatch], object]


def check_ending(path: Path) -> None:
    """Check that the ending of a file names a format.

    Raises
    ------
    HupError
        If it does not.
    """
    if path.suffix.lower() not in ENDINGS:
        raise HupError(f"{path} ends in {path.suffix or 'nothing'!r}, expected one of {', '.join(ENDINGS)}.")


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """Open a file of the format that its ending names.

    In CSV a structure becomes a column for each of its parts (``origin.repeat``), and a list one text: of names with
    `` > `` between them, of numbers with blanks.

    Yields
    ------
    callable
        Writes a record batch of the schema.
    """
    ending = path.suffix.lower()
    if ending == ".parquet":
        with pq.ParquetWriter(path, schema) as parquet:
            yield parquet.write_batch
    elif ending == ".csv":
        with pa_csv.CSVWriter(path, flat(pa.Table.from_batches([], schema)).schema) as csv:
            yield lambda batch: csv.write_table(flat(pa.Table.from_batches([batch])))
    else:
        with path.open("w", encoding="utf-8") as file:
            yield lambda batch: file.writelines(map(_line, _short(batch.to_struct_array()).to_pylist()))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=json_value) + "\n"


def json_value(value: object) -> object:
    """Give what JSON has no type for as the nearest that it has: numbers, and moments as text."""
    return float(value) if isinstance(value, Decimal) else str(value)


def flat(table: pa.Table) -> pa.Table:
    """Make a table that has texts and numbers alone, as CSV has them: see :func:`table_writer`."""
    table = table.flatten()
    for place, column in enumerate(table.schema):
        if pa.types.is_list(column.type):
            words, mark = table.column(place), PATH_MARK
            if not pa.types.is_string(column.type.value_type):
                words, mark = words.cast(pa.list_(pa.string())), " "
            table = table.set_column(place, column.name, pc.binary_join(words, mark))
    return table


def _short(values: pa.Array) -> pa.Array:
    """Give numbers of single precision the digits that they have, not those of the nearest double."""
    of = values.type
    if pa.types.is_float32(of):
        return values.cast(pa.string()).cast(pa.float64())
    if pa.types.is_struct(of):
        parts = [_short(part) for part in values.flatten()]
        return pa.StructArray.from_arrays(parts, [field.name for field in of], mask=values.is_null())
    if pa.types.is_list(of):
        return pa.ListArray.from_arrays(values.offsets, _short(values.values))
    return values
