"""Arrow files (Feather version 2 is one, too) as a stream of record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc

from hup.data.engines.reader import SourceFile, good_rows, with_place_fields
from hup.data.engines.table_files import EMPTY, NO_ROWS, check_columns
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.errors import HupError

_MAGIC = b"ARROW1"
_SLICE_ROWS = 1 << 18


@dataclass(frozen=True)
class ArrowHead:
    """Schema of a file (empty where it has no bytes), and why it has no rows, if so."""

    schema: pa.Schema
    reject: FileReject | None

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        names: list[str] = self.schema.names
        return names


def arrow_head(file: SourceFile) -> ArrowHead:
    """Read the schema of `file`.

    Raises
    ------
    HupError
        If it is no Arrow file.
    """
    if file.bytes == 0:
        return ArrowHead(pa.schema([]), FileReject(file.name, None, EMPTY))
    with _opened(file, None) as (schema, batches):
        filled = any(batch.num_rows for batch in batches)
    return ArrowHead(_plain_schema(schema), None if filled else FileReject(file.name, None, NO_ROWS))


@dataclass
class ArrowStream:
    """Reads wanted columns of Arrow files in which they have the same types, once, in order.

    Attributes
    ----------
    files : sequence of SourceFile
        All files; ``hup_file`` is the index into it.
    numbers : sequence of int
        Those of `files` to read.
    fields : sequence of Field
        Wanted columns.
    progress : Progress
        Told the bytes of each file once it is read.
    """

    files: Sequence[SourceFile]
    numbers: Sequence[int]
    fields: Sequence[pa.Field]
    progress: Progress

    @property
    def schema(self) -> pa.Schema:
        """Wanted columns and the place of each row."""
        return with_place_fields(self.fields)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of `schema`; ``hup_row`` is the row's number in its file."""
        schema = self.schema
        for number in self.numbers:
            file, row = self.files[number], 1
            for batch in self._file_batches(file):
                columns = [self._cast(batch.column(field.name), field, file) for field in self.fields]
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                yield good_rows(columns, number, rows, schema)
            self.progress.advance(file.bytes)

    def _file_batches(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        with _opened(file, [field.name for field in self.fields]) as (_schema, batches):
            for batch in batches:
                for begin in range(0, batch.num_rows, _SLICE_ROWS):
                    yield batch.slice(begin, _SLICE_ROWS)

    def _cast(self, column: pa.Array, field: pa.Field, file: SourceFile) -> pa.Array:
        try:
            return column.cast(field.type)
        except pa.ArrowException as error:
            raise HupError(f"{file.path}: column {field.name!r} cannot be read as {field.type}: {error}.") from error


def check_arrow_columns(file: SourceFile, head: ArrowHead, wanted: Sequence[str]) -> None:
    """Refuse a file that lacks wanted columns."""
    if head.names:
        check_columns(str(file.path), head.names, wanted)


@contextmanager
def _opened(file: SourceFile, wanted: Sequence[str] | None) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Open either kind of Arrow file, with random access or as a stream; errors name the file."""
    try:
        with pa.memory_map(str(file.path)) as source:
            if source.read(len(_MAGIC)) == _MAGIC:
                options = _only(ipc.open_file(source).schema, wanted)
                reader = ipc.open_file(source, options=options)
                yield reader.schema, (reader.get_batch(index) for index in range(reader.num_record_batches))
            else:
                source.seek(0)
                schema = ipc.open_stream(source).schema
                source.seek(0)
                yield schema, iter(ipc.open_stream(source, options=_only(schema, wanted)))
    except (pa.ArrowException, OSError) as error:
        raise HupError(
            f"{file.path} cannot be read as an Arrow file: {str(error).splitlines()[0]} Is it whole and its ending "
            "right? Feather files of version 1 are not read; write them again."
        ) from error


def _only(schema: pa.Schema, wanted: Sequence[str] | None) -> ipc.IpcReadOptions:
    if wanted is None:
        return ipc.IpcReadOptions()
    return ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in wanted])


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """Take values for dictionary codes."""
    plain = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ]
    return pa.schema([pa.field(field.name, field.type) for field in plain])
