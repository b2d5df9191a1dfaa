"""The engine that runs Ibis expressions on Spark: on the cores of this machine, or on a cluster."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from hup.data.engines.duckdb_engine import BATCH_ROWS
from hup.data.engines.reader import Dialect, RawTable, SourceFile, TableSource
from hup.data.engines.spark_errors import in_one_line
from hup.data.engines.spark_parquet import quoted
from hup.data.engines.spark_session import OpenSession, open_session
from hup.data.engines.spark_sources import list_uris
from hup.data.engines.spark_tables import SparkTables, column_types
from hup.data.engines.spark_workers import packed_rows, pickled_by_value
from hup.data.progress import Progress
from hup.errors import HupError

Result = TypeVar("Result")
_UNSIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64()}


class SparkEngine:
    """Spark by PySpark.

    Use as a context manager. A session that this process has already is used and left running; otherwise one is
    started, and stopped at the end.

    Parameters
    ----------
    master : str, optional
        As in ``spark-submit --master``; by default what ``spark-submit`` or ``spark-defaults.conf`` say, else all cores
        of this machine.
    folder : Path, optional
        For spilled data and the log of a session on this machine; by default one that goes at the end.
    settings : mapping, optional
        More settings of Spark, by name. ``spark.driver.memory`` is half of the machine's where Spark runs on it alone.

    Raises
    ------
    HupError
        If PySpark or Java are missing, Spark does not start, or, while running, whatever fails there.
    """

    def __init__(
        self,
        master: str | None = None,
        folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = None if folder is not None else tempfile.TemporaryDirectory(prefix="hup-spark-")
        place = folder if folder is not None else Path(self._folder.name)  # type: ignore[union-attr]
        self._worker = ThreadPoolExecutor(1, "hup-engine")
        try:
            self._session = self._open(master, place, settings or {})
        except BaseException:
            self._worker.shutdown(wait=False)
            self._clear_folder()
            raise
        self.spark = self._session.spark
        self._backend = ibis.pyspark.connect(self.spark)
        self._tables = SparkTables(self.spark, self._view)
        self._kept: dict[str, Any] = {}
        self._numbers = count(1)
        tag = f"hup-{os.getpid()}-{id(self)}"
        context = self.spark.sparkContext
        self._worker.submit(context.addJobTag, tag)
        self._cancel = context.cancelAllJobs if self._session.is_ours else lambda: context.cancelJobsWithTag(tag)

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever goes wrong now must not hide what ended the work.
        with suppress(Exception):
            for name in list(self._kept):
                self.drop(name)
        self._worker.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            if self._session.is_ours:
                self.spark.stop()
        self._clear_folder()

    def columns(self, source: TableSource, dialect: Dialect) -> dict[str, dt.DataType]:
        """Tell the columns that `source` has and their types; of text formats all are strings.

        Raises
        ------
        HupError
            If `source` does not read or has no columns; the message names the file.
        """

        def find() -> dict[str, dt.DataType]:
            if source.query is not None:
                return self._tables.query_columns(_query(source))
            return self._tables.columns(self._files(source), dialect)

        return self._run("The source cannot be read", find)

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
            Told the bytes of all files when it is known where their lines are.

        Raises
        ------
        HupError
            As `columns`, and if a file lacks one of the columns; also while the table is read.
        """

        def read() -> RawTable:
            if source.query is not None:
                return self._tables.query(_query(source), columns)
            return self._tables.read(self._files(source), dialect, columns, progress)

        return self._run("The source cannot be read", read)

    def register(self, name: str, data: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Make Arrow data readable under `name`; it goes through memory, so it should be small."""
        table = data.read_all() if isinstance(data, pa.RecordBatchReader) else data

        def register() -> ir.Table:
            frame = self.spark.createDataFrame(table.cast(_spark_schema(table.schema)))
            self._name(frame, name)
            return self._table(name, ibis.Schema.from_pyarrow(table.schema))

        return self._run(f"Table {name} cannot be handed to Spark", register)

    def materialise(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute `expression` now and keep its rows under `name`, in place of what had that name."""
        from pyspark import StorageLevel

        def materialise() -> ir.Table:
            frame = self._frame(expression).persist(StorageLevel.MEMORY_AND_DISK)
            try:
                frame.count()
            except BaseException:
                frame.unpersist()
                raise
            before = self._kept.pop(name, None)
            self._name(frame, name)
            self._kept[name] = frame
            if before is not None:
                before.unpersist()
            return self._table(name, expression.schema())

        return self._run(f"Table {name} cannot be computed", materialise)

    def view(self, name: str, expression: ir.Table) -> ir.Table:
        """Give `expression` the `name`; it is computed whenever it is read.

        What is built on the name is written, and thus planned, without the whole expression in it.
        """

        def view() -> ir.Table:
            self._name(self._frame(expression), name)
            return self._table(name, expression.schema())

        return self._run(f"Table {name} cannot be made", view)

    def drop(self, name: str) -> None:
        """Forget what is registered or kept under `name`, and free its memory and disk."""

        def drop() -> None:
            self.spark.catalog.dropTempView(name)
            frame = self._kept.pop(name, None)
            if frame is not None:
                frame.unpersist()

        self._run(f"Table {name} cannot be dropped", drop)

    def stream(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """Compute `expression` and yield its rows in order, in batches of `BATCH_ROWS` and a rest."""
        schema = _result_schema(expression)
        waiting: list[pa.Table] = []
        n = 0
        for part in self._parts(expression):
            waiting.append(part.cast(schema))
            n += len(part)
            while n >= BATCH_ROWS:
                table = pa.concat_tables(waiting)
                yield from table.slice(0, BATCH_ROWS).combine_chunks().to_batches()
                waiting = [table.slice(BATCH_ROWS)]
                n -= BATCH_ROWS
        if n:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()

    def _parts(self, expression: ir.Table) -> Iterator[pa.Table]:
        from pyspark import StorageLevel

        doing = "Rows cannot be computed"

        def pack() -> Any:
            with pickled_by_value():
                packed = self._frame(expression).mapInArrow(packed_rows, "rows binary")
            # Kept on disk, so that all workers compute at once what this process then fetches part by part.
            return packed.persist(StorageLevel.DISK_ONLY)

        packed = self._run(doing, pack)
        try:
            self._run(doing, packed.count)
            parts = self._run(doing, lambda: packed.toLocalIterator(prefetchPartitions=True))
            while (part := self._run(doing, lambda: next(parts, None))) is not None:
                with pa.ipc.open_stream(pa.py_buffer(part["rows"])) as reader:
                    yield reader.read_all()
        finally:
            with suppress(Exception):
                packed.unpersist()

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute `expression` into memory."""
        schema = _result_schema(expression)
        return self._run("Rows cannot be computed", lambda: self._frame(expression).toArrow().cast(schema))

    def _files(self, source: TableSource) -> list[SourceFile]:
        return [*source.files, *(list_uris(self.spark, source.uris) if source.uris else ())]

    def _name(self, frame: Any, name: str) -> None:
        # Where a name is replaced rather than dropped first, Spark also forgets what was computed from the old rows.
        self.spark.catalog.dropTempView(name)
        frame.createTempView(name)

    def _table(self, name: str, schema: ibis.Schema) -> ir.Table:
        """Give a table whose types are known; Spark itself has fewer, such as no unsigned ones."""
        return ops.DatabaseTable(name=name, schema=schema, source=self._backend).to_expr()

    def _frame(self, expression: ir.Table) -> Any:
        """Plan `expression`; numbers are of the types that Ibis says, although Spark's functions may give others."""
        from ibis.backends.pyspark.datatypes import PySparkType
        from pyspark.sql import functions

        frame = self.spark.sql(self._backend.compile(expression))
        columns = []
        for (name, kind), found in zip(expression.schema().items(), frame.schema.fields, strict=True):
            column = functions.col(quoted(name))
            if kind.is_signed_integer() or kind.is_floating():
                said = PySparkType.from_ibis(kind)
                column = column if found.dataType == said else column.cast(said).alias(name)
            columns.append(column)
        return frame.select(*columns)

    def _view(self, frame: Any) -> ir.Table:
        name = f"hup_source_{next(self._numbers)}"
        frame.createOrReplaceTempView(name)
        return self._table(name, ibis.schema(column_types(frame)))

    def _open(self, master: str | None, place: Path, settings: Mapping[str, str]) -> OpenSession:
        """Open the session in the other thread: a start that is broken off leaves Java processes behind."""
        future = self._worker.submit(open_session, master, place, settings)
        try:
            return future.result()
        except KeyboardInterrupt:
            with suppress(HupError):
                opened = future.result()
                if opened.is_ours:
                    opened.spark.stop()
            raise

    def _run(self, doing: str, work: Callable[[], Result]) -> Result:
        """Work in another thread: this one stays free to notice Ctrl-C and to end what Spark is doing."""

        def told() -> Result:
            with in_one_line(doing):
                return work()

        future = self._worker.submit(told)
        try:
            return future.result()
        except KeyboardInterrupt:
            # More than once: work between two jobs has none to cancel, and begins the next.
            while not future.done():
                with suppress(Exception):
                    self._cancel()
                wait([future], timeout=0.2)
            raise

    def _clear_folder(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _query(source: TableSource) -> str:
    if source.database is not None:
        raise HupError(f"Spark does not read the DuckDB database {source.database}. Leave --engine spark out.")
    assert source.query is not None
    return source.query


def _result_schema(expression: ir.Table) -> pa.Schema:
    """Give the types that `expression` says: Spark has fewer, such as no unsigned ones."""
    return pa.schema([pa.field(column.name, column.type) for column in expression.schema().to_pyarrow()])


def _spark_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(column.name, _UNSIGNED.get(column.type, column.type)) for column in schema])
