"""Tables in memory: whatever gives a stream of Arrow data, read once, as rows with places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from hup.data.engines.reader import good_rows, with_place_fields
from hup.data.engines.table_files import check_columns
from hup.errors import HupError

_SLICE_ROWS = 1 << 18
_PANDAS_INDEX = re.compile(r"__index_level_[0-9]+__")


def is_frame(source: object) -> bool:
    """Tell whether `source` is a table: of Arrow, pandas, polars, DuckDB, or of any other library that shares such."""
    return hasattr(source, "__arrow_c_stream__")


@dataclass(frozen=True, eq=False)
class Frame:
    """A table in memory; its rows can be read once.

    Attributes
    ----------
    schema : Schema
        Of all columns but an index of pandas that has no name; values are taken for the codes of dictionaries, storage
        for extensions.
    reader : RecordBatchReader
        Gives the rows, maybe as they are made.
    """

    schema: pa.Schema
    reader: pa.RecordBatchReader

    @classmethod
    def of(cls, table: object) -> Frame:
        """Open a table; what it holds is not copied, where it is Arrow data already.

        Raises
        ------
        HupError
            If it cannot give its columns as Arrow data; the message names the column.
        """
        try:
            reader = pa.RecordBatchReader.from_stream(table)
        except Exception as error:  # of whatever library
            raise HupError(
                f"The table cannot be read as Arrow data: {_told(error)}. A column holds values of one type: make it "
                "text or numbers first, such as frame['item'].astype(str)."
            ) from error
        fields = [field for field in reader.schema if not _PANDAS_INDEX.fullmatch(field.name)]
        return cls(pa.schema([pa.field(field.name, _plain(field.type)) for field in fields]), reader)

    def rows(self, wanted: Sequence[str]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Give the schema and the batches of `wanted` columns and their places; ``hup_row`` counts from 1.

        Raises
        ------
        HupError
            If a column is missing or there are no rows; within the batches if the table fails.
        """
        check_columns("The table", self.schema.names, wanted)
        filled = (batch for batch in self._batches() if batch.num_rows)
        first = next(filled, None)
        if first is None:
            raise HupError("The table has no rows; there is nothing to read.")
        schema = with_place_fields([self.schema.field(name) for name in wanted])
        return schema, self._placed(chain([first], filled), wanted, schema)

    def head(self, most: int) -> pa.Table:
        """Give the first rows, at most so many, with all columns."""
        batches, left = [], most
        for batch in self._batches():
            part = batch.slice(0, left)
            columns = [_cast(part.column(field.name), field) for field in self.schema]
            batches.append(pa.record_batch(columns, schema=self.schema))
            left -= part.num_rows
            if not left:
                break
        return pa.Table.from_batches(batches, self.schema)

    def _placed(
        self, batches: Iterator[pa.RecordBatch], wanted: Sequence[str], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        row = 1
        for whole in batches:
            for begin in range(0, whole.num_rows, _SLICE_ROWS):
                batch = whole.slice(begin, _SLICE_ROWS)
                columns = [_cast(batch.column(name), schema.field(name)) for name in wanted]
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                yield good_rows(columns, 0, rows, schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self.reader
        except Exception as error:
            raise HupError(f"The table cannot be read: {_told(error)}") from error


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    try:
        storage = column.storage if isinstance(column, pa.ExtensionArray) else column
        return storage.cast(field.type)
    except pa.ArrowException as error:
        raise HupError(f"The table: column {field.name!r} cannot be read as {field.type}: {error}.") from error


def _plain(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _told(error: Exception) -> str:
    """Give what an error says, without the traceback that Arrow adds."""
    lines = [str(part).strip().splitlines() or [""] for part in error.args]
    return "; ".join(first for first, *_more in lines if first) or type(error).__name__
