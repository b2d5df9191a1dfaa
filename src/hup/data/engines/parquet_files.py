"""Parquet files for DuckDB: what their footers say, and the SQL that reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from hup.data.engines.sql_text import quoted_name, quoted_text
from hup.data.engines.table_files import EMPTY, NO_ROWS, check_columns
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile
from hup.errors import HupError

_GLOB = re.compile(r"[\[*?]")
_VIRTUAL = ("file_index", "file_row_number")


@dataclass(frozen=True)
class ParquetHead:
    """Columns and rows of a file; no columns where it has no bytes."""

    names: tuple[str, ...]
    rows: int

    def reject(self, file: SourceFile) -> FileReject | None:
        """Say why the file has no rows, if it has none."""
        if self.rows:
            return None
        return FileReject(file.name, None, NO_ROWS if self.names else EMPTY)


def parquet_head(file: SourceFile) -> ParquetHead:
    """Read the footer of `file`.

    Raises
    ------
    HupError
        If it is no Parquet file, or a cut one.
    """
    if file.bytes == 0:
        return ParquetHead((), 0)
    try:
        with pq.ParquetFile(file.path) as opened:
            return ParquetHead(tuple(opened.schema_arrow.names), opened.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise HupError(
            f"{file.path} cannot be read as Parquet: {str(error).splitlines()[0]} Is it whole and its ending right?"
        ) from error


def check_parquet_columns(file: SourceFile, head: ParquetHead, wanted: Sequence[str]) -> None:
    """Refuse a file that lacks wanted columns, or has names that DuckDB cannot tell apart."""
    check_columns(str(file.path), head.names, wanted)
    lower = [name.lower() for name in head.names]
    for name in wanted:
        if lower.count(name.lower()) > 1:
            twins = " and ".join(repr(other) for other in head.names if other.lower() == name.lower())
            raise HupError(f"{file.path}: columns {twins} differ only in upper and lower case. Rename one of them.")
    for name in _VIRTUAL:
        if name in lower:
            raise HupError(f"{file.path} has a column {name!r}, a name that DuckDB uses itself. Rename the column.")


def parquet_scan(files: Sequence[SourceFile]) -> str:
    """Give a table function for SQL that reads `files`; types are those that hold the values of all."""
    # Names are patterns to DuckDB; a character in brackets stands for itself.
    paths = ", ".join(quoted_text(_GLOB.sub(r"[\g<0>]", str(file.path))) for file in files)
    return f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"


def parquet_rows(files: Sequence[SourceFile], numbers: Sequence[int], wanted: Sequence[str]) -> str:
    """Give SQL for rows of `files` and their places; `numbers` are the values of ``hup_file`` for them."""
    columns = "".join(f"{quoted_name(name)}, " for name in wanted)
    file = "file_index"
    if list(numbers) != list(range(len(files))):
        file = f"list_extract([{', '.join(map(str, numbers))}], (file_index + 1)::BIGINT)"
    return (
        f"SELECT {columns}{file}::INTEGER AS hup_file, file_row_number + 1 AS hup_row, "
        f"NULL::VARCHAR AS hup_problem, NULL::VARCHAR AS hup_text FROM {parquet_scan(files)}"
    )
