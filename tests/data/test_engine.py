"""The embedded engine: limits, errors, order."""

import ibis
import pyarrow as pa
import pytest

from hup.data.engine import BATCH_ROWS, DuckDBEngine
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
