"""Names from a file: one a line, or a column of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hup.errors import HupError

TABLES = (".csv", ".parquet")


def names_from_file(path: Path, columns: Sequence[str]) -> list[str]:
    """Read names.

    Parameters
    ----------
    path : Path
        ``.csv`` (with a header) and ``.parquet`` are tables, anything else has one name a line.
    columns : sequence of str
        What the column of a table may be called; the first one that is there counts. Of a table with a single column it
        may be called anything.

    Raises
    ------
    HupError
        The file does not read, or has no such column, or one that holds neither text nor whole numbers.
    """
    try:
        if path.suffix.lower() not in TABLES:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
            return [name for line in lines if (name := line.removesuffix("\r"))]
        table = _table(path)
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise HupError(f"Cannot read names from {path}: {getattr(error, 'strerror', None) or error}.") from error
    found = [name for name in columns if name in table.column_names]
    if not found and table.num_columns != 1:
        raise HupError(f"{path} has columns {', '.join(table.column_names)}; expected one that is called {columns[0]}.")
    name = found[0] if found else table.column_names[0]
    column: Any = table.column(name)
    if not (pa.types.is_integer(column.type) or _is_text(column.type)):
        raise HupError(f"{path}, column {name} holds {column.type}, expected text or whole numbers.")
    return [str(value) for value in column.to_pylist() if value not in (None, "")]


def _table(path: Path) -> pa.Table:
    if path.suffix.lower() == ".parquet":
        return pq.read_table(path)
    with pa_csv.open_csv(path) as reader:
        names = reader.schema.names
    # An id that looks like a number keeps its zeros.
    return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())))


def _is_text(of: pa.DataType) -> bool:
    if pa.types.is_dictionary(of):
        of = of.value_type
    return bool(pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of))
