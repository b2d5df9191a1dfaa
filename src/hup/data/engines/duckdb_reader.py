"""Local files and queries as tables of DuckDB: Parquet by itself, other formats from Arrow streams of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from hup.data.engines.arrow_stream import ArrowStream, arrow_head, check_arrow_columns
from hup.data.engines.duckdb_query import DuckDBQueries
from hup.data.engines.reader import (
    PLACE_COLUMNS,
    Dialect,
    RawTable,
    SourceFile,
    TableSource,
    WritesSelect,
    common_types,
    quoted_name,
    quoted_text,
)
from hup.data.engines.table_files import (
    EMPTY,
    NO_ROWS,
    check_columns,
    check_wanted,
    given_rejects,
    require_columns,
    require_rows,
    table_format,
)
from hup.data.engines.text_files import TextStream, text_columns, text_rows
from hup.data.progress import Progress
from hup.data.rejects import FRAME, FileReject
from hup.errors import HupError

if TYPE_CHECKING:
    from hup.data.engines.duckdb_engine import DuckDBEngine

_GLOB = re.compile(r"[\[*?]")
_VIRTUAL = ("file_index", "file_row_number")


class DuckDBReader:
    """Reads local files, and queries over them or over a DuckDB file.

    Parameters
    ----------
    engine : DuckDBEngine
        Has the rows.
    """

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine

    @cached_property
    def _queries(self) -> DuckDBQueries:
        return DuckDBQueries(self._engine.cursor)

    def columns(self, source: TableSource, dialect: Dialect) -> dict[str, str]:
        """Tell the columns that `source` has and SQL types that hold the values of all files; of text, VARCHAR.

        Raises
        ------
        HupError
            If formats are mixed, a file does not read or the query fails, or none has columns.
        """
        _refuse_uris(source)
        query, database, files = source.query, source.database, source.files
        if query is not None:
            return self._engine.run(lambda: self._queries.types(query, database))
        if source.frame is not None:
            return common_types([source.frame.schema])
        match table_format(files):
            case "parquet":
                _refuse_bytes(files)
                heads = [(file, parquet_head(file)) for file in files]
                require_columns([(head.names, head.reject(file)) for file, head in heads])
                filled = [file for file, head in heads if head.names]
                return self._engine.types(f"SELECT * FROM {_parquet_scan(filled)}")
            case "arrow":
                _refuse_bytes(files)
                arrow_heads = [arrow_head(file) for file in files]
                require_columns([(head.names, head.reject) for head in arrow_heads])
                return common_types([head.schema for head in arrow_heads if head.names])
            case format:
                return text_columns(format, files, dialect)

    def read(self, source: TableSource, dialect: Dialect, columns: Sequence[str], progress: Progress) -> RawTable:
        """Give the rows of `source`, with the wanted `columns`.

        Parameters
        ----------
        source : TableSource
            Files of one format, a query, or a table in memory.
        dialect : Dialect
            How delimited text is written.
        columns : sequence of str
            Names of wanted columns; of JSON, also dotted ones.
        progress : Progress
            Told the bytes of files as they are read (not of Parquet, which DuckDB reads itself).

        Raises
        ------
        HupError
            As `columns`, and if a file lacks one of the columns or no file has rows; also while the rows are read.
        """
        _refuse_uris(source)
        files, query, database = source.files, source.query, source.database
        wanted = list(dict.fromkeys(columns))
        check_wanted(wanted)
        if query is not None:
            schema, batches = self._engine.run(lambda: self._queries.rows(query, database, wanted))
            return self._raw([self._stream(schema, batches)], ("query",), (0,), [])
        if source.frame is not None:
            return self._raw([self._stream(*source.frame.rows(wanted))], (FRAME,), (0,), [])
        match table_format(files):
            case "parquet":
                _refuse_bytes(files)
                rows, rejects = _parquet(files, wanted)
            case "arrow":
                _refuse_bytes(files)
                rows, rejects = self._arrow(files, wanted, progress)
            case format:
                parse, rejects = text_rows(format, files, dialect, wanted)
                lines = TextStream(files, parse, progress, rejects)
                rows = [parse.sql(self._engine.register_stream(parse.schema, lines.batches()))]
        return self._raw(rows, tuple(file.name for file in files), tuple(file.bytes for file in files), rejects)

    def _raw(
        self, parts: Sequence[str], files: tuple[str, ...], sizes: tuple[int, ...], rejects: list[FileReject]
    ) -> RawTable:
        """Give the rows of SELECTs, which have columns of places; files of unlike types are in different ones."""
        types = tuple(self._types(rows) for rows in parts)

        def typed(write: WritesSelect) -> str:
            selects = [
                f"WITH raw_rows AS NOT MATERIALIZED ({rows}) SELECT * FROM ({write(kinds)})"
                for rows, kinds in zip(parts, types, strict=True)
            ]
            return selects[0] if len(selects) == 1 else " UNION ALL ".join(f"({select})" for select in selects)

        return RawTable(types, typed, files, sizes, rejects)

    def _types(self, rows: str) -> dict[str, str]:
        return {name: kind for name, kind in self._engine.types(rows).items() if name not in PLACE_COLUMNS}

    def _stream(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> str:
        return f"SELECT * FROM {self._engine.register_stream(schema, batches)}"

    def _arrow(
        self, files: Sequence[SourceFile], wanted: Sequence[str], progress: Progress
    ) -> tuple[list[str], list[FileReject]]:
        heads = [arrow_head(file) for file in files]
        for file, head in zip(files, heads, strict=True):
            check_arrow_columns(file, head, wanted)
        rejects = given_rejects(head.reject for head in heads)
        require_rows(len(files), rejects)
        progress.advance(sum(file.bytes for file, head in zip(files, heads, strict=True) if head.reject is not None))
        alike = alike_files([None if head.reject is not None else head.schema for head in heads], wanted)
        streams = [ArrowStream(files, numbers, tuple(schema), progress) for schema, numbers in alike.items()]
        return [self._stream(stream.schema, stream.batches()) for stream in streams], rejects


def _refuse_uris(source: TableSource) -> None:
    if source.uris:
        raise HupError(
            f"{source.uris[0]} is a place that only Spark reads. Run with --engine spark, or name local files."
        )


def _refuse_bytes(files: Sequence[SourceFile]) -> None:
    """Refuse names that are not UTF-8, which neither SQL nor Arrow can say; text files are opened by this process."""
    for file in files:
        try:
            str(file.path).encode()
        except UnicodeEncodeError:
            raise HupError(
                f"The name of {file.name} is not UTF-8; only text files may have such names. Rename it, or its folder."
            ) from None


@dataclass(frozen=True)
class ParquetHead:
    """Schema (empty where it has no bytes) and number of rows of a file."""

    schema: pa.Schema
    rows: int

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        names: list[str] = self.schema.names
        return names

    def reject(self, file: SourceFile) -> FileReject | None:
        """Say why the file has no rows, if it has none."""
        return None if self.rows else FileReject(file.name, None, NO_ROWS if self.names else EMPTY)


def parquet_head(file: SourceFile) -> ParquetHead:
    """Read the footer of `file`; types are such as DuckDB takes for those that it gives columns of Parquet files.

    Raises
    ------
    HupError
        If it is no Parquet file, or a cut one.
    """
    if file.bytes == 0:
        return ParquetHead(pa.schema([]), 0)
    try:
        with file.path.open("rb") as stream, pq.ParquetFile(stream) as opened:
            int96 = {column.path for column in opened.schema if column.physical_type == "INT96"}
            fields = [pa.field(field.name, _plain(field.type, field.name in int96)) for field in opened.schema_arrow]
            return ParquetHead(pa.schema(fields), opened.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise HupError(
            f"{file.path} cannot be read as Parquet: {str(error).splitlines()[0]} Is it whole and its ending right?"
        ) from error


def _plain(kind: pa.DataType, is_int96: bool) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        return kind.storage_type
    if pa.types.is_timestamp(kind) and (kind.unit != "ns" or is_int96):
        return pa.timestamp("us", kind.tz)
    return kind


def _check_parquet_columns(file: SourceFile, head: ParquetHead, wanted: Sequence[str]) -> None:
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


def _parquet_scan(files: Sequence[SourceFile]) -> str:
    """Give a table function for SQL that reads `files`; types are those that hold the values of all."""
    # Names are patterns to DuckDB; a character in brackets stands for itself.
    paths = ", ".join(quoted_text(_GLOB.sub(r"[\g<0>]", str(file.path))) for file in files)
    return f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"


def _parquet_rows(files: Sequence[SourceFile], numbers: Sequence[int], wanted: Sequence[str]) -> str:
    """Give SQL for rows of `files` and their places; `numbers` are the values of ``hup_file`` for them."""
    columns = "".join(f"{quoted_name(name)}, " for name in wanted)
    file = "file_index"
    if list(numbers) != list(range(len(files))):
        file = f"list_extract([{', '.join(map(str, numbers))}], (file_index + 1)::BIGINT)"
    return (
        f"SELECT {columns}{file}::INTEGER AS hup_file, file_row_number + 1 AS hup_row, "
        f"NULL::VARCHAR AS hup_problem, NULL::VARCHAR AS hup_text FROM {_parquet_scan(files)}"
    )


def _parquet(files: Sequence[SourceFile], wanted: Sequence[str]) -> tuple[list[str], list[FileReject]]:
    heads = [parquet_head(file) for file in files]
    rejects = given_rejects(head.reject(file) for file, head in zip(files, heads, strict=True))
    require_rows(len(files), rejects)
    for file, head in zip(files, heads, strict=True):
        if head.rows:
            _check_parquet_columns(file, head, wanted)
    alike = alike_files([head.schema if head.rows else None for head in heads], wanted)
    return [
        _parquet_rows([files[number] for number in numbers], numbers, wanted) for numbers in alike.values()
    ], rejects


def alike_files(schemas: Sequence[pa.Schema | None], wanted: Sequence[str]) -> dict[pa.Schema, list[int]]:
    """Give the numbers of the files in which `wanted` columns have the same types, by these; None: without rows."""
    alike: dict[pa.Schema, list[int]] = {}
    for number, schema in enumerate(schemas):
        if schema is not None:
            alike.setdefault(pa.schema([schema.field(name) for name in wanted]), []).append(number)
    return alike
