"""Tables read by Spark, on the cores of this machine or on a cluster: rows are typed there and streamed to here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.duckdb_reader import alike_files, parquet_head
from hup.data.engines.reader import Dialect, RawTable, SourceFile, TableSource, WritesSelect, common_types, sql_types
from hup.data.engines.spark_errors import in_one_line
from hup.data.engines.spark_files import list_uris, parquet_rows, quoted, text_lines
from hup.data.engines.spark_session import RunningSpark
from hup.data.engines.spark_workers import Lines, TableRows, Typing, pickled_by_value, unpacked
from hup.data.engines.table_files import (
    TableFormat,
    check_columns,
    check_wanted,
    given_rejects,
    require_columns,
    require_rows,
    table_format,
)
from hup.data.engines.text_files import text_columns, text_rows
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.errors import HupError

#: DataFrames, and what workers make of the batches of each.
Parts = Sequence[tuple[Any, Lines | TableRows]]
_READING = "The source cannot be read"


class SparkReader:
    """Reads what Spark reads: files of this machine, of object stores and of HDFS, and queries in its SQL.

    Use as a context manager. A session that this process has already is used and left running; otherwise one is
    started, and stopped at the end.

    Parameters
    ----------
    engine : DuckDBEngine
        Gets the rows.
    master : str, optional
        As in ``spark-submit --master``; by default what ``spark-submit`` or ``spark-defaults.conf`` say, else all cores
        of this machine.
    folder : Path
        For spilled data and the log of a session on this machine.
    settings : mapping, optional
        More settings of Spark, by name.

    Raises
    ------
    HupError
        If PySpark or Java are missing, Spark does not start, or, while running, whatever fails there.
    """

    def __init__(
        self, engine: DuckDBEngine, master: str | None, folder: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._running = RunningSpark(master, folder, settings or {})

    def __enter__(self) -> SparkReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def spark(self) -> Any:
        """The session."""
        return self._running.spark

    def columns(self, source: TableSource, dialect: Dialect) -> dict[str, str]:
        """Tell the columns that `source` has and their SQL types: of text all are VARCHAR, of a query those of Spark.

        Raises
        ------
        HupError
            If `source` does not read or has no columns; the message names the file.
        """

        def find() -> dict[str, str]:
            if source.query is not None:
                return {name: kind.upper() for name, kind in self._query(source).dtypes}
            files = self._files(source)
            format = self._format(files)
            if format != "parquet":
                return text_columns(format, files, dialect)
            heads = [parquet_head(file) for file in files]
            require_columns([(head.names, head.reject(file)) for file, head in zip(files, heads, strict=True)])
            return common_types([head.schema for head in heads if head.names])

        return self._running.run(_READING, find)

    def read(self, source: TableSource, dialect: Dialect, columns: Sequence[str], progress: Progress) -> RawTable:
        """Give the rows of `source`, with the wanted `columns`.

        Parameters
        ----------
        source : TableSource
            Files of one format, or a query. Each worker must see local files at the same path.
        dialect : Dialect
            How delimited text is written.
        columns : sequence of str
            Names of wanted columns; of JSON, also dotted ones.
        progress : Progress
            Told the bytes of all files when they are read.

        Raises
        ------
        HupError
            As `columns`, and if a file lacks one of the columns; also while the rows are typed.
        """
        wanted = list(dict.fromkeys(columns))
        check_wanted(wanted)

        def find() -> tuple[Sequence[SourceFile], Parts, list[FileReject]]:
            if source.query is not None:
                return (), self._query_rows(source, wanted), []
            files = self._files(source)
            format = self._format(files)
            if format == "parquet":
                return files, *self._parquet(files, wanted)
            rows, rejects = text_rows(format, files, dialect, wanted)
            return files, [(text_lines(self._running.whole_files, files, rows.files), Lines(rows))], rejects

        files, parts, rejects = self._running.run(_READING, find)
        sizes = tuple(file.bytes for file in files)

        raw = [sql_types(Typing(parse, "SELECT * FROM raw_rows").schema()) for _frame, parse in parts]
        types = tuple({name: kinds[name] for name in wanted} for kinds in raw)

        def typed(write: WritesSelect) -> str:
            typings = [(frame, Typing(parse, write(kinds))) for (frame, parse), kinds in zip(parts, types, strict=True)]
            schemas = {typing.schema() for _frame, typing in typings}
            assert len(schemas) == 1, "what is written must have the same types for all files"
            batches = self._typed(typings)
            progress.advance(sum(sizes))
            return f"SELECT * FROM {self._engine.register_stream(typings[0][1].schema(), batches)}"

        names = tuple(file.name for file in files) or ("query",)
        return RawTable(types, typed, names, sizes or (0,), rejects)

    def _typed(self, parts: Sequence[tuple[Any, Typing]]) -> Iterator[pa.RecordBatch]:
        """Type the rows now, in all workers, and give an iterator that fetches them part by part."""
        from pyspark.sql import functions

        def work() -> Any:
            with pickled_by_value():
                # By places: of names with backticks PySpark makes none of its columns.
                packed = [
                    frame.toDF(*(f"c{place}" for place in range(len(frame.columns)))).mapInArrow(typing, "rows binary")
                    for frame, typing in parts
                ]
            # Pieces of one size stay on the disks of the workers until they are fetched, however large files are.
            numbered = reduce(lambda first, second: first.union(second), packed).withColumn(
                "number", functions.monotonically_increasing_id()
            )
            spread = numbered.hint("rebalance", functions.col("number")).select("rows")
            return spread.toLocalIterator(prefetchPartitions=True)

        doing = "Rows cannot be read"
        pieces = self._running.run(doing, work)

        def fetched() -> Iterator[pa.RecordBatch]:
            while (piece := self._running.run(doing, lambda: next(pieces, None))) is not None:
                yield from unpacked(piece["rows"])

        return fetched()

    def _files(self, source: TableSource) -> list[SourceFile]:
        return [*source.files, *(list_uris(self.spark, source.uris) if source.uris else ())]

    def _format(self, files: Sequence[SourceFile]) -> TableFormat:
        format = table_format(files)
        if format == "arrow":
            raise HupError(
                f"{files[0].path}: Spark does not read Arrow files. Write Parquet, or leave --engine spark out."
            )
        codec = self.spark._jvm.org.apache.hadoop.io.compress.ZStandardCodec
        for file in files:
            if file.path.suffix.lower() == ".zst" and not codec.isNativeCodeLoaded():
                raise HupError(
                    f"{file.path}: this Spark has no native library for Zstandard. Pack it with gzip, unpack it, or "
                    "leave --engine spark out."
                )
        return format

    def _parquet(self, files: Sequence[SourceFile], wanted: Sequence[str]) -> tuple[Parts, list[FileReject]]:
        heads = [parquet_head(file) for file in files]
        rejects = given_rejects(head.reject(file) for file, head in zip(files, heads, strict=True))
        require_rows(len(files), rejects)
        for file, head in zip(files, heads, strict=True):
            if head.rows:
                check_columns(str(file.path), head.names, wanted)
        alike = alike_files([head.schema if head.rows else None for head in heads], wanted)
        parts = [
            (parquet_rows(self.spark, files, numbers, wanted), TableRows(tuple(schema)))
            for schema, numbers in alike.items()
        ]
        return parts, rejects

    def _query(self, source: TableSource) -> Any:
        if source.database is not None:
            raise HupError(f"Spark does not read the DuckDB database {source.database}. Leave --engine spark out.")
        assert source.query is not None
        # In brackets, nothing but a SELECT is SQL: Spark would run anything else at once.
        with in_one_line("The query fails"):
            return self.spark.sql(f"SELECT * FROM (\n{source.query.strip().rstrip(';')}\n)")

    def _query_rows(self, source: TableSource, wanted: Sequence[str]) -> Parts:
        """Give the rows of a query, whose places are not known."""
        from pyspark.sql.pandas.types import to_arrow_schema

        frame = self._query(source)
        check_columns("The query", frame.columns, wanted)
        chosen = frame.select(*map(quoted, wanted))
        schema = to_arrow_schema(chosen.schema)
        return [(chosen.selectExpr("*", "0", "CAST(NULL AS LONG)"), TableRows(tuple(schema)))]
