"""Files of one table whose columns have unlike types: each is read in its own."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import combinations_with_replacement

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, SourceFile, TableSource
from hup.data.progress import Progress
from hup.data.tables.mapping import Mapping
from hup.data.tables.rows import typed_rows
from hup.errors import HupError

NOON = dt.datetime(2024, 5, 1, 12)  # 16:00 UTC in New York
NOON_MS = 1_714_579_200_000
SECOND = NOON_MS // 1000
NOW = NOON_MS + 86_400_000
DECIMAL = pa.decimal128(20, 2)
ZONED = pa.timestamp("us", tz="UTC")

#: Values of each kind: those of ids, what becomes of them (None: no ids), those of times, what becomes of these.
KINDS = {
    "int": (pa.array([7, 2**53 + 1]), ["7", "9007199254740993"], pa.array([SECOND]), [NOON_MS]),
    "float": (
        pa.array([7.0, 2.0**53, float("nan")]),
        ["7", "9007199254740992", None],
        pa.array([SECOND + 0.5, float("nan")]),
        [NOON_MS + 500, None],
    ),
    "decimal": (
        pa.array([Decimal("7.00"), Decimal("7.25")], DECIMAL),
        ["7", "7.25"],
        pa.array([Decimal(f"{SECOND}.25")], DECIMAL),
        [NOON_MS + 250],
    ),
    "text": (
        pa.array(["7", "00007", "7.0", "null"]),
        ["7", "00007", "7.0", None],
        pa.array(["2024-05-01 12:00", "2024-05-01 12:00Z", str(SECOND)]),
        [NOON_MS, NOON_MS - 4 * 3_600_000, NOON_MS],
    ),
    "date": (pa.array([dt.date(2024, 5, 1)]), None, pa.array([dt.date(2024, 5, 1)]), [NOON_MS - 12 * 3_600_000]),
    "timestamp": (pa.array([NOON]), None, pa.array([NOON], pa.timestamp("us")), [NOON_MS]),
    "zoned": (pa.array([NOON], ZONED), None, pa.array([NOON], ZONED), [NOON_MS - 4 * 3_600_000]),
    "null": (pa.nulls(1), [None], pa.nulls(1), [None]),
}
PAIRS = list(combinations_with_replacement(KINDS, 2))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def write_arrow(table, path):
    with ipc.new_file(path, table.schema) as file:
        file.write_table(table)


WRITERS = {"parquet": pq.write_table, "arrow": write_arrow}


def read(engine, tmp_path, ending, columns, values, **timestamp):
    """Write a file for each of `values` of a column, and give all rows in order."""
    for number, column in enumerate(values):
        given = {"user": "u", "time": SECOND, "item": "i", "kind": "view"}
        table = pa.table({name: [value] * len(column) for name, value in given.items()})
        WRITERS[ending](
            table.set_column(table.column_names.index(columns), columns, column), tmp_path / f"{number}.{ending}"
        )
    files = sorted(tmp_path.glob(f"*.{ending}"))
    source = TableSource(files=tuple(SourceFile(path, path.name, path.stat().st_size) for path in files))
    time = {"column": "time", "zone": "America/New_York", **timestamp}
    roles = {"user": "user", "item": "item", "behavior": "kind", "timestamp": time}
    mapping = Mapping.validated({"tables": roles, "categories": {"none": True}})
    raw = engine.reader.read(source, Dialect(), list(given), Progress())
    found = typed_rows(raw, mapping.tables[0], mapping, engine, NOW)
    return engine.collect(f'SELECT * FROM ({found.sql}) ORDER BY file, "row"').to_pylist()


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_ids(engine, tmp_path, one, other):
    texts = [KINDS[kind][1] for kind in (one, other)]
    columns = [KINDS[kind][0] for kind in (one, other)]
    if None in texts:
        with pytest.raises(HupError, match=r"Column 'item' holds (dates|timestamps); expected text or numbers"):
            read(engine, tmp_path, "parquet", "item", columns)
        return
    rows = read(engine, tmp_path, "parquet", "item", columns)
    expected = [text for part in texts for text in part]
    assert [row["item"] for row in rows] == expected
    assert [row["reason"] for row in rows] == [None if text else "item is missing" for text in expected]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_times(engine, tmp_path, one, other):
    rows = read(engine, tmp_path, "parquet", "time", [KINDS[kind][2] for kind in (one, other)])
    expected = KINDS[one][3] + KINDS[other][3]
    assert [row["time_ms"] for row in rows] == expected
    assert [row["reason"] for row in rows] == [None if ms else "timestamp is missing" for ms in expected]


def test_arrow_files_of_all_kinds(engine, tmp_path):
    kinds = [kind for kind, (_, texts, _, _) in KINDS.items() if texts is not None]
    rows = read(engine, tmp_path, "arrow", "item", [KINDS[kind][0] for kind in kinds])
    assert [row["item"] for row in rows] == [text for kind in kinds for text in KINDS[kind][1]]
    rows = read(engine, tmp_path, "arrow", "time", [times for _, _, times, _ in KINDS.values()])
    assert [row["time_ms"] for row in rows] == [ms for _, _, _, expected in KINDS.values() for ms in expected]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_stated_unit_is_that_of_numbers(engine, tmp_path, ending):
    columns = [pa.array([SECOND * 1000]), pa.array([NOON, NOON], pa.timestamp("us"))]
    rows = read(engine, tmp_path, ending, "time", columns, unit="ms")
    assert [row["time_ms"] for row in rows] == [NOON_MS] * 3


def test_rows_have_the_places_of_their_files(engine, tmp_path):
    columns = [pa.array([1, 2]), pa.array(["a"]), pa.array([3]), pa.array(["b", "c"])]
    rows = read(engine, tmp_path, "parquet", "item", columns)
    assert [(row["file"], row["row"], row["item"]) for row in rows] == [
        *((0, 1, "1"), (0, 2, "2"), (1, 1, "a"), (2, 1, "3"), (3, 1, "b"), (3, 2, "c"))
    ]
