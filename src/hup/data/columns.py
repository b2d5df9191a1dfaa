"""Columns of rows: where their values change, and Arrow files written column by column in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

HASH_ROWS = 1 << 20


def changes(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell where a value differs from the one before; the first does."""
    differs = np.empty(len(values), bool)
    differs[:1] = True
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs


class ColumnWriter:
    """Appends rows to raw files, one a column; use `open_columns`."""

    def __init__(self, files: Mapping[str, Any], dtypes: Mapping[str, npt.DTypeLike]) -> None:
        self._files = files
        self._dtypes = dtypes

    def append(self, **columns: npt.NDArray[Any]) -> None:
        """Append rows; `columns` names every column."""
        for name, file in self._files.items():
            file.write(np.ascontiguousarray(columns[name], dtype=self._dtypes[name]).data)


@contextmanager
def open_columns(folder: Path, dtypes: Mapping[str, npt.DTypeLike]) -> Iterator[ColumnWriter]:
    """Open raw column files in `folder` for appending rows."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(_raw(folder, name).open("wb")) for name in dtypes}
        yield ColumnWriter(files, dtypes)


def map_column(folder: Path, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Map a raw column file into memory, read-only."""
    path = _raw(folder, name)
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")


def assemble(folder: Path, dtypes: Mapping[str, npt.DTypeLike], path: Path) -> None:
    """Make the raw column files of `folder` one record batch in the Arrow file `path`, and remove them."""
    arrays = [pa.array(map_column(folder, name, dtype)) for name, dtype in dtypes.items()]
    write_batch(path, pa.record_batch(arrays, names=list(dtypes)))
    for name in dtypes:
        _raw(folder, name).unlink()


def write_batch(path: Path, batch: pa.RecordBatch) -> None:
    """Write one record batch as an Arrow file."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def hash_batch(path: Path, digest: Any) -> None:
    """Feed the content of an Arrow file of one record batch to `digest`: names, types, nulls and values, nothing else.

    Where a column begins in its buffers, what lies behind a null, and padding do not matter.
    """
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        digest.update(f"{name}:{column.type}:{len(column)};".encode())
        for start in range(0, len(column), HASH_ROWS):
            hash_values(column.slice(start, HASH_ROWS), digest)


def hash_values(column: pa.Array, digest: Any) -> None:
    """Feed the nulls and values of a column of numbers or large strings to `digest`."""
    is_text = pa.types.is_large_string(column.type)
    if column.null_count:
        digest.update(b"nulls:")
        digest.update(np.packbits(column.is_null().to_numpy(zero_copy_only=False)))
        column = column.fill_null("" if is_text else 0)
    if is_text:
        _validity, offsets, data = column.buffers()
        places = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
        digest.update(np.diff(places))
        if data is not None:
            digest.update(memoryview(data)[places[0] : places[-1]])
    else:
        digest.update(np.ascontiguousarray(column.to_numpy()))


def _raw(folder: Path, name: str) -> Path:
    return folder / f"{name}.raw"
