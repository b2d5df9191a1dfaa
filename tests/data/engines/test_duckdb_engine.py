"""The embedded engine: limits, errors, order."""

import ibis
import pyarrow as pa
import pytest

from hup.data.engines.duckdb_engine import BATCH_ROWS, DuckDBEngine
from hup.errors import HupError


def test_rows_stream_in_order_and_in_batches(tmp_path):
    with DuckDBEngine(tmp_path, "200MB") as engine:
        n = 3 * BATCH_ROWS
        numbers = engine.materialise("numbers", ibis.range(n).unnest().name("n").as_table())
        batches = list(engine.stream(numbers.order_by(ibis.desc("n"))))
        assert len(batches) > 1
        assert [batch.column("n")[0].as_py() for batch in batches] == [
            n - 1 - sum(map(len, batches[:place])) for place in range(len(batches))
        ]
        assert engine.collect(numbers.aggregate(total=numbers.n.sum()))["total"][0].as_py() == n * (n - 1) // 2


def test_registered_arrow_is_readable(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        assert engine.collect(engine.register("t", pa.table({"x": ["a", None]})))["x"].to_pylist() == ["a", None]


def test_too_little_memory_says_what_to_do(tmp_path):
    numbers = ibis.range(10**6).unnest().name("n").as_table()
    by_text = numbers.order_by(ibis.desc(numbers.n.cast("string")))
    with DuckDBEngine(tmp_path, "1MB") as engine, pytest.raises(HupError, match="--memory-limit"):
        engine.collect(by_text)


@pytest.mark.parametrize("limit", ["8", "GB", "-1GB", "8 apples", ""])
def test_memory_limit_is_a_size(tmp_path, limit):
    with pytest.raises(HupError, match="not a size"):
        DuckDBEngine(tmp_path, limit)


def test_default_limit_is_half_of_memory(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        assert 0 < int(engine.memory_limit.removesuffix("MiB")) * 2**20 < 2**50


def test_a_name_can_be_kept_again_and_dropped(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        first = engine.materialise('t "1"', ibis.range(3).unnest().name("n").as_table())
        again = engine.materialise('t "1"', first.mutate(m=first.n + 1))
        assert engine.collect(again.order_by("n")).to_pylist() == [{"n": n, "m": n + 1} for n in range(3)]
        engine.register("given", pa.table({"x": [1]}))
        for name in ('t "1"', "given"):
            engine.drop(name)
            with pytest.raises(Exception, match="does not exist"):
                engine.collect(ibis.table({"n": "int64"}, name=name))


def test_dropped_tables_give_back_their_memory(tmp_path):
    with DuckDBEngine(tmp_path, "100MB") as engine:
        texts = ibis.range(10**6).unnest().name("n").as_table()
        texts = texts.mutate(text=texts.n.cast("string").lpad(100, "x"))
        for _ in range(4):
            engine.materialise("texts", texts)
            spilled = sum(path.stat().st_size for path in tmp_path.rglob("*"))
            engine.drop("texts")
        assert spilled < 200 * 10**6


@pytest.mark.parametrize("kind", [HupError, ValueError])
def test_what_fails_in_a_stream_is_raised_as_it_is(tmp_path, kind):
    failure = kind("line 7 is bad")

    def batches():
        yield pa.record_batch({"x": [1]})
        raise failure

    def reader():
        return pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int64())]), batches())

    def keep(table):
        return [engine.materialise("kept", table)]

    with DuckDBEngine(tmp_path) as engine:
        for number, work in enumerate((engine.collect, keep, engine.stream)):
            with pytest.raises(kind) as raised:
                list(work(engine.register(f"bad{number}", reader())))
            assert raised.value is failure
        # What failed before is not told again.
        with pytest.raises(Exception, match="does not exist"):
            engine.collect(ibis.table({"n": "int64"}, name="nowhere"))


def test_a_view_is_read_anew_each_time_and_can_be_dropped(engine):
    table = engine.materialise("numbers", engine.register("given", pa.table({"n": [1, 2, 3]})))
    view = engine.view("doubled", table.mutate(n=table.n * 2))
    assert engine.collect(view.order_by("n"))["n"].to_pylist() == [2, 4, 6]
    engine.materialise("numbers", table.filter(table.n > 1))
    assert engine.collect(view.order_by("n"))["n"].to_pylist() == [4, 6]
    engine.drop("doubled")
    engine.drop("numbers")
    engine.materialise("doubled", engine.register("other", pa.table({"n": [9]})))
    assert engine.collect(engine._backend.table("doubled"))["n"].to_pylist() == [9]
