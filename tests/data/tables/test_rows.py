"""Rows of event tables: typed, and every bad one told why."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, RawTable, SourceFile, TableSource, sql_types
from hup.data.engines.spark_workers import TableRows, Typing, unpacked
from hup.data.progress import Progress
from hup.data.tables.categories import SEPARATOR
from hup.data.tables.mapping import Mapping
from hup.data.tables.rows import COLUMNS, EVENT_ID, NOT_KEPT, typed_rows, typing_sql
from hup.data.tables.values import id_text, number_text
from hup.errors import HupError

SECOND = 1_569_888_000  # 2019-10-01 00:00:00 UTC
NOW = (SECOND + 86_400) * 1000
TABLE = {"user": "u", "session": "s", "item": "i", "timestamp": "t", "behavior": "b"}
GOOD = {"u": "ann", "s": "s1", "i": "cup", "t": str(SECOND), "b": "view", "c": "kitchen"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def raw_table(engine, columns: pa.Table, problems=None, texts=None) -> RawTable:
    n = len(columns)
    place = {
        "hup_file": pa.array([0] * n, pa.int32()),
        "hup_row": pa.array(range(2, n + 2), pa.int64()),
        "hup_problem": pa.array(problems or [None] * n, pa.string()),
        "hup_text": pa.array(texts or [None] * n, pa.string()),
    }
    types = sql_types(columns.schema)
    for name, values in place.items():
        columns = columns.append_column(name, values)
    engine.register("raw_rows", columns)
    return RawTable((types,), lambda write: write(types), ("log.csv",), (1,))


def typed(engine, rows, problems=None, texts=None, **changes):
    """Type rows, given as dictionaries or a table; give them as dictionaries, and the guesses."""
    mapping = Mapping.validated({"tables": TABLE, "categories": {"columns": ["c"]}, **changes})
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist([{**GOOD, **row} for row in rows])
    found = typed_rows(raw_table(engine, table, problems, texts), mapping.tables[0], mapping, engine, NOW)
    rows = engine.collect(f'SELECT * FROM ({found.sql}) ORDER BY "row"')
    assert tuple(rows.column_names) == COLUMNS
    return rows.to_pylist(), found.guesses


def column(engine, name, values, kind=None, **changes):
    """Type one column of good rows, and give what becomes of it."""
    n = len(values)
    table = pa.table({key: [value] * n for key, value in GOOD.items()})
    place = table.column_names.index(name)
    return typed(engine, table.set_column(place, name, pa.array(values, kind)), **changes)[0]


def test_a_good_row(engine):
    found, guesses = typed(engine, [{}])
    assert found == [
        {
            "user": "ann",
            "session": "s1",
            "event_text": None,
            "event_number": None,
            "time_ms": SECOND * 1000,
            "time_ns": 0,
            "item": "cup",
            "category": "kitchen",
            "behavior": "view",
            "interval": None,
            "dwell": None,
            "file": 0,
            "row": 2,
            "reason": None,
            "text": None,
            "left_out": None,
            "part": 0,
        }
    ]
    assert guesses == ("t: numbers are seconds since 1970, 2019-10-01.",)


def test_types_of_columns(engine):
    mapping = Mapping.validated({"tables": TABLE, "categories": {"columns": ["c"]}})
    raw = raw_table(engine, pa.Table.from_pylist([GOOD]))
    kinds = engine.types(typed_rows(raw, mapping.tables[0], mapping, engine, NOW).sql)
    numbers = {
        "event_number": "BIGINT",
        "time_ms": "BIGINT",
        "time_ns": "INTEGER",
        "interval": "FLOAT",
        "dwell": "FLOAT",
        "file": "INTEGER",
        "row": "BIGINT",
        "part": "INTEGER",
    }
    assert kinds == dict.fromkeys(COLUMNS, "VARCHAR") | numbers


# Ids


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (["a", " b ", "é", "0012"], None, ["a", " b ", "é", "0012"]),
        ([7, -1, 2**62], pa.int64(), ["7", "-1", str(2**62)]),
        ([2**63 - 1], pa.uint64(), [str(2**63 - 1)]),
        (
            [7.0, 2.0**53, 1.5, -0.25, 1e18],
            pa.float64(),
            ["7", "9007199254740992", "1.5", "-0.25", "1000000000000000000"],
        ),
        ([7.0, 1.5], pa.float32(), ["7", "1.5"]),
        ([decimal.Decimal("7.00"), decimal.Decimal("-1.50")], pa.decimal128(20, 2), ["7", "-1.50"]),
        ([decimal.Decimal(10) ** 30, decimal.Decimal(0)], pa.decimal128(38, 0), ["1" + "0" * 30, "0"]),
    ],
)
def test_ids_of_any_type_are_text(engine, values, kind, texts):
    assert [row["item"] for row in column(engine, "i", values, kind)] == texts


def test_uuids_are_text(engine):
    value = uuid.UUID("72d76fde-8bb3-4e00-8c23-a032dfed738c")
    found = engine.collect(f"SELECT {id_text('value', 'UUID', (), 'i')} AS text FROM (SELECT '{value}'::UUID AS value)")
    assert found["text"].to_pylist() == [str(value)]


@pytest.mark.parametrize("role", ["u", "s", "i", "b"])
@pytest.mark.parametrize(
    ("value", "kind"), [(True, "true and false"), ([1], "lists"), ({"a": 1}, "nested records"), (b"x", "bytes"),
                        (dt.date(2020, 1, 1), "dates"), (dt.datetime(2020, 1, 1), "timestamps")]
)  # fmt: skip
def test_types_that_are_no_ids(engine, role, value, kind):
    with pytest.raises(HupError, match=f"log.csv: Column '{role}' holds {kind}; expected text or numbers"):
        column(engine, role, [value])


@pytest.mark.parametrize("value", ["", "  ", "\t\n", "null", "NULL", "NaN", "nan", "None", "\\N", None, " NULL "])
def test_missing_texts(engine, value):
    assert column(engine, "i", [value])[0]["reason"] == "item is missing"


def test_nulls_of_the_mapping(engine):
    assert [row["item"] for row in column(engine, "i", ["NA", "NULL", " "], nulls=["NA"])] == [None, "NULL", None]


def test_missing_numbers(engine):
    assert [row["item"] for row in column(engine, "i", [1.0, None, float("nan"), float("inf")], pa.float64())] == [
        "1", None, None, None]  # fmt: skip
    assert column(engine, "i", [None], pa.null())[0]["reason"] == "item is missing"


def test_nan_in_parquet_is_missing(engine, tmp_path):
    """Bounds of columns, which Parquet files state, say nothing of NaN."""
    columns = {name: [value] * 4 for name, value in GOOD.items()} | {"t": [float(SECOND)] * 3 + [float("nan")]}
    pq.write_table(pa.table({**columns, "i": [1.0, 2.5, float("nan"), 4.0]}), tmp_path / "log.parquet")
    mapping = Mapping.validated({"tables": TABLE, "categories": {"columns": ["c"]}})
    source = TableSource(files=(SourceFile(tmp_path / "log.parquet", "log.parquet", 1),))
    raw = engine.reader.read(source, Dialect(), list(GOOD), Progress())
    typed = typed_rows(raw, mapping.tables[0], mapping, engine, NOW)
    found = engine.collect(f'SELECT item, time_ms, reason FROM ({typed.sql}) ORDER BY "row"').to_pylist()
    assert [row["item"] for row in found] == ["1", "2.5", None, "4"]
    assert [row["time_ms"] for row in found] == [SECOND * 1000] * 3 + [None]
    assert [row["reason"] for row in found] == [None, None, "item is missing", "timestamp is missing"]


def event_ids(engine, values, kind=None):
    """Event ids as numbers, as other texts, and as texts that sort."""
    rows = pa.table({key: [value] * len(values) for key, value in GOOD.items()} | {"e": pa.array(values, kind)})
    mapping = Mapping.validated({"tables": {**TABLE, "event_id": "e"}, "categories": {"columns": ["c"]}})
    typed = typed_rows(raw_table(engine, rows), mapping.tables[0], mapping, engine, NOW)
    found = engine.collect(f'SELECT event_number, event_text, {EVENT_ID} AS id FROM ({typed.sql}) ORDER BY "row"')
    return [tuple(row.values()) for row in found.to_pylist()]


def test_event_ids_sort_as_numbers(engine):
    found = event_ids(engine, ["9", "10", "0", "x9", "09", None, str(2**63 - 1), str(2**63)])
    keys = [key for *_, key in found]
    assert sorted(keys[:3]) == [keys[2], keys[0], keys[1]]
    assert keys[3:] == ["x9", "09", None, str(2**63 - 1), str(2**63)]
    assert len(set(keys)) == len(keys)
    assert [number for number, *_ in found] == [9, 10, 0, None, None, None, 2**63 - 1, None]
    assert [text for _, text, _ in found] == [None, None, None, "x9", "09", None, None, str(2**63)]


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.int32(), pa.float64()])
def test_event_ids_that_are_numbers_are_what_they_are_as_text(engine, kind):
    values = [9, 10, 0, None, *([-3] if kind != pa.uint64() else [2**63, 2**64 - 1])]
    as_text = [None if value is None else str(value) for value in values]
    assert event_ids(engine, values, kind) == event_ids(engine, as_text)


@pytest.mark.parametrize("value", ["9\n", "9\r\n", "9\r", "9\u2028", "\n9", "9 ", "9z"])
def test_event_ids_with_blanks_are_no_numbers(engine, value):
    assert event_ids(engine, [value]) == [(None, value, value)]


def test_numbers_as_text(engine):
    values = [0.0, -0.0, 0.1, -0.1, 1e-9, -1e-9, 0.9999999, -2.9999999, 12345678.125, 2.0**60, 1e300]
    engine.register("numbers", pa.table({"n": range(len(values)), "x": values}))
    texts = engine.collect(f"SELECT {number_text('x', 'DOUBLE')} AS text FROM numbers ORDER BY n")
    found = texts["text"].to_pylist()
    assert found == ["0", "0", "0.1", "-0.1", "0", "0", "1", "-3", "12345678.125", str(2**60), None]


# Reasons


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"i": ""}, "item is missing"),
        ({"s": "NULL"}, "session is missing"),
        ({"t": ""}, "timestamp is missing"),
        ({"t": "soon"}, "timestamp is not a time: soon"),
        ({"t": "2019-02-30"}, "timestamp is not a time: 2019-02-30"),
        ({"t": "0"}, "timestamp is before 1973: 0"),
        ({"t": str(SECOND + 3 * 86_400)}, f"timestamp is in the future: {SECOND + 3 * 86_400}"),
        ({"t": str(SECOND * 1000)}, f"timestamp is in the future: {SECOND}000"),
        ({"b": " "}, "behavior is missing"),
        ({"d": "-1"}, "dwell is negative: -1"),
        ({"d": "long"}, "dwell is not a number: long"),
        ({"d": "1e999"}, "dwell is not finite: 1e999"),
        ({"v": "0x10"}, "interval is not a number: 0x10"),
        ({"u": ""}, None),
        ({"d": "", "v": ""}, None),
        ({"c": ""}, None),
        ({"i": "", "s": "", "t": "soon", "b": "", "d": "-1"}, "item is missing"),
        ({"t": "soon", "b": "", "d": "-1"}, "timestamp is not a time: soon"),
        ({"b": "", "d": "-1"}, "behavior is missing"),
        ({"v": "-2", "d": "-1"}, "interval is negative: -2"),
    ],
)
def test_reasons(engine, row, reason):
    plain = {"d": "1", "v": "1"}
    tables = {**TABLE, "dwell": "d", "interval": "v"}
    found, _ = typed(engine, [plain, {**plain, **row}, plain], tables=tables)
    assert [row["reason"] for row in found] == [None, reason, None]
    assert (found[1]["text"] is None) == (reason is None)


def test_a_day_ahead_is_no_future(engine):
    found, _ = typed(engine, [{"t": str(NOW // 1000 + 86_400)}, {"t": str(NOW // 1000 + 86_401)}])
    assert [row["reason"] is None for row in found] == [True, False]


@pytest.mark.parametrize("by", ["gap", "user"])
def test_without_sessions_users_must_be_known(engine, by):
    found, _ = typed(engine, [{"u": ""}, {"s": ""}], sequence={"by": by})
    assert [row["reason"] for row in found] == ["user is missing", None]


def test_records_that_do_not_parse_come_first(engine):
    rows = [dict.fromkeys(GOOD), {}]
    found, _ = typed(engine, rows, ["wrong number of fields: 2 instead of 6", None], ["a,b", None])
    assert (found[0]["reason"], found[0]["text"]) == ("wrong number of fields: 2 instead of 6", "a,b")
    assert found[0]["left_out"] is None
    kept, _ = typed(engine, rows, ["not JSON", None], ["{", None], behaviors={"keep": ["buy"]})
    assert [(row["reason"], row["left_out"]) for row in kept] == [("not JSON", None), (None, NOT_KEPT)]


def test_bad_rows_are_written_out(engine):
    tables = {**TABLE, "event_id": "e"}
    row = {"i": "", "e": "12", "k": "tv", "c": "screens"}
    found, _ = typed(engine, [row], tables=tables, categories={"columns": ["c", "k"]})
    assert found[0]["text"] == f"u=ann, s=s1, e=12, t={SECOND}, i=, b=view, c/k=screens/tv"
    long, _ = typed(engine, [{"i": "", "u": "x" * 3000}])
    assert len(long[0]["text"]) == 1000


def test_times_of_bad_rows_are_written_alike_whatever_their_type(engine):
    for values in (pa.array([dt.datetime(2019, 10, 1)]), pa.array([dt.date(2019, 10, 1)]), pa.array(["2019-10-01"])):
        rows = pa.Table.from_pylist([{**GOOD, "i": ""}])
        rows = rows.set_column(rows.column_names.index("t"), "t", values)
        assert "t=2019-10-01 00:00:00.000, i=" in typed(engine, rows)[0][0]["text"]


# Behaviors


def test_behaviors_not_to_keep_are_left_out_without_a_reason(engine):
    rows = [{}, {"b": "sort"}, {"b": "sort", "i": "", "t": "soon"}, {"b": ""}]
    found, _ = typed(engine, rows, behaviors={"keep": ["view"]})
    assert [row["left_out"] for row in found] == [None, NOT_KEPT, NOT_KEPT, None]
    assert [row["reason"] for row in found] == [None, None, None, "behavior is missing"]


def test_no_behavior_to_keep_leaves_all_out(engine):
    found, _ = typed(engine, [{}, {"b": ""}], behaviors={"keep": []})
    assert [row["left_out"] for row in found] == [NOT_KEPT, None]


def test_behaviors_are_renamed(engine):
    found, _ = typed(engine, [{"b": "pv"}, {"b": "cart"}], behaviors={"names": {"pv": "view"}, "keep": ["pv", "cart"]})
    assert [row["behavior"] for row in found] == ["view", "cart"]


def test_a_table_of_one_behavior(engine):
    tables = {**TABLE, "behavior": {"value": "buy"}}
    found, _ = typed(engine, [{}], tables=tables, behaviors={"names": {"buy": "order"}})
    assert found[0]["behavior"] == "order"


# Categories


def test_category_columns_are_joined(engine):
    rows = [{"c": "a", "k": "b"}, {"c": "", "k": "b"}, {"c": "a", "k": None}, {"c": "", "k": "NULL"}]
    found, _ = typed(engine, rows, categories={"columns": ["c", "k"]})
    assert [row["category"] for row in found] == [f"a{SEPARATOR}b", f"{SEPARATOR}b", f"a{SEPARATOR}", None]


def test_a_separator_in_a_name_parts_no_path(engine):
    rows = [{"c": f"p{SEPARATOR}q", "k": "r"}, {"c": "p", "k": f"q{SEPARATOR}r"}, {"c": "p", "k": "q"}]
    found, _ = typed(engine, rows, categories={"columns": ["c", "k"]})
    assert [row["category"] for row in found] == [f"p q{SEPARATOR}r", f"p{SEPARATOR}q r", f"p{SEPARATOR}q"]
    found, _ = typed(engine, rows, categories={"columns": ["c"]})
    assert [row["category"] for row in found] == ["p q", "p", "p"]
    found, _ = typed(engine, rows, categories={"column": "c", "delimiter": SEPARATOR})
    assert [row["category"] for row in found] == [f"p{SEPARATOR}q", "p", "p"]


def test_category_path_is_kept_as_it_is(engine):
    found, _ = typed(engine, [{"c": "a.b"}, {"c": ""}], categories={"column": "c", "delimiter": "."})
    assert [row["category"] for row in found] == ["a.b", None]


def test_tables_without_categories(engine):
    items = {"items": {"file": "items.csv", "item": "i", "category": "c"}}
    for changes in ({"categories": {"none": True}}, {"categories": items}):
        assert typed(engine, [{}], **changes)[0][0]["category"] is None


# Lengths of time


@pytest.mark.parametrize(
    ("values", "kind", "rule", "seconds"),
    [
        (["1.5", "", "+2", ".5", "1e2", "3."], None, "d", [1.5, None, 2, 0.5, 100, 3]),
        ([1, None, 0], pa.int32(), "d", [1, None, 0]),
        ([1.5, float("nan")], pa.float64(), "d", [1.5, None]),
        ([1500, 1], pa.int64(), {"column": "d", "unit": "ms"}, [1.5, 0.001]),
        ([decimal.Decimal("0.10")], pa.decimal128(10, 2), "d", [0.1]),
        ([None], pa.null(), "d", [None]),
    ],
)
def test_dwell(engine, values, kind, rule, seconds):
    table = pa.table({**{key: [value] * len(values) for key, value in GOOD.items()}, "d": pa.array(values, kind)})
    found, _ = typed(engine, table, tables={**TABLE, "dwell": rule})
    assert [row["reason"] for row in found] == [None] * len(values)
    expected = pa.array(seconds, pa.float32()).to_pylist()
    assert [row["dwell"] for row in found] == expected


def test_dwell_of_numbers_that_are_none(engine):
    values = [-1.5, float("inf"), 1e300]
    table = pa.table({**{key: [value] * 3 for key, value in GOOD.items()}, "d": values})
    found, _ = typed(engine, table, tables={**TABLE, "dwell": "d"})
    assert [row["reason"] for row in found] == [
        "dwell is negative: -1.5",
        "dwell is not finite: a number too large",
        "dwell is not finite: a number too large",
    ]
    assert [row["dwell"] for row in found] == [None] * 3


@pytest.mark.parametrize("role", ["dwell", "interval"])
def test_types_that_are_no_length_of_time(engine, role):
    table = pa.Table.from_pylist([{**GOOD, "d": True}])
    with pytest.raises(HupError, match=r"log\.csv: column 'd' holds true and false; expected numbers of seconds"):
        typed(engine, table, tables={**TABLE, role: "d"})


def test_a_time_may_be_added_to_the_day(engine):
    rows = [{"t": "2019-10-01", "f": value} for value in ("0", "1500", "", "x", "-1", "9" * 16)]
    timestamp = {"column": "t", "offset": "f"}
    found, _ = typed(engine, rows, tables={**TABLE, "timestamp": timestamp})
    assert [row["time_ms"] for row in found[:2]] == [SECOND * 1000, SECOND * 1000 + 1500]
    assert [row["reason"] for row in found[2:]] == [
        "timestamp offset is missing",
        "timestamp offset is not a length of time: x",
        "timestamp offset is not a length of time: -1",
        f"timestamp offset is not a length of time: {'9' * 16}",
    ]
    table = pa.Table.from_pylist([{**GOOD, "t": "2019-10-01", "f": 1.25}])
    seconds, _ = typed(engine, table, tables={**TABLE, "timestamp": {**timestamp, "offset_unit": "s"}})
    assert seconds[0]["time_ms"] == SECOND * 1000 + 1250


def test_digits_of_a_time_and_of_what_is_added_to_it(engine):
    rows = [{"t": "2019-10-01 00:00:00.0009", "f": "0.0002"}, {"t": "2019-10-01 00:00:00.0001", "f": "0.1234567899"}]
    timestamp = {"column": "t", "offset": "f", "offset_unit": "s"}
    found, _ = typed(engine, rows, tables={**TABLE, "timestamp": timestamp})
    expected = [(SECOND * 1000 + 1, 100_000), (SECOND * 1000 + 123, 556_789)]
    assert [(row["time_ms"], row["time_ns"]) for row in found] == expected


@pytest.mark.parametrize(
    ("dates", "kind"),
    [
        (["2019-10-01"] * 4, None),
        (["2019-10-01 00:00:00"] * 4, None),
        ([dt.date(2019, 10, 1)] * 4, None),
        ([dt.datetime(2019, 10, 1)] * 4, pa.timestamp("us")),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_date_and_time_of_day_are_joined(engine, dates, kind, as_text):
    times = [dt.time(0, 0), dt.time(9, 5, 7), dt.time(12, 30, 5, 250_000), None]
    texts = ["0:00", "9:05:07", "12:30:05.25", ""]
    columns = {name: [value] * 4 for name, value in GOOD.items()}
    columns |= {"t": pa.array(dates, kind), "f": texts if as_text else pa.array(times, pa.time64("us"))}
    timestamp = {"column": "t", "time": "f", "zone": "Europe/Berlin"}
    found, _ = typed(engine, pa.table(columns), tables={**TABLE, "timestamp": timestamp})
    day = (SECOND - 2 * 3600) * 1000  # midnight in Berlin
    expected = [day, day + (9 * 3600 + 5 * 60 + 7) * 1000, day + (12 * 3600 + 30 * 60 + 5) * 1000 + 250, None]
    assert [row["time_ms"] for row in found] == expected
    assert [row["reason"] for row in found] == [None, None, None, "timestamp is missing"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"t": [SECOND], "f": ["12:30"]}, "column 't' holds numbers; expected dates, as time is mapped"),
        ({"t": ["2019-10-01"], "f": [1230]}, "column 'f' holds numbers; expected times of day, such as 12:30:05"),
        ({"t": ["2019-10-01"], "f": [dt.datetime(2019, 10, 1)]}, "column 'f' holds timestamps; expected times of day"),
    ],
)
def test_what_is_no_date_and_time_of_day(engine, columns, message):
    table = pa.table({**{name: [value] for name, value in GOOD.items()}, **columns})
    with pytest.raises(HupError, match=message):
        typed(engine, table, tables={**TABLE, "timestamp": {"column": "t", "time": "f"}})


def test_times_that_are_all_at_midnight_are_told(engine):
    midnight = "all times are at midnight"
    dates = [{"t": "2019-10-01"}, {"t": "2019-09-30 00:00:00"}]
    assert midnight in typed(engine, dates)[1][-1]
    assert not [guess for guess in typed(engine, [*dates, {"t": "2019-10-01 00:00:01"}])[1] if midnight in guess]
    offset = {"tables": {**TABLE, "timestamp": {"column": "t", "offset": "f"}}}
    with_offset = typed(engine, [{**row, "f": "1000"} for row in dates], **offset)
    assert not [guess for guess in with_offset[1] if midnight in guess]


# Tables


def test_an_empty_table(engine):
    assert typed(engine, pa.Table.from_pylist([GOOD]).slice(0, 0)) == ([], ())


def test_a_missing_column_is_named(engine):
    with pytest.raises(HupError, match=r"there is no column 'i'\. Columns there: u, s, t, b, c[.]$"):
        typed(engine, pa.Table.from_pylist([{key: value for key, value in GOOD.items() if key != "i"}]))


def test_one_column_may_be_several_things(engine):
    found, _ = typed(engine, [{}], tables={**TABLE, "session": "u"})
    assert (found[0]["user"], found[0]["session"]) == ("ann", "ann")


def test_rows_are_read_once(engine):
    batches = pa.Table.from_pylist([{**GOOD, "hup_file": 0, "hup_row": n} for n in range(5)])
    for name, kind in (("hup_problem", pa.string()), ("hup_text", pa.string())):
        batches = batches.append_column(name, pa.nulls(5, kind))
    kinds = {"hup_file": pa.int32(), "hup_row": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in batches.column_names])
    reader = pa.RecordBatchReader.from_batches(schema, iter(batches.cast(schema).to_batches()))
    mapping = Mapping.validated({"tables": TABLE, "categories": {"columns": ["c"]}})
    engine.register("raw_rows", reader)
    types = dict.fromkeys(GOOD, "VARCHAR")
    raw = RawTable((types,), lambda write: write(types), ("log.csv",), (1,))
    found = typed_rows(raw, mapping.tables[0], mapping, engine, NOW)
    for _ in range(2):
        assert len(engine.collect(found.sql)) == 5


# In other processes


def test_batches_are_typed_as_the_engine_types_them(engine):
    columns = {
        "u": ["ann", " ", None, "bob", "é"],
        "s": pa.array([1.0, 2.5, float("nan"), None, 7.0]),
        "i": pa.array([1, 2, 3, None, 5], pa.uint32()),
        "t": ["2019-10-01 00:00", "2019-10-01T02:00:00.9999 +02:00", str(SECOND), "soon", ""],
        "b": pa.array([decimal.Decimal("1.00"), decimal.Decimal("1.50"), None, None, None], pa.decimal128(9, 2)),
        "c": pa.array(["x", "y", "x", None, ""]).dictionary_encode(),
        "d": ["1", "-1", "x", "", None],
        "n": pa.nulls(5),
    }
    raw = raw_table(engine, pa.table(columns))
    tables = {**TABLE, "dwell": "d", "interval": "n", "event_id": "n"}
    mapping = Mapping.validated({"tables": tables, "categories": {"columns": ["c", "b"]}})
    bound = mapping.tables[0].bind(raw.types[0], mapping.categories)
    typing = typing_sql(raw.types[0], bound, mapping.tables[0], mapping, "log.csv")
    rows = engine.collect("SELECT * FROM raw_rows ORDER BY hup_row")
    seen = rows.drop(["hup_problem", "hup_text"])
    worker = Typing(TableRows(tuple(seen.schema)[:-2]), typing)
    batches = [
        batch
        for packed in worker(iter(seen.to_batches(max_chunksize=2)))
        for batch in unpacked(packed["rows"][0].as_py())
    ]
    assert {batch.schema for batch in batches} == {worker.schema()}
    assert pa.Table.from_batches(batches) == engine.collect(f'SELECT * FROM ({typing}) ORDER BY "row"')


# Ids that are whole floats in text


def test_whole_ids_lose_their_point_where_the_mapping_says_so(engine):
    rows = [
        {"i": text, "c": text} for text in ("489.0", "489", "-7.00", "4.50", "1.2.0", "x1.0", "4095515938.16", ".0")
    ]
    plain = [row["i"] for row in rows]
    assert [row["item"] for row in typed(engine, rows)[0]] == plain
    whole, _ = typed(engine, rows, tables={**TABLE, "whole_ids": ["i"]})
    assert [row["item"] for row in whole] == ["489", "489", "-7", *plain[3:]]
    assert [row["category"] for row in whole] == plain
    both, _ = typed(engine, rows, tables={**TABLE, "whole_ids": ["i", "c"]})
    assert [row["category"] for row in both] == ["489", "489", "-7", *plain[3:]]


def test_whole_ids_name_columns(engine):
    with pytest.raises(HupError, match="whole_ids: there is no column 'items'"):
        typed(engine, [{}], tables={**TABLE, "whole_ids": ["items"]})
