"""Arrow files and streams, and Feather, through the engine."""

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pytest

from hup.data.engines import arrow_stream
from hup.data.engines.reader import Dialect
from hup.data.rejects import FileReject
from hup.errors import HupError


def write_file(path, table, rows=2):
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


def write_stream(path, table, rows=2):
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("slice_rows", [1, 1 << 18])
def test_all_kinds_together(tmp_path, engine, as_source, read_rows, told, slice_rows, monkeypatch):
    monkeypatch.setattr(arrow_stream, "_SLICE_ROWS", slice_rows)
    users = pa.array(["u1", "u2", None, "u2", "u5"])
    items = pa.array([1, 2, 3, None, 5], pa.int32())
    write_file(tmp_path / "a.arrow", pa.table({"user": users, "x": [[1]] * 5, "item": items}))
    write_stream(tmp_path / "b.ipc", pa.table({"item": items.cast(pa.int64()), "user": users.dictionary_encode()}))
    feather.write_feather(
        pa.table({"user": users.cast(pa.large_string()), "item": items}), tmp_path / "c.feather", "zstd"
    )
    write_stream(tmp_path / "d.arrow", pa.table({"item": items[:0], "user": users[:0]}))
    (tmp_path / "e.arrow").write_bytes(b"")
    assert engine.reader.columns(as_source(tmp_path), Dialect())["item"] == "BIGINT"
    rows, raw = read_rows(tmp_path, ["item", "user"], progress=told)
    assert [tuple(row.values()) for row in rows] == [
        (item, user, file, row, None, None)
        for file in range(3)
        for row, (item, user) in enumerate(zip(items.to_pylist(), users.to_pylist(), strict=True), 1)
    ]
    assert raw.file_rejects == [
        FileReject("d.arrow", None, "file has no rows"),
        FileReject("e.arrow", None, "file is empty"),
    ]
    assert told.bytes == sum(raw.sizes)


def test_a_missing_column_names_the_file(tmp_path, engine, as_source, told):
    write_file(tmp_path / "a.arrow", pa.table({"user": [1], "x": [1]}))
    write_file(tmp_path / "b.arrow", pa.table({"user": ["u"]}))
    with pytest.raises(HupError, match=r"b\.arrow has no column 'x'"):
        engine.reader.read(as_source(tmp_path), Dialect(), ["x"], told)
    assert engine.reader.columns(as_source(tmp_path), Dialect()) == {"user": "VARCHAR", "x": "BIGINT"}


@pytest.mark.parametrize("content", [b"ARROW1", b"user,item\n1,2\n", b"FEA1" * 10])
def test_files_that_are_no_arrow(tmp_path, engine, as_source, content):
    (tmp_path / "a.feather").write_bytes(content)
    with pytest.raises(HupError, match=r"a\.feather cannot be read as an Arrow file"):
        engine.reader.columns(as_source(tmp_path), Dialect())


def test_a_stream_cut_off_fails_where_it_is_read(tmp_path, engine, as_source, told):
    path = tmp_path / "a.arrow"
    write_stream(path, pa.table({"user": ["u" * 100] * 1000}), rows=100)
    path.write_bytes(path.read_bytes()[:-5000])
    raw = engine.reader.read(as_source(path), Dialect(), ["user"], told)
    with pytest.raises(HupError, match=r"a\.arrow cannot be read as an Arrow file"):
        engine.create_table("t", raw.typed(lambda _types: "SELECT * FROM raw_rows"))


def test_nothing_to_read(tmp_path, engine, as_source, told):
    write_file(tmp_path / "a.arrow", pa.table({"user": pa.array([], pa.string())}))
    assert engine.reader.columns(as_source(tmp_path), Dialect()) == {"user": "VARCHAR"}
    with pytest.raises(HupError, match="file has no rows"):
        engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)
