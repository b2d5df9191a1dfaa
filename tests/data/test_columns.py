"""Digests of Arrow files: values and nulls count, how they lie in memory does not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hup.data.columns as columns
from hup.data.columns import hash_batch, write_batch

TEXT = pa.large_string()


def digest(folder: Path, **arrays: pa.Array) -> str:
    write_batch(folder / "batch.arrow", pa.record_batch(arrays))
    value = hashlib.sha256()
    hash_batch(folder / "batch.arrow", value)
    return value.hexdigest()


VALUES = st.lists(st.none() | st.integers(-5, 5), max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=VALUES, before=VALUES, rows=st.sampled_from([1, 3, 100]))
def test_where_a_column_lies_does_not_matter(tmp_path, values, before, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "HASH_ROWS", rows)
        for kind, of in ((pa.int64(), int), (TEXT, lambda value: "ab" * abs(value))):
            plain = pa.array([None if v is None else of(v) for v in values], kind)
            whole = pa.array([None if v is None else of(v) for v in [*before, *values, 1, None]], kind)
            sliced = whole.slice(len(before), len(values))
            assert sliced.equals(plain)
            assert digest(tmp_path, a=sliced) == digest(tmp_path, a=plain)


def test_what_lies_behind_a_null_does_not_matter(tmp_path):
    numbers = [np.array([1, hidden, 3]) for hidden in (7, 8)]
    masked = [pa.array(values, mask=np.array([False, True, False])) for values in numbers]
    assert digest(tmp_path, a=masked[0]) == digest(tmp_path, a=masked[1])
    text = pa.array(["a", "hidden", "b"], TEXT)
    valid = pa.py_buffer(np.packbits([1, 0, 1], bitorder="little"))
    behind = pa.Array.from_buffers(TEXT, 3, [valid, *text.buffers()[1:]])
    assert behind.to_pylist() == ["a", None, "b"]
    assert digest(tmp_path, a=behind) == digest(tmp_path, a=pa.array(["a", None, "b"], TEXT))


def test_a_bitmap_without_nulls_does_not_matter(tmp_path):
    valid = pa.py_buffer(np.packbits([1, 1, 1], bitorder="little"))
    plain = pa.array([1, 2, 3])
    marked = pa.Array.from_buffers(pa.int64(), 3, [valid, plain.buffers()[1]])
    assert digest(tmp_path, a=marked) == digest(tmp_path, a=plain)


def test_contents_do_matter(tmp_path):
    different = [
        {"a": pa.array([], pa.int64())},
        {"a": pa.nulls(2, pa.int64())},
        {"a": pa.nulls(3, pa.int64())},
        {"a": pa.nulls(2, TEXT)},
        {"b": pa.nulls(2, TEXT)},
        {"a": pa.array([0, None])},
        {"a": pa.array([None, 0])},
        {"a": pa.array([0, 0])},
        {"a": pa.array([0, 1])},
        {"a": pa.array([0, 1], pa.int32())},
        {"a": pa.array(["", None], TEXT)},
        {"a": pa.array(["", ""], TEXT)},
        {"a": pa.array(["ab", "c"], TEXT)},
        {"a": pa.array(["a", "bc"], TEXT)},
        {"a": pa.array([0, 1]), "b": pa.array([0, 1])},
    ]
    assert len({digest(tmp_path, **arrays) for arrays in different}) == len(different)
