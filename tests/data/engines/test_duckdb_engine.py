"""The embedded engine: limits, errors, order."""

import subprocess
import sys

import pyarrow as pa
import pytest

from hup.data.engines.duckdb_engine import BATCH_ROWS, DuckDBEngine
from hup.errors import HupError


def test_rows_stream_in_order_and_in_batches(tmp_path):
    with DuckDBEngine(tmp_path, "200MB") as engine:
        n = 3 * BATCH_ROWS
        engine.create_table("numbers", f"SELECT range AS n FROM range({n})")
        batches = list(engine.stream("SELECT n FROM numbers ORDER BY n DESC"))
        assert len(batches) > 1
        assert [batch.column("n")[0].as_py() for batch in batches] == [
            n - 1 - sum(map(len, batches[:place])) for place in range(len(batches))
        ]
        assert engine.collect("SELECT sum(n)::BIGINT AS total FROM numbers")["total"][0].as_py() == n * (n - 1) // 2


def test_registered_arrow_is_readable(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        engine.register("t", pa.table({"x": ["a", None]}))
        assert engine.collect("FROM t")["x"].to_pylist() == ["a", None]


def test_too_little_memory_says_what_to_do(tmp_path):
    with DuckDBEngine(tmp_path, "1MB") as engine, pytest.raises(HupError, match="--memory-limit"):
        engine.collect("SELECT range AS n FROM range(1000000) ORDER BY n::VARCHAR DESC")


@pytest.mark.parametrize("limit", ["8", "GB", "-1GB", "8 apples", ""])
def test_memory_limit_is_a_size(tmp_path, limit):
    with pytest.raises(HupError, match="not a size"):
        DuckDBEngine(tmp_path, limit)


def test_default_limit_is_half_of_memory(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        assert 0 < int(engine.memory_limit.removesuffix("MiB")) * 2**20 < 2**50


def test_types_are_told_without_reading(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        name = engine.register_stream(
            pa.schema([("x", pa.int8())]), iter([pa.record_batch({"x": pa.array([1], "i1")})])
        )
        assert engine.types(f"SELECT *, 'a' AS y FROM {name}") == {"x": "TINYINT", "y": "VARCHAR"}
        assert engine.collect(f"FROM {name}").to_pylist() == [{"x": 1}]


def test_a_name_can_be_kept_again_and_dropped(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        engine.create_table('t "1"', "SELECT range AS n FROM range(3)")
        engine.create_table('t "1"', 'SELECT n, n + 1 AS m FROM "t ""1"""')
        assert engine.collect('FROM "t ""1""" ORDER BY n').to_pylist() == [{"n": n, "m": n + 1} for n in range(3)]
        engine.register("given", pa.table({"x": [1]}))
        for name, quoted in (('t "1"', '"t ""1"""'), ("given", "given")):
            engine.drop(name)
            with pytest.raises(Exception, match="does not exist"):
                engine.collect(f"FROM {quoted}")


@pytest.mark.slow
def test_dropped_tables_give_back_their_memory(tmp_path):
    with DuckDBEngine(tmp_path, "30MB") as engine:
        for _ in range(4):
            engine.create_table("texts", "SELECT range AS n, lpad(range::VARCHAR, 100, 'x') AS text FROM range(300000)")
            spilled = sum(path.stat().st_size for path in tmp_path.rglob("*"))
            engine.drop("texts")
        assert 0 < spilled < 15 * 10**6, "four such tables take more than 50 MB"


@pytest.mark.parametrize("kind", [HupError, ValueError])
def test_what_fails_in_a_stream_is_raised_as_it_is(tmp_path, kind):
    failure = kind("line 7 is bad")

    def batches():
        yield pa.record_batch({"x": [1]})
        raise failure

    with DuckDBEngine(tmp_path) as engine:
        keep = lambda sql: [engine.create_table("kept", sql)]  # noqa: E731
        for work in (engine.collect, keep, engine.stream):
            name = engine.register_stream(pa.schema([("x", pa.int64())]), batches())
            with pytest.raises(kind) as raised:
                list(work(f"FROM {name}"))
            assert raised.value is failure
        # What failed before is not told again.
        with pytest.raises(Exception, match="does not exist"):
            engine.collect("FROM nowhere")


def test_a_view_is_read_anew_each_time_and_can_be_dropped(engine):
    engine.register("given", pa.table({"n": [1, 2, 3]}))
    engine.create_table("numbers", "FROM given")
    engine.create_view("doubled", "SELECT n * 2 AS n FROM numbers")
    assert engine.collect("FROM doubled ORDER BY n")["n"].to_pylist() == [2, 4, 6]
    engine.create_table("numbers", "FROM numbers WHERE n > 1")
    assert engine.collect("FROM doubled ORDER BY n")["n"].to_pylist() == [4, 6]
    engine.drop("doubled")
    engine.drop("numbers")
    engine.register("other", pa.table({"n": [9]}))
    engine.create_table("doubled", "FROM other")
    assert engine.collect("FROM doubled")["n"].to_pylist() == [9]


# By these DuckDB takes a process for a kernel of Jupyter; __main__ has no file with `python -c`.
IN_A_NOTEBOOK = """
import sys, types
kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: kernel
sys.modules["ipywidgets"] = None

import duckdb
try:
    duckdb.connect().execute("SET enable_progress_bar = false")
except duckdb.Error as error:
    print(error)

from pathlib import Path
from hup.data.engines.duckdb_engine import DuckDBEngine
with DuckDBEngine(Path(sys.argv[1])) as engine:
    print(engine.collect("SELECT 42 AS n")["n"].to_pylist())
"""


def test_it_opens_in_a_notebook_without_ipywidgets(tmp_path):
    """There DuckDB refuses to change how progress is shown, even to what it is."""
    command = [sys.executable, "-c", IN_A_NOTEBOOK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ipywidgets" in done.stdout, "what this test is about"
    assert done.stdout.endswith("[42]\n"), done.stderr[-2000:]
