"""The order of events: by all digits of their times."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import SourceFile, TableSource
from hup.data.progress import Progress
from hup.data.tables.categories import CategorySource
from hup.data.tables.log import read_log
from hup.data.tables.mapping import Mapping
from hup.data.tables.numbering import number

SECOND = 1_714_550_000
NOW = (SECOND + 86_400) * 1000
MAPPING = Mapping.validated(
    {"tables": {"user": "user", "item": "item", "behavior": "kind", "timestamp": "time"}, "categories": {"none": True}}
)
#: Nanoseconds of c, b, a and z in the order of the rows; a comes first and z last.
NANOS = [SECOND * 10**9 + ns for ns in (700_000, 300_000, 100_000, 5_000_000_000)]
CLOSE = [SECOND * 10**9 + ns for ns in (700, 300, 100, 1_000_000)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def order(engine, path, times):
    """Write rows of the items c, b, a and z, and give these in the order of their events."""
    table = pa.table({"user": ["u"] * 4, "item": list("cbaz"), "kind": ["view"] * 4, "time": times})
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    source = TableSource(files=(SourceFile(path, path.name, path.stat().st_size),))
    log = read_log(source, MAPPING, engine, Progress(), now_ms=NOW)
    numbered = number(log, CategorySource(), engine, by_session=False, rules=MAPPING.behaviors)
    items = numbered.items.to_pylist()
    return "".join(items[row["item_id"]] for row in engine.collect(numbered.events).to_pylist())


@pytest.mark.parametrize(
    ("ending", "times"),
    [
        ("parquet", pa.array([ns // 1000 for ns in NANOS], pa.timestamp("us"))),
        ("parquet", pa.array([ns // 1000 for ns in NANOS])),
        ("parquet", pa.array([ns / 10**9 for ns in NANOS])),
        ("parquet", pa.array(CLOSE, pa.timestamp("ns"))),
        ("csv", [f"2024-05-01 07:53:2{ns // 10**9 % 10}.{ns % 10**9:09}" for ns in CLOSE]),
        ("csv", [f"{SECOND}.{ns % 10**9:09}" for ns in CLOSE]),
        ("csv", CLOSE),
    ],
)
def test_order_is_by_all_digits(engine, tmp_path, ending, times):
    assert order(engine, tmp_path / f"log.{ending}", times) == "abcz"


def test_equal_times_are_in_order_of_rows(engine, tmp_path):
    assert order(engine, tmp_path / "log.parquet", [SECOND * 1000] * 4) == "cbaz"
