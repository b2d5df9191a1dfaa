"""The engine on Spark: types, order, names, errors, sessions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import ibis
import pyarrow as pa
import pytest

from hup.data.engines.duckdb_engine import BATCH_ROWS
from hup.data.engines.reader import Dialect, TableSource
from hup.data.engines.spark_engine import SparkEngine
from hup.data.engines.spark_errors import INSTALL, plain
from hup.data.progress import Progress
from hup.errors import HupError


def numbers(engine, n):
    engine.spark.range(0, n, 1, 5).createOrReplaceTempView("numbers")
    return engine._backend.table("numbers")


@pytest.mark.slow
def test_rows_stream_in_order_in_batches_of_one_size(spark):
    n = BATCH_ROWS + 1000
    batches = list(spark.stream(numbers(spark, n).order_by(ibis.desc("id"))))
    assert [len(batch) for batch in batches] == [BATCH_ROWS, 1000]
    assert pa.Table.from_batches(batches)["id"].to_pylist() == list(range(n - 1, -1, -1))
    assert list(spark.stream(numbers(spark, 10).filter(ibis._.id < 0))) == []
    assert not spark.spark.sparkContext._jsc.getPersistentRDDs()


@pytest.mark.slow
def test_a_stream_that_is_not_read_to_its_end_keeps_nothing(spark):
    stream = spark.stream(numbers(spark, 3 * BATCH_ROWS))
    next(stream)
    stream.close()
    assert not spark.spark.sparkContext._jsc.getPersistentRDDs()


@pytest.mark.slow
def test_types_are_those_of_the_expression(spark):
    given = pa.table(
        {
            "u8": pa.array([0, 255, None], pa.uint8()),
            "u64": pa.array([0, 2**40, None], pa.uint64()),
            "i8": pa.array([1, 2, None], pa.int8()),
            "large": pa.array(["a", "", None], pa.large_string()),
            "coded": pa.array(["a", "b", None]).dictionary_encode(),
            "f32": pa.array([0.5, float("nan"), None], pa.float32()),
            "flag": [True, False, None],
            "ms": pa.array([1, -1, None], pa.timestamp("ms")),
            "utc": pa.array([1, -1, None], pa.timestamp("us", "UTC")),
            "day": pa.array([1, -1, None], pa.date32()),
        }
    )
    table = spark.register("given", given)
    assert table.schema().to_pyarrow().field("u8").type == pa.uint8()
    kept = spark.materialise(
        "kept", table.mutate(rank=ibis.row_number().over(order_by="i8"), size=table.large.length())
    )
    found = spark.collect(kept.order_by("rank"))
    assert found.schema.field("u8").type == pa.uint8()
    assert found.schema.field("rank").type == pa.int64()
    assert found.schema.field("large").type == pa.string()
    assert [found[name].to_pylist() for name in ("u8", "u64", "i8", "large", "coded", "flag", "day")] == [
        given[name].to_pylist() for name in ("u8", "u64", "i8", "large", "coded", "flag", "day")
    ]
    assert found["ms"].cast("timestamp[us]").cast("int64").to_pylist() == [1000, -1000, None]
    assert found["utc"].cast("int64").to_pylist() == [1, -1, None]
    assert str(found["f32"].to_pylist()) == "[0.5, nan, None]"
    reader = pa.RecordBatchReader.from_batches(given.schema, given.to_batches())
    assert len(spark.collect(spark.register("given", reader))) == 3
    spark.drop("given")
    spark.drop("kept")


@pytest.mark.slow
def test_names_are_replaced_and_dropped(spark):
    first = spark.materialise("kept", numbers(spark, 3))
    again = spark.materialise("kept", first.filter(ibis._.id > 0))
    assert spark.collect(again)["id"].to_pylist() == [1, 2]
    seen = spark.view("seen", again.filter(ibis._.id > 1))
    assert spark.collect(seen)["id"].to_pylist() == [2]
    assert len(spark.spark.sparkContext._jsc.getPersistentRDDs()) == 1
    spark.drop("seen")
    spark.drop("kept")
    assert not spark.spark.sparkContext._jsc.getPersistentRDDs()
    assert not spark.spark.catalog.tableExists("kept")


@pytest.mark.slow
def test_what_is_kept_is_not_computed_again(spark):
    kept = spark.materialise("kept", numbers(spark, 10).mutate(twice=ibis._.id * 2))
    plan = spark.spark.sql(spark._backend.compile(kept.filter(kept.id > 3)))
    assert "InMemoryTableScan" in plan._jdf.queryExecution().executedPlan().toString()
    spark.drop("kept")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT nothing FROM numbers", "The query fails: .*nothing.*cannot be resolved"),
        ("SELEKT 1", "The query fails: .*Syntax error"),
        ("DROP TABLE numbers", "The query fails: "),
        ("SELECT 1; SELECT 2", "The query fails: "),
    ],
)
def test_errors_are_one_line(spark, query, words):
    numbers(spark, 3)
    with pytest.raises(HupError, match=words) as caught:
        spark.columns(TableSource(query=query), Dialect())
    assert len(str(caught.value).splitlines()) == 1
    assert "JVM" not in str(caught.value)
    assert "org.apache" not in str(caught.value)


@pytest.mark.slow
def test_errors_while_running_are_one_line_and_end_work(spark):
    table = numbers(spark, 3)
    for work in (spark.collect, lambda e: list(spark.stream(e)), lambda e: spark.materialise("never", e)):
        with pytest.raises(HupError, match=r"cannot be computed: .*overflow") as caught:
            work(table.mutate(x=(ibis._.id + 2**62) * 4))
        assert len(str(caught.value).splitlines()) == 1
    raw = spark.read(TableSource(query="SELECT raise_error('boo') AS a"), Dialect(), ["a"], Progress())
    with pytest.raises(HupError, match="boo"):
        spark.collect(raw.table)


@pytest.mark.slow
def test_what_spark_does_not_read(spark, as_source, tmp_path):
    for name, words in {
        "x.arrow": "does not read Arrow files",
        "x.csv.zst": "Zstandard",
        "x.xlsx": "does not tell its format",
    }.items():
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(HupError, match=words):
            spark.columns(as_source(tmp_path / name), Dialect())
    with pytest.raises(HupError, match="DuckDB database"):
        spark.columns(TableSource(query="SELECT 1", database=tmp_path / "x.duckdb"), Dialect())


@pytest.mark.slow
def test_columns_that_are_not_there_and_files_that_break_off(spark, as_source, tmp_path):
    import gzip

    import pyarrow.parquet as pq

    whole = gzip.compress(b"user,item\n" + b"1,2\n" * 50_000)
    (tmp_path / "x.csv.gz").write_bytes(whole[:-30])
    with pytest.raises(HupError, match=r"no column 'itm'\. Did you mean 'item'"):
        spark.read(as_source(tmp_path / "x.csv.gz"), Dialect(), ["itm"], Progress())
    with pytest.raises(HupError, match=r"x\.csv\.gz.*cannot be read") as caught:
        spark.read(as_source(tmp_path / "x.csv.gz"), Dialect(), ["item"], Progress())
    assert len(str(caught.value).splitlines()) == 1
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    files = as_source(tmp_path / "1.parquet", tmp_path / "2.parquet")
    with pytest.raises(HupError, match=r"'a' is int64 in .*1\.parquet, but string in .*2\.parquet"):
        spark.read(files, Dialect(), ["a"], Progress())
    with pytest.raises(HupError, match=r"2\.parquet has no column 'b'"):
        spark.read(files, Dialect(), ["b"], Progress())
    (tmp_path / "2.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(HupError, match=r"2\.parquet cannot be read as Parquet"):
        spark.columns(files, Dialect())


@pytest.mark.slow
def test_settings_that_results_depend_on(spark):
    conf = spark.spark.conf
    assert conf.get("spark.sql.session.timeZone") == "UTC"
    assert conf.get("spark.sql.ansi.enabled") == "true"
    assert conf.get("spark.sql.shuffle.partitions") == "4"


@pytest.mark.slow
def test_a_session_that_is_there_is_used_and_left_as_it_was(spark, tmp_path):
    outer = spark.spark
    outer.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        with SparkEngine(folder=tmp_path) as engine:
            assert engine.spark.sparkContext is outer.sparkContext
            assert engine.spark.conf.get("spark.sql.session.timeZone") == "UTC"
            engine.materialise("inner", numbers(engine, 3))
            assert not outer.catalog.tableExists("inner")
        assert outer.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        assert outer.range(3).count() == 3
        assert not outer.sparkContext._jsc.getPersistentRDDs()
        with pytest.raises(HupError, match=r"runs already in this process, on local\[2\] rather than local\[7\]"):
            SparkEngine("local[7]", tmp_path)
    finally:
        outer.conf.set("spark.sql.session.timeZone", "UTC")


@pytest.mark.slow
def test_an_interrupt_ends_the_work_and_nothing_else(spark):
    slow = numbers(spark, 10**7)
    pairs = slow.cross_join(slow.view()).aggregate(n=ibis._.count(), high=ibis._.id.max())
    for work in (spark.collect, lambda e: spark.materialise("never", e), lambda e: next(spark.stream(e))):
        timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            work(pairs)
        timer.join()
    assert spark.collect(slow.aggregate(n=slow.count()))["n"].to_pylist() == [10**7]


@pytest.mark.slow
def test_a_session_of_our_own_is_quiet_and_stopped(tmp_path):
    pytest.importorskip("pyspark", reason="no PySpark")
    script = """
