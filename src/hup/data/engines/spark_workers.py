"""What Spark's Python workers run: rows of a source out of what Spark read, typed by the same SQL as on DuckDB."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from hup.data.engines.reader import local_duckdb, with_place_fields
from hup.data.engines.text_files import TextRows
from hup.data.line_blocks import MAX_LINE_BYTES

PACK_ROWS = 1 << 17
Batches = Iterator[pa.RecordBatch]
_CUT = "A file was cut into pieces, or is none of those that were listed: its lines cannot be numbered."


@contextmanager
def pickled_by_value() -> Iterator[None]:
    """Send code of this package along with the functions for workers that are made inside the block.

    So workers need Python with what the function imports from elsewhere (PyArrow, NumPy, DuckDB), but neither this
    package nor the very same version of it. What such functions refer to must be fit for pickling.
    """
    from pyspark import cloudpickle

    package = sys.modules[__name__.partition(".")[0]]
    cloudpickle.register_pickle_by_value(package)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(package)


@dataclass(frozen=True)
class Lines:
    """Parses lines of text files, as where this process reads them.

    Attributes
    ----------
    rows : CsvRows or JsonlRows
        Makes rows of the lines of a file.
    """

    rows: TextRows

    @property
    def schema(self) -> pa.Schema:
        """Of `rows`."""
        return self.rows.schema

    def sql(self, table: str) -> str:
        """Give SQL for raw rows out of a table of `schema`."""
        return self.rows.sql(table)

    def __call__(self, batches: Batches) -> Batches:
        """Yield rows of the lines of whole files: ``hup_file`` and ``hup_line``."""
        for file, blocks in _files(batches):
            for part in self.rows.parts(file, blocks):
                yield from part()


@dataclass(frozen=True)
class TableRows:
    """Gives rows of Parquet files and queries the types that their columns have there, of which Spark has fewer.

    Attributes
    ----------
    fields : tuple of Field
        Columns with their types in the files or the query.
    """

    fields: tuple[pa.Field, ...]

    @property
    def schema(self) -> pa.Schema:
        """The fields, and the places of rows."""
        return with_place_fields(self.fields)

    def sql(self, table: str) -> str:
        """Give SQL for raw rows out of a table of `schema`."""
        return f"SELECT * FROM {table}"

    def __call__(self, batches: Batches) -> Batches:
        """Yield rows of the columns, ``hup_file`` and ``hup_row``."""
        for batch in batches:
            *columns, files, rows = batch.columns
            if files.null_count:
                raise RuntimeError(_CUT)
            nothing = pa.nulls(len(batch), pa.string())
            typed = [
                pa.nulls(len(batch)) if pa.types.is_null(field.type) else column.cast(field.type)
                for column, field in zip(columns, self.fields, strict=True)
            ]
            yield pa.record_batch([*typed, files, rows, nothing, nothing], schema=self.schema)


@dataclass(frozen=True)
class Typing:
    """Types the rows of a partition by DuckDB, and packs them.

    Attributes
    ----------
    parse : callable
        One of the above: makes rows of what Spark read.
    select : str
        A SELECT over ``raw_rows`` that treats each row for itself.
    """

    parse: Lines | TableRows
    select: str

    def schema(self) -> pa.Schema:
        """Columns of `select`, found by running it on no rows."""
        with self._typed(iter(())) as reader:
            return reader.schema

    def __call__(self, batches: Batches) -> Batches:
        """Yield Arrow streams of rows, each a value: so they leave Spark without becoming Python objects."""
        with self._typed(batches) as reader:
            for batch in reader:
                yield pa.record_batch([pa.array([packed(batch)], pa.binary())], names=["rows"])

    @contextmanager
    def _typed(self, batches: Batches) -> Iterator[pa.RecordBatchReader]:
        rows = pa.RecordBatchReader.from_batches(self.parse.schema, self.parse(batches))
        # One core: the others are Spark's.
        with local_duckdb() as connection:
            connection.register("hup_rows", rows)
            connection.execute(f"CREATE TEMP VIEW raw_rows AS {self.parse.sql('hup_rows')}")
            yield connection.sql(self.select).to_arrow_reader(PACK_ROWS)


def packed(batch: pa.RecordBatch) -> bytes:
    """Write rows as a stream of Arrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def unpacked(value: bytes) -> Batches:
    """Read what `packed` wrote."""
    with pa.ipc.open_stream(pa.py_buffer(value)) as reader:
        yield from reader


def _files(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Iterator[bytes | None]]]:
    """Give the number of each file and its lines in blocks, as from `whole_lines`."""
    runs = (run for batch in batches for run in _runs(*batch.columns))
    for file, run in groupby(runs, key=lambda run: run[0]):
        if file is None:
            raise RuntimeError(_CUT)
        yield file, (block for _file, lines in run for block in _blocks(lines))


def _runs(files: pa.Array, lines: pa.Array) -> Iterator[tuple[int | None, pa.Array]]:
    encoded = pc.run_end_encode(files)
    begin = 0
    for file, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
        yield file, lines.slice(begin, end - begin)
        begin = end


def _blocks(lines: pa.Array) -> Iterator[bytes | None]:
    """Join lines by newlines; None stands for one that is too long."""
    long = pc.indices_nonzero(pc.greater(pc.binary_length(lines), MAX_LINE_BYTES)).to_pylist()
    begin = 0
    for end in [*long, len(lines)]:
        if end > begin:
            part = lines.slice(begin, end - begin)
            yield pc.binary_join(pa.ListArray.from_arrays([0, len(part)], part), b"\n")[0].as_py()
        if end < len(lines):
            yield None
        begin = end + 1
