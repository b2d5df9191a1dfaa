"""The builder takes events of any origin: here a table, with another separator and item names that need care."""

import ibis
import pyarrow as pa
import pytest

from hup.behaviors import Behavior
from hup.data.builder import build
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.event_log import EventLog

ROWS = [
    # session, position, item, path
    (7, 100, "a/b", "x > y"),
    (7, 105, "c", "x > z"),
    (3, 50, "c", "x > z"),
    (3, 40, "lonely", "x > z"),
    (5, 60, "lonely", "x > z"),
    (5, 61, "lonely", "x > y"),
    (9, 201, "c", "x > z"),
    (9, 200, "a/b", "x > q"),
]


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(tmp_path) as engine:
        yield engine


@pytest.fixture
def log(engine):
    return table_log(engine)


def table_log(engine):
    columns = dict(zip(("session", "position", "item", "path"), zip(*ROWS, strict=True), strict=True))
    n = len(ROWS)
    table = pa.table(
        columns
        | {
            "behavior": pa.array([0] * n, pa.uint8()),
            "interval": pa.array([1] * n, pa.float32()),
            "dwell": pa.array([2] * n, pa.float32()),
        }
    )
    schema = {"session": "int64", "position": "int64", "token": "string", "reason": "string"}
    return EventLog(
        format="table",
        events=engine.register("log", table),
        rejected=engine.register("rejected", ibis.schema(schema).to_pyarrow().empty_table()),
        tokens=n,
        levels=2,
        separator=" > ",
        behaviors=(Behavior(code="v", name="view"),),
        origins=None,
        token_text=lambda events: events["item"],
    )


def rows(engine, expression, *columns):
    return [tuple(row[column] for column in columns) for row in engine.collect(expression).to_pylist()]


def test_order_sessions_and_categories(engine, log):
    ordered = build(log, engine)
    names = dict(rows(engine, ordered.items, "item_id", "item"))
    events = [(session, names[item]) for session, item in rows(engine, ordered.events, "session", "item_id")]
    assert events == [(3, "lonely"), (3, "c"), (7, "a/b"), (7, "c"), (9, "a/b"), (9, "c")]
    assert (ordered.n_events, ordered.n_sessions) == (6, 3)
    assert dict(rows(engine, ordered.items, "item", "path")) == {"a/b": "x > y", "c": "x > z", "lonely": "x > z"}
    assert rows(engine, ordered.rejects, "session", "position", "token", "reason", "effect") == [
        (5, None, None, "session has fewer than two item runs", "session dropped"),
        (9, 200, "a/b", "item has another category: x > q instead of x > y", "recategorised"),
    ]


def test_known_paths_win_over_what_the_log_says(engine, log):
    known = pa.table({"item": ["a/b", "unseen", "c"], "path": ["k > k", "x > y", "x > z"]})
    ordered = build(log, engine, known=known)
    assert dict(rows(engine, ordered.items, "item", "path")) == {"a/b": "k > k", "c": "x > z", "lonely": "x > z"}
    assert sorted(item for (item,) in rows(engine, ordered.items, "item_id")) == [0, 1, 2]
    assert rows(engine, ordered.rejects, "session", "position", "token", "reason")[1:] == [
        (7, 100, "a/b", "item has another category: x > y instead of k > k"),
        (9, 200, "a/b", "item has another category: x > q instead of k > k"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_permutation_keeps_sessions_whole(engine, log, seed):
    sessions = [row[0] for row in rows(engine, build(log, engine, seed).events, "session")]
    assert sessions[::2] == sessions[1::2]
    assert sorted(sessions[::2]) == [3, 7, 9]


def test_permutation_depends_on_the_seed_alone(tmp_path):
    orders = []
    for seed in (1, 1, 2, 3, 4, 5):
        with DuckDBEngine(tmp_path) as engine:
            orders.append(rows(engine, build(table_log(engine), engine, seed).events, "session"))
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders)
