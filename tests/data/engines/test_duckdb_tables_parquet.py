"""Parquet files through the engine."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.reader import Dialect
from hup.errors import HupError


def test_types_are_kept_and_rows_numbered(tmp_path, engine, as_source, told):
    when = datetime.datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "id": pa.array([2**62, None], pa.int64()),
            "small": pa.array([1, 2], pa.uint16()),
            "name": ["ä", "\0"],
            "time": pa.array([when, None], pa.timestamp("ms", tz="UTC")),
            "price": pa.array([1.5, float("nan")]),
            "unwanted": [[1], [2]],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    source = as_source(tmp_path / "a.parquet")
    types = engine.reader.columns(source, Dialect())
    assert [types[name] for name in ("id", "small", "name", "price")] == ["BIGINT", "USMALLINT", "VARCHAR", "DOUBLE"]
    assert types["time"] == "TIMESTAMP WITH TIME ZONE"
    raw = engine.reader.read(source, Dialect(), ["time", "id", "name"], told)
    for _again in range(2):
        rows = engine.collect(raw.typed(lambda _types: "SELECT * FROM raw_rows") + " ORDER BY hup_row").to_pylist()
        assert [(row["id"], row["name"], row["time"]) for row in rows] == [(2**62, "ä", when), (None, "\0", None)]
        assert [(row["hup_file"], row["hup_row"], row["hup_problem"]) for row in rows] == [(0, 1, None), (0, 2, None)]
    kinds = engine.types(raw.typed(lambda _types: "SELECT * FROM raw_rows"))
    assert (kinds["hup_file"], kinds["hup_row"]) == ("INTEGER", "BIGINT")
    assert raw.types == ({"time": "TIMESTAMP WITH TIME ZONE", "id": "BIGINT", "name": "VARCHAR"},)


def test_many_files_in_other_orders_and_of_other_types(tmp_path, read_rows):
    for number in range(40):
        columns = {"user": pa.array([number, -1], pa.int64() if number % 2 else pa.int8()), "item": ["x", f"i{number}"]}
        names = ["user", "item"] if number % 3 else ["item", "user"]
        rows = 0 if number in (5, 17) else 2
        table = pa.table({name: columns[name][:rows] for name in names})
        pq.write_table(table, tmp_path / f"part-{number:02}.parquet")
    (tmp_path / "part-20.parquet").write_bytes(b"")
    rows, raw = read_rows(tmp_path, ["user", "item"])
    filled = [number for number in range(40) if number not in (5, 17, 20)]
    assert [(row["hup_file"], row["hup_row"], row["user"], row["item"]) for row in rows] == [
        place for number in filled for place in [(number, 1, number, "x"), (number, 2, -1, f"i{number}")]
    ]
    assert len(raw.files) == 40
    assert [(reject.file, reject.reason) for reject in raw.file_rejects] == [
        ("part-05.parquet", "file has no rows"),
        ("part-17.parquet", "file has no rows"),
        ("part-20.parquet", "file is empty"),
    ]


def test_names_that_are_patterns(tmp_path, read_rows):
    folder = tmp_path / "type=[a]'?*"
    folder.mkdir()
    for number, name in enumerate(["a[0-9]*?.parquet", "a1xx.parquet"]):
        pq.write_table(pa.table({'a"b': [number]}), folder / name)
    rows, raw = read_rows(folder / "a[0-9]*?.parquet", ['a"b'])
    assert [(row['a"b'], row["hup_file"]) for row in rows] == [(0, 0)]
    assert raw.files == ("a[0-9]*?.parquet",)


def test_a_missing_column_names_the_file(tmp_path, engine, as_source, told):
    pq.write_table(pa.table({"user": [1], "item": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"User": [1], "item": [1]}), tmp_path / "b.parquet")
    with pytest.raises(HupError, match=r"b\.parquet has no column 'user'\. Did you mean 'User'"):
        engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["user", "User"], "differ only in upper and lower case"),
        (["user", "file_row_number"], "a name that DuckDB uses itself"),
        (["user", "user"], "2 columns named 'user'"),
    ],
)
def test_names_that_duckdb_confuses(tmp_path, engine, as_source, told, names, message):
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * len(names), names), tmp_path / "a.parquet")
    with pytest.raises(HupError, match=message):
        engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)


def test_files_that_are_no_parquet(tmp_path, engine, as_source, told):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"user,item\n1,2\n")
    with pytest.raises(HupError, match=r"a\.parquet cannot be read as Parquet.*whole"):
        engine.reader.columns(as_source(path), Dialect())
    path.write_bytes(b"")
    with pytest.raises(HupError, match=r"nothing to read: a\.parquet: file is empty"):
        engine.reader.read(as_source(path), Dialect(), ["user"], told)
    pq.write_table(pa.table({"user": pa.array([], pa.int64())}), path)
    assert list(engine.reader.columns(as_source(path), Dialect())) == ["user"]
    with pytest.raises(HupError, match=r"nothing to read: a\.parquet: file has no rows"):
        engine.reader.read(as_source(path), Dialect(), ["user"], told)


def test_a_file_damaged_inside(tmp_path, engine, as_source, told):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": ["u"] * 1000}), path)
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    raw = engine.reader.read(as_source(path), Dialect(), ["user"], told)
    with pytest.raises(HupError, match=r"input cannot be read.*damaged"):
        engine.collect(raw.typed(lambda _types: "SELECT * FROM raw_rows"))


def test_columns_of_types_that_do_not_go_together_are_text(tmp_path, engine, as_source):
    pq.write_table(pa.table({"user": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"user": ["u"]}), tmp_path / "b.parquet")
    assert engine.reader.columns(as_source(tmp_path), Dialect()) == {"user": "VARCHAR"}


def test_events_of_trivago(shared_data, engine, as_source, told):
    path = shared_data / "trivago" / "trivago_100k.parquet"
    raw = engine.reader.read(as_source(path), Dialect(), ["session_id", "timestamp", "reference"], told)
    engine.create_table("events", raw.typed(lambda _types: "SELECT * FROM raw_rows WHERE hup_problem IS NULL"))
    expected = pq.read_table(path, columns=["session_id", "timestamp", "reference"])
    found = engine.collect("FROM events ORDER BY hup_row")
    assert found.select(expected.column_names).cast(expected.schema) == expected
    assert found["hup_row"].to_pylist() == list(range(1, len(expected) + 1))
    assert raw.file_rejects == []
