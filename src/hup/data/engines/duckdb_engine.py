"""The engine that runs Ibis expressions: DuckDB inside this process, out of core."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from hup.data.engines.duckdb_files import DuckDBFiles
from hup.data.engines.duckdb_query import DuckDBQueries
from hup.data.engines.engine import Dialect, RawTable, TableSource
from hup.data.engines.machine_memory import machine_memory_bytes
from hup.data.engines.sql_text import quoted_name
from hup.data.engines.table_files import check_wanted
from hup.data.progress import Progress
from hup.errors import HupError

Result = TypeVar("Result")
BATCH_ROWS = 1 << 18
_LEAST_BYTES = 1_000_000
#: The rest is for this process besides DuckDB, and for what DuckDB takes beyond its limit.
_SHARE_OF_DUCKDB = 0.8
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*", re.IGNORECASE)


class DuckDBEngine:
    """DuckDB in memory; what exceeds four fifths of `memory_limit` is spilled into `folder`.

    Use as a context manager.

    Parameters
    ----------
    folder : Path
        For spilled data; made when needed.
    memory_limit : str, optional
        For example ``"8GB"``; half of the machine's memory by default.

    Raises
    ------
    HupError
        If `memory_limit` is not a size; while running, if memory and disk do not suffice.
    """

    def __init__(self, folder: Path, memory_limit: str | None = None) -> None:
        half = f"{machine_memory_bytes() // 2 >> 20}MiB"
        self.memory_limit = half if memory_limit is None else memory_limit.strip()
        for_duckdb = f"{int(_bytes(self.memory_limit) * _SHARE_OF_DUCKDB) >> 10}KiB"
        self._folder = folder
        # In memory rather than in a file: rows are written once and read twice, compressing them costs more than it
        # saves, and what does not fit is spilled all the same.
        self._backend = ibis.duckdb.connect(":memory:", memory_limit=for_duckdb, temp_directory=str(folder))
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hup-engine")
        self._queries = DuckDBQueries(self._backend.con)
        self._files = DuckDBFiles(self._view, self._stream)
        self._numbers = count(1)
        self._registered: set[str] = set()
        self._views: set[str] = set()
        self._failure: BaseException | None = None
        # Order is restored by position where it matters.
        self._backend.raw_sql("SET preserve_insertion_order = false")
        self._backend.raw_sql("SET enable_progress_bar = false")
        # A query means tables and files by its names, never variables of this program.
        self._backend.raw_sql("SET python_enable_replacements = false")
        self._backend.raw_sql("SET TimeZone = 'UTC'")

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown()
        self._queries.close()
        self._backend.disconnect()

    def columns(self, source: TableSource, dialect: Dialect) -> dict[str, dt.DataType]:
        """Tell the columns that `source` has and their types; of text formats all are strings.

        Raises
        ------
        HupError
            If `source` does not read or has no columns; the message names the file.
        """
        _refuse_uris(source)
        if source.query is None:
            return self._files.columns(source.files, dialect)
        query, database = source.query, source.database
        return dict(ibis.Schema.from_pyarrow(self._run(lambda: self._queries.schema(query, database))).items())

    def read(self, source: TableSource, dialect: Dialect, columns: Sequence[str], progress: Progress) -> RawTable:
        """Give the rows of `source`, with the wanted `columns`; the table may be read once.

        Parameters
        ----------
        source : TableSource
            Files of one format, or a query.
        dialect : Dialect
            How delimited text is written.
        columns : sequence of str
            Names of wanted columns; of JSON, also dotted ones.
        progress : Progress
            Told the bytes of files as they are read (not of Parquet, which DuckDB reads itself).

        Raises
        ------
        HupError
            As `columns`, and if a file lacks one of the columns; also while the table is read.
        """
        _refuse_uris(source)
        if source.query is None:
            return self._files.read(source.files, dialect, columns, progress)
        query, database = source.query, source.database
        wanted = list(dict.fromkeys(columns))
        check_wanted(wanted)
        schema, batches = self._run(lambda: self._queries.rows(query, database, wanted))
        return RawTable(self._stream(schema, batches)[1], ("query",), (0,))

    def register(self, name: str, data: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Make Arrow data readable under `name`; a reader can be read once.

        What fails inside a reader is raised as it is by the method that reads it.
        """
        if isinstance(data, pa.RecordBatchReader):
            data = pa.RecordBatchReader.from_batches(data.schema, self._watched(data))
        self._backend.con.register(name, data)
        self._registered.add(name)
        return self._backend.table(name)

    def create_table(self, name: str, sql: str) -> None:
        """Compute `sql` now and keep its rows under `name`, in place of what had that name."""
        self._failure = None
        self._run(lambda: self._backend.con.execute(f"CREATE OR REPLACE TABLE {quoted_name(name)} AS {sql}"))

    def create_view(self, name: str, sql: str) -> None:
        """Give the SELECT `sql` the `name`; it is computed whenever it is read."""
        self._failure = None
        self._run(lambda: self._backend.con.execute(f"CREATE OR REPLACE VIEW {quoted_name(name)} AS {sql}"))
        self._views.add(name)

    def materialise(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute `expression` now and keep its rows under `name`, in place of what had that name."""
        query = self._query(expression)
        self._run(lambda: self._backend.con.execute(f"CREATE OR REPLACE TABLE {quoted_name(name)} AS {query}"))
        return self._backend.table(name)

    def view(self, name: str, expression: ir.Table) -> ir.Table:
        """Give `expression` the `name`; it is computed whenever it is read.

        What is built on the name is written, and thus planned, without the whole expression in it.
        """
        query = self._query(expression)
        self._run(lambda: self._backend.con.execute(f"CREATE OR REPLACE VIEW {quoted_name(name)} AS {query}"))
        self._views.add(name)
        return self._backend.table(name)

    def drop(self, name: str) -> None:
        """Forget what is registered or kept under `name`, and free its memory and disk."""
        if name in self._registered:
            self._registered.remove(name)
            self._backend.con.unregister(name)
        else:
            # Not Ibis's own drop_table: Ibis 12 writes what DuckDB 2 does not read.
            kind = "VIEW" if name in self._views else "TABLE"
            self._run(lambda: self._backend.con.execute(f"DROP {kind} {quoted_name(name)}"))
            self._views.discard(name)

    def stream(self, expression: ir.Table | str) -> Iterator[pa.RecordBatch]:
        """Compute `expression`, SQL text or Ibis, and yield its rows in order, in bounded memory."""
        # Not Ibis's own to_pyarrow_batches: Ibis 12 calls a method that DuckDB 2 no longer has.
        query = self._query(expression)
        reader = self._run(lambda: self._backend.con.sql(query).to_arrow_reader(BATCH_ROWS))
        while (batch := self._run(lambda: next(reader, None))) is not None:
            yield batch

    def collect(self, expression: ir.Table | str) -> pa.Table:
        """Compute `expression`, SQL text or Ibis, into memory."""
        query = self._query(expression)
        table = self._run(lambda: self._backend.con.sql(query).to_arrow_table())
        if isinstance(expression, str):
            return table
        # Sums of int64 are wider on DuckDB than Ibis says.
        return table.cast(expression.schema().to_pyarrow())

    def _query(self, expression: ir.Table | str) -> str:
        """Write the SQL of a new task; what failed in a task before has been told."""
        self._failure = None
        if isinstance(expression, str):
            return expression
        query: str = self._backend.compile(expression)
        return query

    def _view(self, query: str) -> ir.Table:
        name = f"hup_source_{next(self._numbers)}"
        self._run(lambda: self._backend.con.execute(f"CREATE TEMP VIEW {name} AS {query}"))
        return self._with_known_types(name)

    def _stream(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> tuple[str, ir.Table]:
        name = f"hup_source_{next(self._numbers)}"
        self.register(name, pa.RecordBatchReader.from_batches(schema, batches))
        return name, self._with_known_types(name)

    def _with_known_types(self, name: str) -> ir.Table:
        """Give a table whose types Ibis knows, too: it has none for zoned timestamps in nanoseconds."""
        columns = self._run(lambda: self._backend.con.execute(f"DESCRIBE {name}").fetchall())
        odd = [quoted_name(column) for column, kind, *_ in columns if kind == "TIMESTAMPTZ_NS"]
        if not odd:
            return self._backend.table(name)
        casts = ", ".join(f"{column}::TIMESTAMPTZ AS {column}" for column in odd)
        return self._view(f"SELECT * REPLACE ({casts}) FROM {name}")

    def _watched(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Remember what fails in `batches`: DuckDB only passes on its text."""
        try:
            yield from batches
        except Exception as failure:
            self._failure = failure
            raise

    def _run(self, work: Callable[[], Result]) -> Result:
        """Work in another thread: this one stays free to notice Ctrl-C, which DuckDB does only between its tasks."""
        future = self._worker.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            # More than once: an interrupt between two queries is lost on DuckDB.
            while not future.done():
                self._backend.con.interrupt()
                self._queries.interrupt()
                wait([future], timeout=0.1)
            raise
        except Exception as error:
            failure = self._failure or error
            told = self._told(failure)
            if told is not None:
                raise told from failure
            if failure is error:
                raise
            raise failure from None

    def _told(self, error: BaseException) -> HupError | None:
        """Say what people can do about `error`, or None if it says so itself or is a fault of ours."""
        if isinstance(error, HupError):
            return None
        line = (str(error).splitlines() or [type(error).__name__])[0]
        full = isinstance(error, OSError) and error.errno in _DISK_FULL
        spilling = isinstance(error, duckdb.IOException) and f'"{self._folder}' in str(error)
        if isinstance(error, duckdb.OutOfMemoryException) or full or spilling:
            return HupError(
                f"DuckDB ran out of memory or disk (memory limit {self.memory_limit}, spilling into {self._folder}): "
                f"{line}. Raise --memory-limit or free disk space."
            )
        # DuckDB gives damaged Parquet files no kind of error of their own.
        unreadable = isinstance(error, (OSError, duckdb.IOException, duckdb.InvalidInputException))
        if unreadable or type(error) is duckdb.Error:
            return HupError(f"The input cannot be read: {line}. Is a file damaged, or changed meanwhile?")
        return None


def _refuse_uris(source: TableSource) -> None:
    if source.uris:
        raise HupError(
            f"{source.uris[0]} is a place that only Spark reads. Run with --engine spark, or name local files."
        )


def _bytes(memory_limit: str) -> int:
    size = _SIZE.fullmatch(memory_limit)
    if size is None:
        raise HupError(f"Memory limit {memory_limit!r} is not a size. Expected a number and a unit, such as 8GB.")
    unit = 1024 if "i" in size[2].lower() else 1000
    found = int(float(size[1]) * unit ** (1 + "KMGT".index(size[2][0].upper())))
    if found < _LEAST_BYTES:
        raise HupError(
            f"Memory limit {memory_limit!r} is too little to work in; expected {_LEAST_BYTES // 10**6} MB or more."
        )
    return found
