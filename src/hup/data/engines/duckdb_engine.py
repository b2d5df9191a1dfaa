"""The engine that runs SQL: DuckDB inside this process, out of core."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import duckdb
import pyarrow as pa

from hup.data.engines.duckdb_reader import DuckDBReader
from hup.data.engines.reader import Reader, quoted_name
from hup.errors import HupError

EngineName = Literal["duckdb", "spark"]
Result = TypeVar("Result")
BATCH_ROWS = 1 << 18
_LEAST_BYTES = 1_000_000
#: The rest is for this process besides DuckDB, and for what DuckDB takes beyond its limit.
_SHARE_OF_DUCKDB = 0.8
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MEMORY_OF_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*", re.IGNORECASE)


@contextmanager
def open_engine(
    name: EngineName, work: Path, memory_limit: str | None, spark_master: str | None
) -> Iterator[DuckDBEngine]:
    """Open the engine with what reads tables for it; use it as a context manager.

    Parameters
    ----------
    name : {"duckdb", "spark"}
        What reads.
    work : Path
        For what is kept on disk.
    memory_limit : str, optional
        For DuckDB, which sorts what Spark reads, too.
    spark_master : str, optional
        For Spark.

    Raises
    ------
    HupError
        If an option is for the other reader, or Spark cannot be had.
    """
    if name == "spark":
        from hup.data.engines.spark_reader import SparkReader

        with DuckDBEngine(work / "spill", memory_limit) as engine, SparkReader(engine, spark_master, work) as reader:
            engine.reader = reader
            yield engine
        return
    if spark_master is not None:
        raise HupError("--spark-master is for --engine spark; DuckDB runs in this process.")
    with DuckDBEngine(work / "spill", memory_limit) as engine:
        yield engine


class DuckDBEngine:
    """DuckDB in memory; what exceeds four fifths of `memory_limit` is spilled into `folder`.

    Use as a context manager.

    Parameters
    ----------
    folder : Path
        For spilled data; made when needed.
    memory_limit : str, optional
        For example ``"8GB"``; half of the machine's memory by default.

    Attributes
    ----------
    reader : Reader
        Reads tables: local files and queries, unless another one is set.

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
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": for_duckdb,
            "temp_directory": str(folder),
        }
        self._connection = duckdb.connect(":memory:", config=limits)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hup-engine")
        self.reader: Reader = DuckDBReader(self)
        self._numbers = count(1)
        self._registered: set[str] = set()
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._views: set[str] = set()
        self._failure: BaseException | None = None
        # Order is restored by position where it matters.
        self._connection.execute("SET preserve_insertion_order = false")
        self._show_no_bars()
        # A query means tables and files by its names, never variables of this program.
        self._connection.execute("SET python_enable_replacements = false")
        self._connection.execute("SET TimeZone = 'UTC'")

    def _show_no_bars(self) -> None:
        """Switch progress bars off where they are on: in notebooks that lack ipywidgets DuckDB refuses any change."""
        if self._connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() != [(False,)]:
            self._connection.execute("SET enable_progress_bar = false")

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown()
        for cursor in self._cursors:
            cursor.close()
        self._connection.close()

    def register(self, name: str, data: pa.Table | pa.RecordBatchReader) -> None:
        """Make Arrow data readable under `name`; a reader can be read once.

        What fails inside a reader is raised as it is by the method that reads it.
        """
        if isinstance(data, pa.RecordBatchReader):
            data = pa.RecordBatchReader.from_batches(data.schema, self._watched(data))
        self._connection.register(name, data)
        self._registered.add(name)

    def register_stream(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> str:
        """Make `batches` readable once, under a new name that is returned."""
        name = f"hup_source_{next(self._numbers)}"
        self.register(name, pa.RecordBatchReader.from_batches(schema, batches))
        return name

    def create_table(self, name: str, sql: str) -> None:
        """Compute the SELECT `sql` now and keep its rows under `name`, in place of what had that name."""
        self._execute(f"CREATE OR REPLACE TABLE {quoted_name(name)} AS {sql}")

    def create_view(self, name: str, sql: str) -> None:
        """Give the SELECT `sql` the `name`; it is computed whenever it is read."""
        self._execute(f"CREATE OR REPLACE VIEW {quoted_name(name)} AS {sql}")
        self._views.add(name)

    def drop(self, name: str) -> None:
        """Forget what is registered or kept under `name`, and free its memory and disk."""
        if name in self._registered:
            self._registered.remove(name)
            self._connection.unregister(name)
        else:
            self._execute(f"DROP {'VIEW' if name in self._views else 'TABLE'} {quoted_name(name)}")
            self._views.discard(name)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Compute the SELECT `sql` and yield its rows in order, in bounded memory; DuckDB is one batch ahead."""
        self._failure = None
        reader = self.run(lambda: self._connection.sql(sql).to_arrow_reader(BATCH_ROWS))
        ahead = self._worker.submit(next, reader, None)
        while (batch := self._result(ahead)) is not None:
            ahead = self._worker.submit(next, reader, None)
            yield batch

    def collect(self, sql: str) -> pa.Table:
        """Compute the SELECT `sql` into memory."""
        self._failure = None
        table: pa.Table = self.run(lambda: self._connection.sql(sql).to_arrow_table())
        return table

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open another connection, within the same limits of memory, which ends and is interrupted with this one."""
        cursor = self._connection.cursor()
        self._cursors.append(cursor)
        return cursor

    def types(self, sql: str) -> dict[str, str]:
        """Tell the columns of the SELECT `sql` and their SQL types."""
        self._failure = None
        columns = self.run(lambda: self._connection.execute(f"DESCRIBE {sql}").fetchall())
        return {name: kind for name, kind, *_ in columns}

    def _execute(self, statement: str) -> None:
        self._failure = None  # what failed in a task before has been told
        self.run(lambda: self._connection.execute(statement))

    def _watched(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Remember what fails in `batches`: DuckDB only passes on its text."""
        try:
            yield from batches
        except Exception as failure:
            self._failure = failure
            raise

    def run(self, work: Callable[[], Result]) -> Result:
        """Work in another thread: this one stays free to notice Ctrl-C, which DuckDB does only between its tasks."""
        return self._result(self._worker.submit(work))

    def _result(self, future: Future[Result]) -> Result:
        """Wait for what the other thread does."""
        try:
            return future.result()
        except KeyboardInterrupt:
            # More than once: an interrupt between two queries is lost on DuckDB.
            while not future.done():
                self._connection.interrupt()
                for cursor in self._cursors:
                    cursor.interrupt()
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


def machine_memory_bytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in map(Path, _MEMORY_OF_CONTAINER):
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total


def _bytes(memory_limit: str) -> int:
    size = _SIZE.fullmatch(memory_limit)
    if size is None:
        raise HupError(f"Memory limit {memory_limit!r} is not a size. Expected a number and a unit, such as 8GB.")
    unit = 1024 if "i" in size[2].lower() else 1000
    size_bytes = int(float(size[1]) * unit ** (1 + "KMGT".index(size[2][0].upper())))
    if size_bytes < _LEAST_BYTES:
        raise HupError(
            f"Memory limit {memory_limit!r} is too little to work in; expected {_LEAST_BYTES // 10**6} MB or more."
        )
    return size_bytes
