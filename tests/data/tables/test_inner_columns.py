"""Values inside of lists and objects: as columns, and a row for each element of a list; alike in Parquet and JSON."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hup
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import TableSource
from hup.data.log_source import find_sources
from hup.data.progress import Progress
from hup.data.tables.inner_columns import Place, inner_place
from hup.data.tables.log import read_log
from hup.data.tables.mapping import Mapping
from hup.data.tables.rows import NO_ELEMENT, NO_ITEM
from hup.errors import HupError

NOW = 1_750_000_000_000
TABLE = {
    "explode": "items",
    "user": "user",
    "session": "params[sid]",
    "timestamp": "time",
    "item": "items.id",
    "behavior": "event.name",
}
NESTED = {"tables": TABLE, "categories": {"columns": ["items.cat", "items.more.fine"]}}


def row(n, *items, name="view", sid="7"):
    params = [{"key": "page", "value": {"string": "x", "int": None}}, {"key": "sid", "value": typed(sid)}]
    return {"user": "u", "time": 1_700_000_000 + n, "event": {"name": name}, "params": params, "items": list(items)}


def typed(value):
    return {"string_value": None, "int_value": value, "float_value": None, "double_value": None}


def item(name, cat="c", fine=None):
    return {"id": name, "cat": cat, "more": {"fine": fine}}


GOOD = [row(0, item("a", fine="x"), item("b")), row(1), row(2, item(None)), row(3, item("c", cat=None))]


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = ["user,time,event,params,items"]
        for given in rows:
            texts = [json.dumps(value) if isinstance(value, list | dict) else str(value) for value in given.values()]
            lines.append(",".join('"' + text.replace('"', '""') + '"' for text in texts))
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text("".join(json.dumps(given) + "\n" for given in rows))
    return path


def read(tmp_path, *paths, engine=None, **changes):
    mapping = Mapping.validated({**NESTED, **changes})
    source = TableSource(files=tuple(find_sources(list(paths), tmp_path / "out", print)))
    with DuckDBEngine(tmp_path / "engine") as engine:
        log = read_log(source, mapping, engine, Progress(), now_ms=NOW)
        return engine.collect(f'SELECT * FROM {log.rows} ORDER BY file, "row", part').to_pylist(), log.counts


def columns(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv"])
def test_each_element_becomes_a_row(tmp_path, ending):
    rows, counts = read(tmp_path, write(tmp_path / f"log.{ending}", GOOD))
    first = 2 if ending == "csv" else 1
    assert columns(rows, "row", "part", "item", "category", "reason", "left_out") == [
        (first, 1, "a", "c\x1fx", None, None),
        (first, 2, "b", "c\x1f", None, None),
        (first + 1, 0, None, None, None, NO_ELEMENT),
        (first + 2, 1, None, "c\x1f", "item is missing", None),
        (first + 3, 1, "c", None, None, None),
    ]
    assert {(row["user"], row["session"], row["behavior"]) for row in rows} == {("u", "7", "view")}
    assert [row["time_ms"] // 1000 - 1_700_000_000 for row in rows] == [0, 0, 1, 2, 3]
    assert counts.left_out == {NO_ELEMENT: 1}
    assert counts.rows_by_file == [5]


def test_rows_without_an_item_may_be_wanted_by_none(tmp_path):
    path = write(tmp_path / "log.jsonl", GOOD)
    _, counts = read(tmp_path, path, tables={**TABLE, "item_optional": True})
    assert (counts.bad, counts.good, counts.left_out) == (0, 3, {NO_ELEMENT: 1, NO_ITEM: 1})


def test_a_misspelt_key_of_items_is_not_passed_over(tmp_path):
    """What an element lacks is missing; that all lack it is told where nothing is left."""
    path = write(tmp_path / "log.jsonl", GOOD)
    mapping = Mapping.validated({**NESTED, "tables": {**TABLE, "item": "items.idd", "item_optional": True}})
    with pytest.raises(HupError, match=r"No usable session.* Left out: row has no item \(4\)"):
        hup.prepare(path, map=mapping, out=tmp_path / "shop")


def test_rejects_name_file_line_and_reason(tmp_path):
    lines = [
        json.dumps(row(0, item("a"), item(["b"]), item("c"))),
        json.dumps({**row(1), "items": "a, b"}),
        json.dumps({**row(2), "items": {"id": "a"}}),
        "no JSON",
        json.dumps(row(3, item("d"), item("e"))),
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    rows, counts = read(tmp_path, tmp_path / "log.jsonl")
    assert columns(rows, "row", "item", "reason") == [
        (1, "a", None),
        (1, '["b"]', "nested value in column 'items.id': expected text or a number, found a list"),
        (1, "c", None),
        (2, None, "no list or object in column 'items': a, b"),
        (3, None, "no list in column 'items'"),
        (4, None, "line is no JSON object"),
        (5, "d", None),
        (5, "e", None),
    ]
    assert (counts.good, counts.bad) == (4, 4)
    assert all(row["text"] for row in rows if row["reason"])
    assert not any(row["text"] for row in rows if not row["reason"])


def test_the_order_of_a_list_is_that_of_its_events(tmp_path):
    """Its rows have one time and one place."""
    names = ["z", "a", "m", "b", "k"]
    (tmp_path / "log.jsonl").write_text(json.dumps(row(0, *map(item, names))))
    mapping = Mapping.validated(NESTED)
    dataset = hup.prepare(tmp_path / "log.jsonl", map=mapping, out=tmp_path / "shop", shares=[1, 0, 0])
    assert [dataset.item_names[code] for code in dataset.item] == names


def test_lists_as_bigquery_writes_them_to_parquet(tmp_path):
    wrapped = [
        {**given, **{name: {"list": [{"element": each} for each in given[name]]} for name in ("params", "items")}}
        for given in GOOD
    ]
    rows, _ = read(tmp_path, write(tmp_path / "log.parquet", wrapped))
    plain, _ = read(tmp_path, write(tmp_path / "plain.parquet", GOOD))
    assert rows == plain


def test_a_list_of_names(tmp_path):
    lines = [{"user": "u", "time": 1_700_000_000, "skus": ["a", 7]}]
    path = write(tmp_path / "log.jsonl", lines)
    table = {"explode": "skus", "user": "user", "timestamp": "time", "item": "skus", "behavior": {"value": "buy"}}
    rows, _ = read(tmp_path, path, tables=table, categories={"none": True})
    assert columns(rows, "item", "reason") == [("a", None), ("7", None)]


def test_a_list_inside_of_an_object(tmp_path):
    lines = [{"user": "u", "time": 1_700_000_000, "order": {"lines": [{"sku": "a"}, {"sku": "b"}], "status": "paid"}}]
    table = {"explode": "order.lines", "user": "user", "timestamp": "time", "item": "order.lines.sku"}
    table["behavior"] = "order.status"
    for ending in ("jsonl", "parquet"):
        path = write(tmp_path / f"log.{ending}", lines)
        rows, _ = read(tmp_path, path, tables=table, categories={"none": True})
        assert columns(rows, "item", "behavior", "reason") == [("a", "paid", None), ("b", "paid", None)]


def test_what_is_no_list_is_told(tmp_path):
    pq.write_table(pa.table({"user": ["u"], "time": [1], "params": [1], "items": [2], "event": [3]}), tmp_path / "x.pq")
    with pytest.raises(HupError, match=r"x\.pq: column 'items' holds numbers; expected lists or objects"):
        read(tmp_path, tmp_path / "x.pq")
    with pytest.raises(HupError, match=r"explode: there is no column 'itms' \(nearest: items\)"):
        read(tmp_path, tmp_path / "x.pq", tables={**TABLE, "explode": "itms"})
    with pytest.raises(HupError, match=r"item: there is no column 'goods\.id'"):
        read(tmp_path, tmp_path / "x.pq", tables={**TABLE, "item": "goods.id"})


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a", Place("a")),
        ("a.b.c", Place("a", ("b", "c"))),
        ("x.y.z", Place("x.y", ("z",))),
        ("a[k.1]", Place("a", (), "k.1")),
        ("a.b[k]", Place("a", ("b",), "k")),
        ("b.a", None),
        ("[k]", None),
    ],
)
def test_places(name, place):
    assert inner_place(name, ["a", "x.y"]) == place
