"""Spark gives the rows that DuckDB gives: of files with all that may be wrong in them, and of expressions."""

from __future__ import annotations

import gzip
import math

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis import _

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect
from hup.data.engines.spark_engine import SparkEngine
from hup.data.progress import Progress

pytestmark = pytest.mark.slow

SMALL_SPLITS = {"spark.sql.files.maxPartitionBytes": "100", "spark.sql.files.openCostInBytes": "1"}


@pytest.fixture(params=["one split a file", "many splits a file"])
def any_splits(request, spark, tmp_path):
    """Spark as it is, and cutting files at every 100 bytes."""
    if request.param == "one split a file":
        yield spark
    else:
        with SparkEngine(folder=tmp_path / "spark", settings=SMALL_SPLITS) as engine:
            yield engine


@pytest.fixture
def same_rows(engine, as_source):
    """Reads files on DuckDB and on another engine, and returns the rows, which must be equal."""

    def read(other, paths, columns, dialect=None):
        source = as_source(*paths)
        found = []
        for each in (engine, other):
            raw = each.read(source, dialect or Dialect(), columns, Progress())
            rows = each.collect(each.materialise("rows", raw.table).order_by("hup_file", "hup_row"))
            each.drop("rows")
            assert rows.schema.field("hup_file").type == pa.int32()
            assert rows.schema.field("hup_row").type == pa.int64()
            found.append((rows.to_pylist(), rows.schema, raw.files, raw.sizes, raw.file_rejects))
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
    rows = same_rows(any_splits, [tmp_path], names)
    assert [row["hup_row"] for row in rows] == [*range(1, 11), *range(1, 101)]