import sys
from pathlib import Path
from hup.data.engines.spark_engine import SparkEngine
with SparkEngine("local[1]", Path(sys.argv[1])) as engine:
    print(engine.spark.range(3).count(), engine.spark.conf.get("spark.sql.shuffle.partitions"))
print(engine.spark.sparkContext._jsc)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    if "Spark needs Java" in run.stderr:
        pytest.skip("no Java")
    assert run.stdout == "3 8\nNone\n"
    assert run.stderr == ""
    assert {path.name for path in tmp_path.iterdir()} == {"spark.log"}


@pytest.mark.slow
def test_without_java(tmp_path):
    pytest.importorskip("pyspark", reason="no PySpark")
    script = "from hup.data.engines.spark_engine import SparkEngine\nSparkEngine()"
    environment = {**os.environ, "JAVA_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    last = run.stderr.strip().splitlines()[-1]
    assert f"Spark needs Java 17 or 21; there is none in JAVA_HOME ({tmp_path}). Install it" in last


def test_without_pyspark(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(HupError, match=r"pip install 'hup-recsys\[spark\]'") as caught:
        SparkEngine(folder=tmp_path)
    assert str(caught.value) == INSTALL


def test_spark_connect_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("pyspark", reason="no PySpark")
    monkeypatch.setenv("SPARK_REMOTE", "sc://somewhere")
    with pytest.raises(HupError, match="Spark Connect"):
        SparkEngine(folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[TABLE_OR_VIEW_NOT_FOUND] `t` cannot be found. SQLSTATE: 42P01; line 1\n'Unresolved [t]",
            "`t` cannot be found",
        ),
        (
            "An error occurred while calling o1.count.\n: org.apache.spark.SparkException: Aborted\n\tat a.b(C.java)\n"
            "Caused by: java.io.EOFException: Unexpected end of input stream\n\tat x.y(Z.java)\n",
            "Unexpected end of input stream",
        ),
        (
            "java.lang.RuntimeException: Encountered error while reading file file:///x/y.csv.gz. Details:\n"
            "Caused by: java.io.EOFException: Unexpected end\n",
            "file:///x/y.csv.gz: Unexpected end",
        ),
        (
            "\n  An exception was thrown.\nTraceback (most recent call last):\n  File x\nValueError: no\n",
            "ValueError: no",
        ),
        ("", ""),
    ],
)
def test_one_line_of_many(text, expected):
    assert expected in plain(text)
    assert "\n" not in plain(text)
    assert "SQLSTATE" not in plain(text) or "line 1" in plain(text)
