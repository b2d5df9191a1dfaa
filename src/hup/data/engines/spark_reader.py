"""Tables read by Spark, on the cores of this machine or on a cluster: rows are typed there and streamed to here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, RawTable, TableSource, sql_types
from hup.data.engines.spark_files import list_uris
from hup.data.engines.spark_session import RunningSpark
from hup.data.engines.spark_tables import SparkRows, file_columns, file_rows, query_columns, query_rows
from hup.data.engines.spark_workers import Typing, pickled_by_value, unpacked
from hup.data.engines.table_files import check_wanted
from hup.data.progress import Progress
from hup.data.sources import SourceFile
from hup.errors import HupError

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
        """Tell the columns that `source` has and their SQL types; of text formats all are VARCHAR.

        Raises
        ------
        HupError
            If `source` does not read or has no columns; the message names the file.
        """

        def find() -> dict[str, str]:
            if source.query is not None:
                return query_columns(self.spark, _query(source))
            return file_columns(self.spark, self._files(source), dialect)

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
        wanted = tuple(dict.fromkeys(columns))
        check_wanted(wanted)

        def read() -> tuple[SparkRows, list[SourceFile]]:
            if source.query is not None:
                return query_rows(self.spark, _query(source), wanted), []
            files = self._files(source)
            return file_rows(self.spark, self._running.whole_files, files, dialect, wanted), files

        rows, files = self._running.run(_READING, read)
        sizes = tuple(file.bytes for file in files)

        def typed(select: str) -> str:
            parts = [(frame, Typing(parse, select)) for frame, parse in rows.parts]
            batches = self._typed(parts)
            progress.advance(sum(sizes))
            return f"SELECT * FROM {self._engine.register_stream(parts[0][1].schema(), batches)}"

        types = sql_types(Typing(rows.parts[0][1], "SELECT * FROM raw_rows").schema())
        types = {name: types[name] for name in wanted}
        return RawTable(
            types, typed, tuple(file.name for file in files) or ("query",), sizes or (0,), rows.file_rejects
        )

    def _typed(self, parts: Sequence[tuple[Any, Typing]]) -> Iterator[pa.RecordBatch]:
        """Type the rows now, in all workers, and give an iterator that fetches them part by part."""
        from pyspark.sql import functions

        def work() -> Any:
            with pickled_by_value():
                packed = [frame.mapInArrow(typing, "rows binary") for frame, typing in parts]
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


def _query(source: TableSource) -> str:
    if source.database is not None:
        raise HupError(f"Spark does not read the DuckDB database {source.database}. Leave --engine spark out.")
    assert source.query is not None
    return source.query
