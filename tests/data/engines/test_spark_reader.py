"""Tables read by Spark: sizes of pieces, errors, sessions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, TableSource
from hup.data.engines.spark_errors import plain
from hup.data.engines.spark_reader import SparkReader
from hup.data.engines.spark_session import INSTALL, RunningSpark
from hup.data.engines.spark_workers import PACK_ROWS
from hup.data.progress import Progress
from hup.errors import HupError

ALL = "SELECT * FROM raw_rows"


def numbers(engine, n, name="numbers"):
    engine.reader.spark.range(0, n, 1, 5).createOrReplaceTempView(name)
    return TableSource(query=f"SELECT id FROM {name}")


def read(engine, source, select=ALL, columns=("id",)):
    """Read rows of a query."""
    return engine.collect(engine.reader.read(source, Dialect(), columns, Progress()).typed(lambda _types: select))


@pytest.mark.slow
def test_all_rows_come_in_batches_of_some_size(spark):
    n = 5 * PACK_ROWS + 1000
    raw = spark.reader.read(numbers(spark, n), Dialect(), ["id"], Progress())
    ids = set()
    for batch in spark.stream(raw.typed(lambda _types: "SELECT id, id + 1 AS next FROM raw_rows WHERE id <> 7")):
        ids.update(batch["id"].to_pylist())
        assert batch["next"][0].as_py() == batch["id"][0].as_py() + 1
    assert ids == set(range(n)) - {7}
    assert read(spark, numbers(spark, 10), f"{ALL} WHERE id < 0").num_rows == 0
    assert not spark.reader.spark.sparkContext._jsc.getPersistentRDDs()


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
        spark.reader.columns(TableSource(query=query), Dialect())
    assert len(str(caught.value).splitlines()) == 1
    assert "JVM" not in str(caught.value)
    assert "org.apache" not in str(caught.value)


@pytest.mark.slow
def test_errors_while_running_are_one_line(spark):
    overflow = TableSource(query=f"SELECT (id + {2**62}) * 4 AS id FROM range(3)")
    for source, words in ((overflow, "overflow"), (TableSource(query="SELECT raise_error('boo') AS id"), "boo")):
        with pytest.raises(HupError, match=f"^Rows cannot be read: .*{words}") as caught:
            read(spark, source)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(HupError, match=r"^Rows cannot be read: .*(Conversion|Out of Range)") as caught:
        read(spark, numbers(spark, 300), "SELECT id::UTINYINT AS id FROM raw_rows")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_what_spark_does_not_read(spark, as_source, tmp_path):
    for name, words in {
        "x.arrow": "does not read Arrow files",
        "x.csv.zst": "Zstandard",
        "x.xlsx": "does not tell its format",
    }.items():
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(HupError, match=words):
            spark.reader.columns(as_source(tmp_path / name), Dialect())
    with pytest.raises(HupError, match="DuckDB database"):
        spark.reader.columns(TableSource(query="SELECT 1", database=tmp_path / "x.duckdb"), Dialect())


@pytest.mark.slow
def test_columns_that_are_not_there_and_files_that_break_off(spark, as_source, tmp_path):
    import gzip

    import pyarrow.parquet as pq

    whole = gzip.compress(b"user,item\n" + b"1,2\n" * 50_000)
    (tmp_path / "x.csv.gz").write_bytes(whole[:-30])
    with pytest.raises(HupError, match=r"no column 'itm'\. Did you mean 'item'"):
        spark.reader.read(as_source(tmp_path / "x.csv.gz"), Dialect(), ["itm"], Progress())
    raw = spark.reader.read(as_source(tmp_path / "x.csv.gz"), Dialect(), ["item"], Progress())
    with pytest.raises(HupError, match=r"cannot be read: .*x\.csv\.gz") as caught:
        raw.typed(lambda _types: ALL)
    assert len(str(caught.value).splitlines()) == 1
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    files = as_source(tmp_path / "1.parquet", tmp_path / "2.parquet")
    with pytest.raises(HupError, match=r"2\.parquet has no column 'b'"):
        spark.reader.read(files, Dialect(), ["b"], Progress())
    (tmp_path / "2.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(HupError, match=r"2\.parquet cannot be read as Parquet"):
        spark.reader.columns(files, Dialect())


@pytest.mark.slow
def test_settings_that_results_depend_on(spark):
    conf = spark.reader.spark.conf
    assert conf.get("spark.sql.session.timeZone") == "UTC"
    assert conf.get("spark.sql.ansi.enabled") == "true"
    assert conf.get("spark.sql.shuffle.partitions") == "4"


@pytest.mark.slow
def test_a_session_that_is_there_is_used_and_left_as_it_was(spark, tmp_path):
    outer = spark.reader.spark
    outer.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        with DuckDBEngine(tmp_path) as engine, SparkReader(engine, None, tmp_path) as engine.reader:
            assert engine.reader.spark.sparkContext is outer.sparkContext
            assert engine.reader.spark.conf.get("spark.sql.session.timeZone") == "UTC"
            assert read(engine, numbers(engine, 3, "own_numbers")).num_rows == 3
            assert not outer.catalog.tableExists("own_numbers")
        assert outer.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        assert outer.range(3).count() == 3
        assert not outer.sparkContext._jsc.getPersistentRDDs()
        with pytest.raises(HupError, match=r"runs already in this process, on local\[2\] rather than local\[7\]"):
            RunningSpark("local[7]", tmp_path, {})
    finally:
        outer.conf.set("spark.sql.session.timeZone", "UTC")


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["ours", "of others"])
def test_an_interrupt_ends_the_work_and_nothing_else(spark, tmp_path, whose):
    """Of the session of others only what runs for this reader is ended."""
    numbers(spark, 10**7)
    pairs = "SELECT count(*) AS id, max(one.id) AS high FROM range(10000000) AS one, range(10000000) AS other"
    with DuckDBEngine(tmp_path) as engine, SparkReader(engine, None, tmp_path) as inner:
        engine.reader = spark.reader if whose == "ours" else inner
        timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            read(engine, TableSource(query=pairs))
        timer.join()
    assert read(spark, numbers(spark, 10)).num_rows == 10


@pytest.mark.slow
def test_a_session_of_our_own_is_quiet_and_stopped(tmp_path):
    pytest.importorskip("pyspark", reason="no PySpark")
    script = """
