"""What Spark's Python workers are handed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

PART_ROWS = 1 << 17


@contextmanager
def pickled_by_value() -> Iterator[None]:
    """Send code of this package along with the functions for workers that are made inside the block.

    So workers need Python with what the function imports from elsewhere (PyArrow, NumPy, DuckDB for JSON), but neither
    this package nor the very same version of it. What such functions refer to must be fit for pickling.
    """
    from pyspark import cloudpickle

    package = sys.modules[__name__.partition(".")[0]]
    cloudpickle.register_pickle_by_value(package)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(package)


def packed_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write rows as Arrow streams of some size, each a value: so they leave Spark without becoming Python objects."""
    waiting: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        waiting.append(batch)
        n += batch.num_rows
        if n >= PART_ROWS:
            yield _one_value(waiting)
            waiting, n = [], 0
    if n:
        yield _one_value(waiting)


def _one_value(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["rows"])
