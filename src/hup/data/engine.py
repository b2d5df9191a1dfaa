"""The engine that runs Ibis expressions: DuckDB inside this process, out of core."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from hup.errors import HupError

Result = TypeVar("Result")
BATCH_ROWS = 1 << 18
_LEAST_KB = 1_000
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*", re.IGNORECASE)


class Engine(Protocol):
    """What preparation asks of an engine; expressions themselves do not know which one runs them."""

    def register(self, name: str, data: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Make Arrow data readable under `name`; a reader can be read once."""
        ...

    def materialise(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute `expression` now and keep its rows under `name`."""
        ...

    def stream(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """Compute `expression` and yield its rows in order, in bounded memory."""
        ...

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute `expression` into memory."""
        ...


class DuckDBEngine:
    """DuckDB in memory; what exceeds `memory_limit` is spilled into `folder`.

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
        self.memory_limit = _checked_limit(memory_limit)
        self._folder = folder
        # In memory rather than in a file: rows are written once and read twice, compressing them costs more than it
        # saves, and what does not fit is spilled all the same.
        self._backend = ibis.duckdb.connect(":memory:", memory_limit=self.memory_limit, temp_directory=str(folder))
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hup-engine")
        # Order is restored by position where it matters.
        self._backend.raw_sql("SET preserve_insertion_order = false")
        self._backend.raw_sql("SET enable_progress_bar = false")

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown()
        self._backend.disconnect()

    def register(self, name: str, data: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Make Arrow data readable under `name`."""
        self._backend.con.register(name, data)
        return self._backend.table(name)

    def materialise(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute `expression` now and keep its rows under `name`."""
        return self._run(lambda: self._backend.create_table(name, expression))

    def stream(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """Compute `expression` and yield its rows in order, in bounded memory."""
        # Not Ibis's own to_pyarrow_batches: Ibis 12 calls a method that DuckDB 2 no longer has.
        query = self._backend.compile(expression)
        reader = self._run(lambda: self._backend.con.sql(query).to_arrow_reader(BATCH_ROWS))
        while (batch := self._run(lambda: next(reader, None))) is not None:
            yield batch

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute `expression` into memory."""
        query = self._backend.compile(expression)
        return self._run(lambda: self._backend.con.sql(query).to_arrow_table())

    def _run(self, work: Callable[[], Result]) -> Result:
        """Work in another thread: this one stays free to notice Ctrl-C, which DuckDB does only between its tasks."""
        future = self._worker.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            # More than once: an interrupt between two queries is lost on DuckDB.
            while not future.done():
                self._backend.con.interrupt()
                wait([future], timeout=0.1)
            raise
        except (duckdb.OutOfMemoryException, duckdb.IOException, OSError) as error:
            first_line = str(error).splitlines()[0]
            raise HupError(
                f"DuckDB ran out of memory or disk (memory limit {self.memory_limit}, spilling into {self._folder}): "
                f"{first_line}. Raise --memory-limit or free disk space."
            ) from error


def _checked_limit(memory_limit: str | None) -> str:
    if memory_limit is None:
        return f"{_machine_memory_bytes() // 2 >> 20}MiB"
    size = _SIZE.fullmatch(memory_limit)
    if size is None:
        raise HupError(f"Memory limit {memory_limit!r} is not a size. Expected a number and a unit, such as 8GB.")
    if float(size[1]) * 1000 ** "KMGT".index(size[2][0].upper()) < _LEAST_KB:
        raise HupError(
            f"Memory limit {memory_limit!r} is too little to work in; expected {_LEAST_KB // 1000} MB or more."
        )
    return memory_limit.strip()


def _machine_memory_bytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total
