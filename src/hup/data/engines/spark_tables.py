"""Files and queries as tables of Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from hup.data.engines.csv_stream import check_csv_columns, csv_head
from hup.data.engines.jsonl_stream import check_jsonl_columns, jsonl_head
from hup.data.engines.reader import Dialect, RawTable, SourceFile
from hup.data.engines.spark_errors import in_one_line
from hup.data.engines.spark_lines import Parse, parsed_lines
from hup.data.engines.spark_parquet import check_footers, parquet_footer, parquet_rows, quoted
from hup.data.engines.spark_text import CsvLines, JsonLines, text_schema
from hup.data.engines.table_files import (
    EMPTY,
    check_columns,
    check_wanted,
    given_rejects,
    require_columns,
    require_rows,
    table_format,
    text_columns,
)
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.errors import HupError

Columns = dict[str, dt.DataType]


class SparkTables:
    """Reads tables from files that Spark knows, and from queries.

    Parameters
    ----------
    spark : SparkSession
        Reads.
    view : callable
        Makes a table of a DataFrame.
    """

    def __init__(self, spark: Any, view: Callable[[Any], ir.Table]) -> None:
        self._spark = spark
        self._view = view

    def columns(self, files: Sequence[SourceFile], dialect: Dialect) -> Columns:
        """Tell the columns that `files` have together, and types that hold the values of all.

        Raises
        ------
        HupError
            If formats are mixed or none of Spark's, a file does not read, or none has columns.
        """
        match self._format(files):
            case "parquet":
                return self._parquet_columns(files)
            case "csv":
                return text_columns([(head.names, head.reject) for head in (csv_head(file, dialect) for file in files)])
            case _:
                return text_columns([(head.names, head.reject) for head in map(jsonl_head, files)])

    def read(
        self, files: Sequence[SourceFile], dialect: Dialect, columns: Sequence[str], progress: Progress
    ) -> RawTable:
        """Give the rows of `files` with the wanted `columns`; see `Engine.read`.

        Raises
        ------
        HupError
            As `columns`, and if a file lacks one of the columns or no file has rows.
        """
        wanted = tuple(dict.fromkeys(columns))
        check_wanted(wanted)
        match self._format(files):
            case "parquet":
                rows, rejects = self._parquet(files, wanted)
            case "csv":
                rows, rejects = self._csv(files, dialect, wanted)
            case _:
                rows, rejects = self._jsonl(files, wanted)
        progress.advance(sum(file.bytes for file in files))
        return RawTable(self._view(rows), tuple(f.name for f in files), tuple(f.bytes for f in files), rejects)

    def query_columns(self, query: str) -> Columns:
        """Tell the columns of `query`.

        Raises
        ------
        HupError
            If Spark refuses it.
        """
        return column_types(self._query(query))

    def query(self, query: str, columns: Sequence[str]) -> RawTable:
        """Give the rows of `query`, whose places are not known.

        Raises
        ------
        HupError
            If Spark refuses it, or it lacks one of the `columns`.
        """
        from pyspark.sql import functions

        wanted = tuple(dict.fromkeys(columns))
        check_wanted(wanted)
        found = self._query(query)
        check_columns("The query", found.columns, wanted)
        nothing = functions.lit(None)
        rows = found.select(
            *(functions.col(quoted(name)) for name in wanted),
            functions.lit(0).alias("hup_file"),
            nothing.cast("long").alias("hup_row"),
            nothing.cast("string").alias("hup_problem"),
            nothing.cast("string").alias("hup_text"),
        )
        return RawTable(self._view(rows), ("query",), (0,))

    def _query(self, query: str) -> Any:
        # In brackets, nothing but a SELECT is SQL: Spark would run anything else at once.
        with in_one_line("The query fails"):
            return self._spark.sql(f"SELECT * FROM (\n{query.strip().rstrip(';')}\n)")

    def _format(self, files: Sequence[SourceFile]) -> str:
        format = table_format(files)
        if format == "arrow":
            raise HupError(
                f"{files[0].path}: Spark does not read Arrow files. Write Parquet, or leave --engine spark out."
            )
        for file in files:
            if file.path.suffix.lower() == ".zst" and not self._unpacks_zstandard():
                raise HupError(
                    f"{file.path}: this Spark has no native library for Zstandard. Pack it with gzip, unpack it, or "
                    "leave --engine spark out."
                )
        return format

    def _unpacks_zstandard(self) -> bool:
        codec = self._spark._jvm.org.apache.hadoop.io.compress.ZStandardCodec
        return bool(codec.isNativeCodeLoaded())

    def _parquet_columns(self, files: Sequence[SourceFile]) -> Columns:
        footers = [parquet_footer(file) for file in files]
        require_columns(
            [(footer.schema.names, footer.reject(file)) for file, footer in zip(files, footers, strict=True)]
        )
        found: Columns = {}
        seen: list[pa.Schema] = []
        for file, footer in zip(files, footers, strict=True):
            if not footer.schema.names or footer.schema in seen:
                continue
            seen.append(footer.schema)
            frame = parquet_rows(self._spark, [file], [footer], [0], list(dict.fromkeys(footer.schema.names)))
            types = column_types(frame)
            for name in footer.schema.names:
                found[name] = dt.highest_precedence([found[name], types[name]]) if name in found else types[name]
        return found

    def _parquet(self, files: Sequence[SourceFile], wanted: Sequence[str]) -> tuple[Any, list[FileReject]]:
        footers = [parquet_footer(file) for file in files]
        rejects = given_rejects(footer.reject(file) for file, footer in zip(files, footers, strict=True))
        require_rows(len(files), rejects)
        numbers = [number for number, footer in enumerate(footers) if footer.rows]
        chosen, known = [files[number] for number in numbers], [footers[number] for number in numbers]
        check_footers(chosen, known, wanted)
        return parquet_rows(self._spark, chosen, known, numbers, wanted), rejects

    def _csv(
        self, files: Sequence[SourceFile], dialect: Dialect, wanted: tuple[str, ...]
    ) -> tuple[Any, list[FileReject]]:
        heads = [csv_head(file, dialect) for file in files]
        for file, head in zip(files, heads, strict=True):
            if head.names:
                check_csv_columns(file, head, wanted, dialect.delimiter)
        rejects = given_rejects(head.reject for head in heads)
        require_rows(len(files), rejects)
        numbers = [number for number, head in enumerate(heads) if head.reject is None]
        parse = CsvLines(dialect.delimiter, {number: heads[number].names for number in numbers}, wanted)
        header_lines = 0 if dialect.header is not None else 1
        return self._lines(files, numbers, parse, wanted, header_lines, True, rejects), rejects

    def _jsonl(self, files: Sequence[SourceFile], wanted: tuple[str, ...]) -> tuple[Any, list[FileReject]]:
        heads = [jsonl_head(file) for file in files]
        rejects = given_rejects(head.reject for head in heads)
        require_rows(len(files), rejects)
        check_jsonl_columns(files, heads, wanted)
        numbers = [number for number, head in enumerate(heads) if head.reject is None]
        return self._lines(files, numbers, JsonLines(wanted), wanted, 0, False, rejects), rejects

    def _lines(
        self,
        files: Sequence[SourceFile],
        numbers: Sequence[int],
        parse: Parse,
        wanted: Sequence[str],
        header_lines: int,
        quotes: bool,
        rejects: list[FileReject],
    ) -> Any:
        chosen = [files[number] for number in numbers]
        schema = text_schema(wanted)
        with in_one_line(f"{chosen[0].path}{' and others' if len(chosen) > 1 else ''} cannot be read"):
            rows, empty = parsed_lines(self._spark, chosen, numbers, parse, schema, header_lines, quotes)
        rejects += [FileReject(files[number].name, None, EMPTY) for number in empty]
        return rows


def column_types(frame: Any) -> Columns:
    """Give the types of a DataFrame's columns; those that Ibis does not have are unknown."""
    from ibis.backends.pyspark.datatypes import PySparkType
    from pyspark.sql.types import TimestampType

    found: Columns = {}
    for column in frame.schema.fields:
        if isinstance(column.dataType, TimestampType):
            found[column.name] = dt.Timestamp(timezone="UTC")
            continue
        try:
            found[column.name] = PySparkType.to_ibis(column.dataType)
        except NotImplementedError:
            found[column.name] = dt.unknown
    return found