import sys
from pathlib import Path
from hup.data.engines.spark_session import INSTALL, RunningSpark
running = RunningSpark("local[1]", Path(sys.argv[1]), {})
print(running.spark.range(3).count())
running.close()
print(running.spark.sparkContext._jsc)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    if "Spark needs Java" in run.stderr:
        pytest.skip("no Java")
    assert run.stdout == "3\nNone\n"
    assert run.stderr == ""
    assert {path.name for path in tmp_path.iterdir()} == {"spark.log"}


@pytest.mark.slow
def test_without_java(tmp_path):
    pytest.importorskip("pyspark", reason="no PySpark")
    script = f"""
from pathlib import Path
from hup.data.engines.spark_session import INSTALL, RunningSpark
RunningSpark(None, Path({str(tmp_path)!r}), {{}})
"""
    environment = {**os.environ, "JAVA_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    last = run.stderr.strip().splitlines()[-1]
    assert f"Spark needs Java 17 or 21; there is none in JAVA_HOME ({tmp_path}). Install it" in last


def test_without_pyspark(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(HupError, match=r"pip install 'hup-recsys\[spark\]'") as caught:
        RunningSpark(None, tmp_path, {})
    assert str(caught.value) == INSTALL


def test_spark_connect_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("pyspark", reason="no PySpark")
    monkeypatch.setenv("SPARK_REMOTE", "sc://somewhere")
    with pytest.raises(HupError, match="Spark Connect"):
        RunningSpark(None, tmp_path, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\n  An exception was thrown.\nTraceback (most recent call last):\n  File x\n_duckdb.SomeError: no\n",
            "no",
        ),
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
