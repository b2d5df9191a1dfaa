"""The columns that say where a row is and what is wrong with it, on Arrow batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RAW_TEXT_CHARACTERS = 1_000
_PLACE_FIELDS = [
    pa.field("hup_file", pa.int32()),
    pa.field("hup_row", pa.int64()),
    pa.field("hup_problem", pa.string()),
    pa.field("hup_text", pa.string()),
]


def with_place_fields(fields: Sequence[pa.Field]) -> pa.Schema:
    """Give `fields` and those of places, which come last."""
    return pa.schema([*fields, *_PLACE_FIELDS])


def good_rows(columns: Sequence[pa.Array], file: int, rows: npt.NDArray[np.int64], schema: pa.Schema) -> pa.RecordBatch:
    """Make a batch of `schema` of rows that parse.

    Parameters
    ----------
    columns : sequence of Array
        Values; their types are those of `schema`.
    file : int
        Index of the file.
    rows : array of int64
        1-based line or row of each.
    schema : Schema
        As from `with_place_fields`.
    """
    nothing = pa.nulls(len(rows), pa.string())
    return pa.record_batch([*columns, _repeated(file, len(rows)), pa.array(rows), nothing, nothing], schema=schema)


def problem_rows(
    reasons: Sequence[str] | pa.StringArray,
    texts: Sequence[str | None] | pa.StringArray,
    file: int,
    rows: npt.NDArray[np.int64],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Make a batch of `schema` of rows that do not parse: values are null, `reasons` and raw `texts` are given."""
    n = len(rows)
    values = [pa.nulls(n, field.type) for field in list(schema)[: -len(_PLACE_FIELDS)]]
    what = [pa.array(column, pa.string()) for column in (reasons, texts)]
    return pa.record_batch([*values, _repeated(file, n), pa.array(rows), *what], schema=schema)


def _repeated(file: int, n: int) -> pa.Int32Array:
    return pa.array(np.full(n, file, np.int32))


def shown(raw: bytes) -> str:
    """Give the beginning of raw text for ``hup_text``."""
    # No character takes more than four bytes.
    return raw[: 4 * RAW_TEXT_CHARACTERS].decode(errors="replace")[:RAW_TEXT_CHARACTERS]
