"""Spark gives the rows that DuckDB gives, of the same types: of files with all that may be wrong in them."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, TableSource
from hup.data.engines.spark_reader import SparkReader
from hup.data.progress import Progress
from hup.data.tables.values import id_text
from hup.errors import HupError

pytestmark = pytest.mark.slow

SMALL_SPLITS = {"spark.sql.files.maxPartitionBytes": "100", "spark.sql.files.openCostInBytes": "1"}


@pytest.fixture(params=["as it is", "small splits"])
def any_splits(request, spark, tmp_path):
    """Spark as it is, and told to cut files at every 100 bytes."""
    if request.param == "as it is":
        yield spark
    else:
        with (
            DuckDBEngine(tmp_path / "spill") as engine,
            SparkReader(engine, None, tmp_path / "spark", SMALL_SPLITS) as engine.reader,
        ):
            yield engine


@pytest.fixture
def same_rows(engine, as_source):
    """Reads files on DuckDB and on another engine, and returns the rows, which must be equal."""

    def read(other, paths, columns, dialect=None, write=lambda _types: "SELECT * FROM raw_rows"):
        source = as_source(*paths)
        found = []
        for each in (engine, other):
            raw = each.reader.read(source, dialect or Dialect(), columns, Progress())
            each.create_table("rows", raw.typed(write))
            rows = each.collect("SELECT * FROM rows ORDER BY hup_file, hup_row")
            types = each.types("SELECT * FROM rows")
            each.drop("rows")
            assert rows.schema.field("hup_file").type == pa.int32()
            assert rows.schema.field("hup_row").type == pa.int64()
            found.append((rows.to_pylist(), types, raw.types, raw.files, raw.sizes, raw.file_rejects))
        assert found[1][0] == found[0][0]
        assert found[1][1:] == found[0][1:]
        return found[0][0]

    return read


def test_delimited_text_with_bad_records(any_splits, same_rows, tmp_path):
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbfuser,item,time\r\n1,"a ""b"" c",3\r\n\r\n2,too few\r\n3,too,many,fields\r\n4,"",\r\n'
        b'5,"unclosed,1\r\n6,ab"c,1\r\n7,"ab"c,1\r\n8,\xff,1\r\n9,"two\r\nlines, and\r\nthree",1\r\n 10 , q ,1'
    )
    (tmp_path / "b.csv").write_bytes(b'time,item,other,user\n1,2,x,3\n4,"5\n\n5",x,6\n,,x,\n')
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "header only.csv").write_bytes(b"user,item,time\n")
    (tmp_path / "[1]*é%20 .csv").write_bytes(b"user,item,time\n1,\xc3\xa9,3\n")
    with gzip.open(tmp_path / "packed.csv.gz", "wb") as stream:
        stream.write(b"\xef\xbb\xbfuser,item,time\n1,2,3\n\n")
    rows = same_rows(any_splits, [tmp_path], ["user", "item", "time"])
    assert len(rows) == 17
    assert {(row["hup_row"], row["hup_problem"]) for row in rows if row["hup_file"] == 1 and row["hup_problem"]} == {
        (3, "empty line"),
        (4, "wrong number of fields: 2 instead of 3"),
        (5, "wrong number of fields: 4 instead of 3"),
        (7, "quote is not closed"),
        (10, "item is not UTF-8: byte 0xff"),
    }


def test_delimited_text_without_header(any_splits, same_rows, tmp_path):
    (tmp_path / "x.tsv").write_bytes(b"\xef\xbb\xbf1\ta\n2\t\n\n3\tb\n")
    rows = same_rows(any_splits, [tmp_path / "x.tsv"], ["item", "user"], Dialect("\t", ("user", "item")))
    assert [row["user"] for row in rows] == ["1", "2", None, "3"]


def test_a_long_file_in_many_splits(any_splits, same_rows, tmp_path):
    lines = [f'{n},"item {n % 7}",{"bad" if n % 10 else "bad,"}' for n in range(150)]
    (tmp_path / "x.csv").write_text("user,item,time\n" + "\n".join(lines))
    rows = same_rows(any_splits, [tmp_path / "x.csv"], ["user"])
    assert [row["hup_row"] for row in rows] == list(range(2, 152))
    assert sum(row["hup_problem"] is not None for row in rows) == 15


def test_json_lines(any_splits, same_rows, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"a":1.50,"b":{"c":"x\\u00e9\\n"},"e":1e5,"big":12345678901234567890,"t":true,"n":null,"l":[1, 2],"d.e":3}\n'
        b'{"a":\n[1]\n"x"\n{"a":1} junk\n  {"a": "1"}  \n\n{"a":1,"a":2}\nNaN\n{"a":-0.0,"e":1E+2}\n'
        b'{\'a\':1}\n{"a":01}\n{"a":NaN}\n'
    )
    (tmp_path / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"a":1}\r\n{"a":"\xff"}\n{"a":" \\u0041"}')
    with gzip.open(tmp_path / "c.json.gz", "wb") as stream:
        stream.write(b'{"a":{"b":1}}\n{"a":7}\n')
    rows = same_rows(any_splits, [tmp_path], ["a", "b.c", "e", "big", "t", "n", "l", "d.e"])
    assert rows[0]["b.c"] == "xé\n"
    assert len(rows) == 18


def test_parquet_of_several_files_and_row_groups(any_splits, same_rows, tmp_path):
    first = {
        "user": pa.array(range(100), pa.int32()),
        "item": [None if i % 9 == 0 else str(i) for i in range(100)],
        "time": pa.array(range(0, 100_000_000, 1_000_000), pa.timestamp("us", "UTC")),
        "score": pa.array([float("inf"), *range(99)], pa.float32()),
        "flag": [None, True] * 50,
        "day": pa.array(range(100), pa.date32()),
        "price": pa.array(range(100), pa.decimal128(9, 2)),
        'odd name ` "': ["x"] * 100,
    }
    names = list(first)
    pq.write_table(pa.table(first), tmp_path / "[1].parquet", row_group_size=30)
    second = pa.table(first).select(names[::-1]).slice(90)
    second = second.set_column(names[::-1].index("user"), "user", pa.array(range(10), pa.int64()))
    pq.write_table(second, tmp_path / "2.pq")
    pq.write_table(second.slice(0, 0), tmp_path / "none.parquet")
    (tmp_path / "empty.parquet").write_bytes(b"")
    one_type = 'SELECT * REPLACE (CAST("user" AS BIGINT) AS "user") FROM raw_rows'
    rows = same_rows(any_splits, [tmp_path], names, write=lambda _types: one_type)
    assert [row["hup_row"] for row in rows] == [*range(1, 11), *range(1, 101)]
    assert [row["user"] for row in rows] == [*range(10), *range(100)]


def test_parquet_types_of_which_spark_has_none(any_splits, same_rows, tmp_path):
    """Among them nanoseconds, also before 1970, and numbers without a sign."""
    nanos = pa.array([1_700_000_000_123_456_789, -1, -1000, None], pa.int64())
    table = pa.table(
        {
            "ns": nanos.cast(pa.timestamp("ns")),
            "ns_utc": nanos.cast(pa.timestamp("ns", "UTC")),
            "ms": pa.array([1, -1, 2, None], pa.timestamp("ms")),
            "us": pa.array([1, -1, 2, None], pa.timestamp("us", "Europe/Berlin")),
            "plain": nanos,
            "u8": pa.array([0, 255, 1, None], pa.uint8()),
            "u64": pa.array([0, 2**64 - 1, 1, None], pa.uint64()),
            "large": pa.array(["a", "", "b", None], pa.large_string()),
            "coded": pa.array(["a", "", "a", None]).dictionary_encode(),
            "bytes": pa.array([b"a", b"", b"\xff", None]),
            "nothing": pa.nulls(4),
            "list": pa.array([[1], [], [None], None], pa.list_(pa.int64())),
            "struct": pa.array([{"a": 1}, {"a": None}, {"a": 2}, None], pa.struct([("a", pa.int64())])),
        }
    )
    pq.write_table(table, tmp_path / "new.parquet")
    pq.write_table(table.select(["ns"]), tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    rows = same_rows(any_splits, [tmp_path / "new.parquet"], table.column_names)
    assert [row["ns"] and row["ns"].value for row in rows] == nanos.to_pylist()
    rows = same_rows(any_splits, [tmp_path / "old.parquet"], ["ns"])
    assert rows[0]["ns"].year == 2023


def test_parquet_columns_of_several_types(spark, same_rows, engine, as_source, tmp_path):
    kinds = {"a": [pa.int32(), pa.int64(), pa.float64()], "b": [pa.string(), pa.int64(), pa.decimal128(9, 2)]}
    for number in range(3):
        columns = {
            name: pa.array(["1", "2"] if pa.types.is_string(types[number]) else [1, 2], types[number])
            for name, types in kinds.items()
        }
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")

    def as_text(types):
        ids = ", ".join(f"{id_text(name, kind, (), name)} AS {name}" for name, kind in types.items())
        return f"SELECT {ids}, hup_file, hup_row FROM raw_rows"

    rows = same_rows(spark, [tmp_path], ["a", "b"], write=as_text)
    assert [(row["a"], row["b"]) for row in rows] == [("1", "1"), ("2", "2")] * 3
    source = as_source(tmp_path)
    assert spark.reader.columns(source, Dialect()) == engine.reader.columns(source, Dialect())


def test_a_query(spark, engine, tmp_path, read_rows):
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", "y", None]}), tmp_path / "t.parquet")
    texts = {engine: f"SELECT * FROM '{tmp_path}/t.parquet'", spark: f"SELECT * FROM parquet.`{tmp_path}/t.parquet`;"}
    rows = []
    for each, text in texts.items():
        source = TableSource(query=text + " -- all" if each is engine else text)
        assert list(each.reader.columns(source, Dialect())) == ["a", "b"]
        found, raw = read_rows(source, ["b", "a"], engine=each)
        assert (raw.files, raw.sizes, raw.types) == (("query",), (0,), ({"b": "VARCHAR", "a": "BIGINT"},))
        rows.append(sorted(found, key=lambda row: row["a"]))
    assert rows[0] == rows[1]


def test_types_of_a_query(spark, read_rows):
    values = (
        "NULL AS nothing, TIMESTAMP '2020-01-01 00:00:00' AS t, CAST(1.5 AS DECIMAL(9, 2)) AS d, INTERVAL 1 YEAR AS y"
    )
    query = f"SELECT {values}"
    assert list(spark.reader.columns(TableSource(query=query), Dialect())) == ["nothing", "t", "d", "y"]
    rows, raw = read_rows(TableSource(query=query), ["nothing", "t", "d"], engine=spark)
    assert raw.types == ({"nothing": '"NULL"', "t": "TIMESTAMP WITH TIME ZONE", "d": "DECIMAL(9,2)"},)
    assert (rows[0]["nothing"], rows[0]["t"].year, str(rows[0]["d"])) == (None, 2020, "1.50")
    with pytest.raises(HupError, match=r"(?i)interval"):
        read_rows(TableSource(query=query), ["y"], engine=spark)
