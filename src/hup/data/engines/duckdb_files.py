"""Local files as tables of DuckDB: Parquet by itself, other formats from Arrow streams of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from hup.data.engines.arrow_stream import ArrowStream, arrow_head, check_arrow_columns, common_schema
from hup.data.engines.csv_stream import CsvStream, check_csv_columns, csv_head
from hup.data.engines.engine import Dialect, RawTable
from hup.data.engines.jsonl_stream import JSONL_SCHEMA, JsonlStream, check_jsonl_columns, jsonl_head, jsonl_rows
from hup.data.engines.parquet_files import check_parquet_columns, parquet_head, parquet_rows, parquet_scan
from hup.data.engines.table_files import (
    check_wanted,
    given_rejects,
    require_columns,
    require_rows,
    table_format,
    text_columns,
)
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile

Columns = dict[str, dt.DataType]


class DuckDBFiles:
    """Reads tables from files.

    Parameters
    ----------
    view : callable
        Makes a table of an SQL query, which is run whenever the table is read.
    stream : callable
        Makes a table, which can be read once, of batches with a schema; gives its name, too.
    """

    def __init__(
        self,
        view: Callable[[str], ir.Table],
        stream: Callable[[pa.Schema, Iterator[pa.RecordBatch]], tuple[str, ir.Table]],
    ) -> None:
        self._view = view
        self._stream = stream

    def columns(self, files: Sequence[SourceFile], dialect: Dialect) -> Columns:
        """Tell the columns that `files` have together, and types that hold the values of all.

        Raises
        ------
        HupError
            If formats are mixed, a file does not read, or none has columns.
        """
        match table_format(files):
            case "parquet":
                heads = [(file, parquet_head(file)) for file in files]
                require_columns([(head.names, head.reject(file)) for file, head in heads])
                filled = [file for file, head in heads if head.names]
                return dict(self._view(f"SELECT * FROM {parquet_scan(filled)}").schema().items())
            case "csv":
                csv_heads = [csv_head(file, dialect) for file in files]
                return text_columns([(head.names, head.reject) for head in csv_heads])
            case "jsonl":
                jsonl_heads = [jsonl_head(file) for file in files]
                return text_columns([(head.names, head.reject) for head in jsonl_heads])
            case "arrow":
                arrow_heads = [arrow_head(file) for file in files]
                schema = common_schema(files, arrow_heads)
                require_columns([(schema.names, head.reject) for head in arrow_heads])
                return dict(ibis.Schema.from_pyarrow(schema).items())

    def read(
        self, files: Sequence[SourceFile], dialect: Dialect, columns: Sequence[str], progress: Progress
    ) -> RawTable:
        """Give the rows of `files` with the wanted `columns`; see `Engine.read`.

        Raises
        ------
        HupError
            As `columns`, and if a file lacks one of the columns or no file has rows.
        """
        wanted = list(dict.fromkeys(columns))
        check_wanted(wanted)
        match table_format(files):
            case "parquet":
                table, rejects = self._parquet(files, wanted)
            case "csv":
                table, rejects = self._csv(files, dialect, wanted, progress)
            case "jsonl":
                table, rejects = self._jsonl(files, wanted, progress)
            case "arrow":
                table, rejects = self._arrow(files, wanted, progress)
        return RawTable(table, tuple(file.name for file in files), tuple(file.bytes for file in files), rejects)

    def _parquet(self, files: Sequence[SourceFile], wanted: Sequence[str]) -> tuple[ir.Table, list[FileReject]]:
        heads = [parquet_head(file) for file in files]
        rejects = given_rejects(head.reject(file) for file, head in zip(files, heads, strict=True))
        require_rows(len(files), rejects)
        numbers = [number for number, head in enumerate(heads) if head.rows]
        for number in numbers:
            check_parquet_columns(files[number], heads[number], wanted)
        return self._view(parquet_rows([files[number] for number in numbers], numbers, wanted)), rejects

    def _csv(
        self, files: Sequence[SourceFile], dialect: Dialect, wanted: Sequence[str], progress: Progress
    ) -> tuple[ir.Table, list[FileReject]]:
        heads = [csv_head(file, dialect) for file in files]
        for file, head in zip(files, heads, strict=True):
            if head.names:
                check_csv_columns(file, head, wanted, dialect.delimiter)
        rejects = given_rejects(head.reject for head in heads)
        require_rows(len(files), rejects)
        stream = CsvStream(files, heads, dialect, wanted, progress, rejects)
        return self._stream(stream.schema, stream.batches())[1], rejects

    def _jsonl(
        self, files: Sequence[SourceFile], wanted: Sequence[str], progress: Progress
    ) -> tuple[ir.Table, list[FileReject]]:
        heads = [jsonl_head(file) for file in files]
        rejects = given_rejects(head.reject for head in heads)
        require_rows(len(files), rejects)
        check_jsonl_columns(files, heads, wanted)
        lines, _ = self._stream(JSONL_SCHEMA, JsonlStream(files, heads, progress, rejects).batches())
        return self._view(jsonl_rows(lines, wanted)), rejects

    def _arrow(
        self, files: Sequence[SourceFile], wanted: Sequence[str], progress: Progress
    ) -> tuple[ir.Table, list[FileReject]]:
        heads = [arrow_head(file) for file in files]
        for file, head in zip(files, heads, strict=True):
            check_arrow_columns(file, head, wanted)
        rejects = given_rejects(head.reject for head in heads)
        require_rows(len(files), rejects)
        schema = common_schema(files, heads)
        stream = ArrowStream(files, heads, [schema.field(name) for name in wanted], progress)
        return self._stream(stream.schema, stream.batches())[1], rejects
