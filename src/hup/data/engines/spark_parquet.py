"""Parquet files on Spark: what their footers say, and their rows with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hup.data.engines.reader import SourceFile
from hup.data.engines.spark_errors import in_one_line
from hup.data.engines.spark_sources import spark_path, split_key
from hup.data.engines.table_files import EMPTY, NO_ROWS, check_columns
from hup.data.rejects import FileReject
from hup.errors import HupError


@dataclass(frozen=True)
class ParquetFooter:
    """Schema (empty where the file has no bytes) and number of rows of a file."""

    schema: pa.Schema
    rows: int

    def reject(self, file: SourceFile) -> FileReject | None:
        """Say why the file has no rows, if it has none."""
        if self.rows:
            return None
        return FileReject(file.name, None, NO_ROWS if self.schema.names else EMPTY)


def parquet_footer(file: SourceFile) -> ParquetFooter:
    """Read the footer of a local or remote file.

    Raises
    ------
    HupError
        If it is no Parquet file, or a cut one.
    """
    if file.bytes == 0:
        return ParquetFooter(pa.schema([]), 0)
    try:
        with file.path.open("rb") as stream, pq.ParquetFile(stream) as opened:
            return ParquetFooter(opened.schema_arrow, opened.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise HupError(
            f"{file.path} cannot be read as Parquet: {str(error).splitlines()[0]} Is it whole and its ending right?"
        ) from error


def check_footers(files: Sequence[SourceFile], footers: Sequence[ParquetFooter], wanted: Sequence[str]) -> None:
    """Refuse files that lack wanted columns, or have them in kinds that do not go together.

    Raises
    ------
    HupError
        It names the file and the column.
    """
    first: dict[str, tuple[SourceFile, pa.DataType]] = {}
    for file, footer in zip(files, footers, strict=True):
        if not footer.schema.names:
            continue
        check_columns(str(file.path), footer.schema.names, wanted)
        for name in wanted:
            found = footer.schema.field(name).type
            other, known = first.setdefault(name, (file, found))
            if _kind(found) != _kind(known):
                raise HupError(
                    f"Column {name!r} is {known} in {other.path}, but {found} in {file.path}. "
                    "Write it with one type in all files, or prepare them apart."
                )


def _kind(found: pa.DataType) -> str:
    if pa.types.is_dictionary(found):
        return _kind(found.value_type)
    if pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found):
        return "number"
    if pa.types.is_string(found) or pa.types.is_large_string(found):
        return "text"
    if pa.types.is_timestamp(found):
        return f"timestamp {'with' if found.tz else 'without'} zone"
    return str(found)


def parquet_rows(
    spark: Any,
    files: Sequence[SourceFile],
    footers: Sequence[ParquetFooter],
    numbers: Sequence[int],
    wanted: Sequence[str],
) -> Any:
    """Give a DataFrame of the rows of `files` and their places; `numbers` are the values of ``hup_file``."""
    groups: dict[tuple[pa.DataType, ...], list[int]] = {}
    for place, footer in enumerate(footers):
        groups.setdefault(tuple(footer.schema.field(name).type for name in wanted), []).append(place)
    parts = [
        _same_types(
            spark, [files[i] for i in places], [numbers[i] for i in places], dict(zip(wanted, types, strict=True))
        )
        for types, places in groups.items()
    ]
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.union(part)
    return rows


def _same_types(spark: Any, files: Sequence[SourceFile], numbers: Sequence[int], types: dict[str, pa.DataType]) -> Any:
    from pyspark.sql import functions

    with in_one_line(f"{files[0].path} cannot be read as Parquet"):
        read = spark.read.parquet(*(spark_path(file) for file in files))
        keys = [(split_key(spark, file), number) for file, number in zip(files, numbers, strict=True)]
        places = spark.createDataFrame(keys, "hup_path string, hup_file int")
        columns = [_column(read, name, types[name]).alias(name) for name in types]
        placed = read.select(
            *columns,
            functions.regexp_replace("_metadata.file_path", "^file:/+", "file:/").alias("hup_path"),
            (functions.col("_metadata.row_index") + 1).alias("hup_row"),
        ).join(functions.broadcast(places), "hup_path", "left")
        nothing = functions.lit(None).cast("string")
        return placed.select(
            *(functions.col(quoted(name)) for name in types),
            functions.col("hup_file"),
            functions.col("hup_row"),
            nothing.alias("hup_problem"),
            nothing.alias("hup_text"),
        )


def _column(read: Any, name: str, found: pa.DataType) -> Any:
    """Give a column; nanoseconds, which Spark only shows as numbers, become its timestamps."""
    from pyspark.sql import functions

    column = functions.col(quoted(name))
    if not (pa.types.is_timestamp(found) and dict(read.dtypes)[name] == "bigint"):
        return column
    # Floor, also before 1970.
    micros = functions.timestamp_micros(functions.expr(f"({quoted(name)} - pmod({quoted(name)}, 1000L)) div 1000L"))
    return micros if found.tz else micros.cast("timestamp_ntz")


def quoted(name: str) -> str:
    """Write a name of a column as Spark's SQL takes it."""
    return "`" + name.replace("`", "``") + "`"
