"""Files and queries as Spark reads them, in the columns and types that DuckDB would give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hup.data.engines.duckdb_reader import parquet_head
from hup.data.engines.reader import Dialect, local_duckdb, sql_types
from hup.data.engines.spark_errors import in_one_line
from hup.data.engines.spark_files import spark_paths, with_file_numbers
from hup.data.engines.spark_workers import Lines, TableRows
from hup.data.engines.table_files import (
    TableFormat,
    check_columns,
    given_rejects,
    require_columns,
    require_rows,
    table_format,
)
from hup.data.engines.text_files import text_columns, text_rows
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile
from hup.errors import HupError


@dataclass(frozen=True)
class SparkRows:
    """Rows that are yet to be read.

    Attributes
    ----------
    parts : tuple of pairs
        DataFrames, and what workers make of the batches of each.
    file_rejects : list of FileReject
        Files that are not read.
    """

    parts: tuple[tuple[Any, Lines | TableRows], ...]
    file_rejects: list[FileReject]


def file_columns(spark: Any, files: Sequence[SourceFile], dialect: Dialect) -> dict[str, str]:
    """Tell the columns that `files` have together, and SQL types that hold the values of all.

    Raises
    ------
    HupError
        If formats are mixed or none of Spark's, a file does not read, or none has columns.
    """
    match _format(spark, files):
        case "parquet":
            heads = [parquet_head(file) for file in files]
            require_columns([(head.names, head.reject(file)) for file, head in zip(files, heads, strict=True)])
            return _common_types([head.schema for head in heads if head.names])
        case format:
            return text_columns(format, files, dialect)


def file_rows(
    spark: Any, whole_files: Any, files: Sequence[SourceFile], dialect: Dialect, wanted: tuple[str, ...]
) -> SparkRows:
    """Give the rows of `files` with the `wanted` columns.

    Parameters
    ----------
    spark : SparkSession
        Reads Parquet files.
    whole_files : SparkSession
        Reads text, each file in one piece.
    files : sequence of SourceFile
    dialect : Dialect
        How delimited text is written.
    wanted : tuple of str
        Names of columns.

    Raises
    ------
    HupError
        As `file_columns`, and if a file lacks one of the columns or no file has rows.
    """
    match _format(spark, files):
        case "parquet":
            return _parquet(spark, files, wanted)
        case format:
            rows, rejects = text_rows(format, files, dialect, wanted)
            return SparkRows(((_lines(whole_files, files, rows.files), Lines(rows)),), rejects)


def query_columns(spark: Any, query: str) -> dict[str, str]:
    """Tell the columns of `query`, with types of Spark's SQL.

    Raises
    ------
    HupError
        If Spark refuses it.
    """
    return {name: kind.upper() for name, kind in _query(spark, query).dtypes}


def query_rows(spark: Any, query: str, wanted: tuple[str, ...]) -> SparkRows:
    """Give the rows of `query`, whose places are not known.

    Raises
    ------
    HupError
        If Spark refuses it, or it lacks one of the `wanted` columns.
    """
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import to_arrow_schema

    frame = _query(spark, query)
    check_columns("The query", frame.columns, wanted)
    chosen = frame.select(*map(_column, wanted))
    placed = chosen.select("*", functions.lit(0), functions.lit(None).cast("long"))
    schema = to_arrow_schema(chosen.schema)
    return SparkRows(((placed, TableRows(tuple(schema), sql_types(schema))),), [])


def _query(spark: Any, query: str) -> Any:
    # In brackets, nothing but a SELECT is SQL: Spark would run anything else at once.
    with in_one_line("The query fails"):
        return spark.sql(f"SELECT * FROM (\n{query.strip().rstrip(';')}\n)")


def _format(spark: Any, files: Sequence[SourceFile]) -> TableFormat:
    format = table_format(files)
    if format == "arrow":
        raise HupError(f"{files[0].path}: Spark does not read Arrow files. Write Parquet, or leave --engine spark out.")
    codec = spark._jvm.org.apache.hadoop.io.compress.ZStandardCodec
    for file in files:
        if file.path.suffix.lower() == ".zst" and not codec.isNativeCodeLoaded():
            raise HupError(
                f"{file.path}: this Spark has no native library for Zstandard. Pack it with gzip, unpack it, or "
                "leave --engine spark out."
            )
    return format


def _lines(spark: Any, files: Sequence[SourceFile], numbers: Sequence[int]) -> Any:
    """Read the bytes of lines, in order, and the number of their file, which is null if that was cut into pieces."""
    chosen = [files[number] for number in numbers]
    with in_one_line(f"{chosen[0].path}{' and others' if len(chosen) > 1 else ''} cannot be read"):
        read = spark.read.option("lineSep", "\n").text(spark_paths(chosen))
        placed = with_file_numbers(read.withColumn("hup_start", read["_metadata.file_block_start"]), chosen, numbers)
        return placed.selectExpr("if(hup_start = 0, hup_file, NULL) AS hup_file", "CAST(value AS BINARY) AS hup_line")


def _parquet(spark: Any, files: Sequence[SourceFile], wanted: tuple[str, ...]) -> SparkRows:
    heads = [parquet_head(file) for file in files]
    rejects = given_rejects(head.reject(file) for file, head in zip(files, heads, strict=True))
    require_rows(len(files), rejects)
    alike: dict[pa.Schema, list[int]] = {}
    for number, head in enumerate(heads):
        if head.rows:
            check_columns(str(files[number].path), head.schema.names, wanted)
            alike.setdefault(pa.schema([head.schema.field(name) for name in wanted]), []).append(number)
    types = _common_types(list(alike))
    parts = (
        (_parquet_rows(spark, [files[number] for number in numbers], numbers, wanted), TableRows(tuple(schema), types))
        for schema, numbers in alike.items()
    )
    return SparkRows(tuple(parts), rejects)


def _parquet_rows(spark: Any, files: Sequence[SourceFile], numbers: Sequence[int], wanted: tuple[str, ...]) -> Any:
    from pyspark.sql import functions

    with in_one_line(f"{files[0].path} cannot be read as Parquet"):
        read = spark.read.parquet(*spark_paths(files))
        placed = with_file_numbers(read.withColumn("hup_row", functions.col("_metadata.row_index") + 1), files, numbers)
        return placed.select(*map(_column, wanted), "hup_file", "hup_row")


def _common_types(schemas: Sequence[pa.Schema]) -> dict[str, str]:
    """Give the columns of all together, with the SQL types that DuckDB takes for the types of each."""
    with local_duckdb() as connection:
        for number, schema in enumerate(schemas):
            connection.register(f"part_{number}", schema.empty_table())
        parts = (f"SELECT * FROM part_{number}" for number in range(len(schemas)))
        columns = connection.execute(f"DESCRIBE {' UNION ALL BY NAME '.join(parts)}").fetchall()
    return {name: kind for name, kind, *_ in columns}


def _column(name: str) -> Any:
    from pyspark.sql import functions

    return functions.col("`" + name.replace("`", "``") + "`")