def test_parquet_times_of_every_unit(spark, engine, as_source, tmp_path):
    """Spark has no nanoseconds: they become the microsecond in which they lie, also before 1970."""
    nanos = pa.array([1_700_000_000_123_456_789, -1, -1000, None], pa.int64())
    table = pa.table(
        {
            "ns": nanos.cast(pa.timestamp("ns")),
            "ns_utc": nanos.cast(pa.timestamp("ns", "UTC")),
            "ms": pa.array([1, -1, 2, None], pa.timestamp("ms")),
            "us": pa.array([1, -1, 2, None], pa.timestamp("us", "Europe/Berlin")),
            "plain": nanos,
        }
    )
    pq.write_table(table, tmp_path / "new.parquet")
    pq.write_table(table.select(["ns"]), tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    source = as_source(tmp_path / "new.parquet")
    types = spark.columns(source, Dialect())
    assert all(kind.is_timestamp() for name, kind in types.items() if name != "plain")
    found = []
    for each in (engine, spark):
        raw = each.read(source, Dialect(), ["ns", "ms", "us", "plain"], Progress())
        assert raw.table.us.type().timezone is not None
        assert raw.table.ms.type().timezone is raw.table.ns.type().timezone is None
        seconds = {name: raw.table[name].epoch_seconds().cast("int64") for name in ("ns", "ms", "us")}
        found.append(each.collect(raw.table.mutate(**seconds).order_by("hup_row")).to_pylist())
    assert found[0] == found[1]
    raw = spark.read(source, Dialect(), ["ns", "ns_utc"], Progress())
    assert raw.table.ns_utc.type().timezone == "UTC"
    rows = spark.collect(raw.table.order_by("hup_row"))
    assert rows["ns"].cast("int64").to_pylist() == [1_700_000_000_123_456, -1, -1, None]
    assert rows["ns_utc"].cast("int64").to_pylist() == [1_700_000_000_123_456, -1, -1, None]
    old = spark.read(as_source(tmp_path / "old.parquet"), Dialect(), ["ns"], Progress())
    assert spark.columns(as_source(tmp_path / "old.parquet"), Dialect())["ns"].is_timestamp()
    assert spark.collect(old.table)["ns"][0].as_py().year == 2023


def test_a_query(spark, engine, tmp_path):
    from hup.data.engines.reader import TableSource

    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", "y", None]}), tmp_path / "t.parquet")
    texts = {engine: f"SELECT * FROM '{tmp_path}/t.parquet'", spark: f"SELECT * FROM parquet.`{tmp_path}/t.parquet`;"}
    rows = []
    for each, text in texts.items():
        source = TableSource(query=text + " -- all" if each is engine else text)
        assert list(each.columns(source, Dialect())) == ["a", "b"]
        raw = each.read(source, Dialect(), ["b", "a"], Progress())
        assert (raw.files, raw.sizes) == (("query",), (0,))
        rows.append(each.collect(raw.table.order_by("a")))
    assert rows[0] == rows[1]


# ---------------------------------------------------------------------------------------------------- expressions


def events() -> pa.Table:
    rng = np.random.default_rng(3)
    n = 500
    texts = ["", " ", "7", "-7", "+7", "7.5", "1e3", "x", "Ä ß", "a.b.c", "a..b", "..", " 12 ", "9" * 19, "\t7\n", None]
    return pa.table(
        {
            "position": pa.array(np.arange(n)),
            "session": pa.array(rng.integers(0, 40, n)),
            "item": pa.array([f"i{i}" for i in rng.integers(0, 30, n)]),
            "path": pa.array([texts[i] for i in rng.integers(0, len(texts), n)], pa.string()),
            "time": pa.array(rng.integers(-(10**12), 2 * 10**12, n)),
            "small": pa.array(rng.integers(-50, 50, n), pa.int32(), mask=rng.random(n) < 0.2),
            "real": pa.array(rng.normal(0, 100, n).round(1), pa.float32(), mask=rng.random(n) < 0.2),
        }
    )


BY_SIZE = ibis.window(group_by="session", order_by=[ibis.desc("time"), "position"])
IN_ORDER = ibis.window(group_by="session", order_by=["time", "position"])
PART = "[^.]+"

EXPRESSIONS = {
    "counts of groups": lambda t: t.group_by("session").aggregate(
        n=_.count(), first=_.position.min(), last=_.time.max(), some=_.small.count(), total=_.small.sum().fill_null(0)
    ),
    "ranks": lambda t: t.select(
        "position",
        rank=ibis.row_number().over(BY_SIZE),
        best=_["item"].first().over(BY_SIZE),
        number=ibis.row_number().over(order_by="position").cast("int32"),
    ),
    "neighbours": lambda t: t.select(
        "position", before=_.time.lag().over(IN_ORDER), after=_.time.lead().over(IN_ORDER), n=_.count().over(IN_ORDER)
    ),
    "running sums": lambda t: t.select(
        "position", cuts=((_.time - _.time.lag().over(IN_ORDER)) > 10**10).cast("int64").fill_null(0)
    ).mutate(runs=_.cuts.sum().over(ibis.cumulative_window(order_by="position"))),
    "distinct and order": lambda t: t.select("path").distinct(),
    "order of texts": lambda t: (
        t.select("path").distinct().filter(_.path.notnull()).mutate(rank=ibis.row_number().over(order_by="path"))
    ),
    "joins": lambda t: t.inner_join(t.group_by("item").aggregate(n=_.count()).filter(_.n > 15), "item").select(
        "position", "item", "n"
    ),
    "semi and anti joins": lambda t: ibis.union(
        t.semi_join(t.filter(_.small > 30).select("session").distinct(), "session").select("position", side=1),
        t.anti_join(t.filter(_.small > 30).select("session").distinct(), "session").select("position", side=2),
    ),
    "left joins and nulls": lambda t: t.left_join(
        t.filter(_.small > 0).select("position", again="small"), "position"
    ).select("position", known=_.again.notnull(), value=ibis.coalesce(_.again, -1)),
    "unions": lambda t: ibis.union(
        t.filter(_.small > 0).select("position", what=ibis.literal("large")),
        t.filter(_.small.isnull()).select("position", what=ibis.null("string")),
    ),
    "cases": lambda t: t.select(
        "position",
        kind=ibis.cases((_.small.isnull(), "none"), (_.small < 0, "less"), else_="more"),
        code=_.path.cases(("7", 1), ("x", 2), else_=None).cast("int32"),
        byte=_["item"].cases(("i1", 0), ("i2", 255), else_=1).cast("uint8"),
        chosen=ibis.ifelse(_.small > 0, _.small, ibis.null("int32")),
    ),
    "numbers in text": lambda t: t.select(
        "position",
        whole=ibis.ifelse(_.path.re_search("^[+-]?[0-9]{1,18}$"), _.path, ibis.null("string")).try_cast("int64"),
        real=ibis.ifelse(_.path.re_search("^-?[0-9]+([.][0-9]+)?$"), _.path, ibis.null("string")).try_cast("float64"),
    ),
    "matches": lambda t: t.select(
        "position",
        number=_.path.re_search(r"^\d+$").fill_null(False),
        blank=_.path.re_search(r"^\s*$"),
        letter=_.path.re_extract("([a-z])[.]", 1),
        plain=_.path.re_replace("[.]+", "/"),
    ),
    "text": lambda t: t.select(
        "position",
        size=_.path.length(),
        bare=_.path.strip(),
        start=_.path.substr(0, 3),
        both=_.path + "\x1f<" + _["item"] + "'\\\"",
        listed=_.path.isin(["", "7", "x"]),
        other=_.path.replace(".", "|"),
        found=_.path.contains("."),
        begins=_.path.startswith("a"),
        padded=_["item"].lpad(5, "0"),
        null=_.path.nullif(""),
    ),
    "numbers as text": lambda t: t.select("position", a=_.time.cast("string"), b=_.small.cast("string")),
    "arithmetic": lambda t: t.select(
        "position",
        floor=(_.time / 1000).floor().cast("int64"),
        whole=_.time // 86_400_000,
        rest=_.time % 86_400_000,
        half=(_.real + 0.5).floor().cast("int64"),
        seconds=(_.time / 1000.0).cast("float32"),
        real=_.real.cast("float64") * 3,
        size=_.small.abs(),
        least=ibis.least(_.small, 3),
        most=ibis.greatest(_.small, 3),
    ),
    "filters with nulls": lambda t: t.filter(~(_.small > 0)).select("position"),
    "aggregates of booleans": lambda t: t.aggregate(
        any=(_.small > 48).any(),
        all=(_.small > -60).all(),
        n=(_.small > 0).sum(),
        n_where=_.position.count(where=_.small > 0),
    ),
    "distinct counts": lambda t: t.aggregate(items=_["item"].nunique(), paths=_.path.nunique()),
}


@pytest.fixture(scope="module")
def tables(spark, tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("duckdb"), "500MB") as duckdb:
        yield [(each, each.register("parity_events", events())) for each in (duckdb, spark)]
        spark.drop("parity_events")


def comparable(table: pa.Table) -> list[tuple]:
    rows = [
        tuple("nan" if isinstance(v, float) and math.isnan(v) else v for v in row.values()) for row in table.to_pylist()
    ]
    return sorted(rows, key=repr)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name, tables):
    (duckdb, here), (spark, there) = tables
    expected, found = duckdb.collect(EXPRESSIONS[name](here)), spark.collect(EXPRESSIONS[name](there))
    assert comparable(found) == comparable(expected)
    assert found.schema == EXPRESSIONS[name](there).schema().to_pyarrow()
    assert len(expected)


def test_nulls_are_where_they_are_asked_for(tables):
    shown = []
    for each, table in tables:
        ordered = table.order_by(ibis.asc("small", nulls_first=True), ibis.desc("path"), "position")
        shown.append(
            [row for batch in each.stream(ordered.select("position")) for row in batch["position"].to_pylist()]
        )
    assert shown[0] == shown[1]
