"""Mappings for what analytics tools and shops export read small files in the documented shape, written by hand."""

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
from hup.data.tables.log import read_log
from hup.data.tables.mapping import load_mapping
from hup.data.tables.rows import NO_ELEMENT, NO_ITEM, NOT_KEPT

NOW = 1_750_000_000_000
SHOWN = ("user", "session", "time_ms", "behavior", "item", "category")


def read(tmp_path, name, *paths):
    """Type events with a built-in mapping: usable rows, reasons of others, and what is left out."""
    source = TableSource(files=tuple(find_sources(list(paths), tmp_path / "out", print)))
    with DuckDBEngine(tmp_path / "engine") as engine:
        log = read_log(source, load_mapping(name), engine, Progress(), now_ms=NOW)
        rows = engine.collect(f'SELECT * FROM {log.rows} ORDER BY file, "row", part').to_pylist()
    good = [tuple(row[key] for key in SHOWN) for row in rows if row["reason"] is None and row["left_out"] is None]
    return good, [(row["row"], row["reason"]) for row in rows if row["reason"]], log.counts.left_out


def path_of(*names):
    return "\x1f".join([*names, *[""] * (5 - len(names))])


# Google Analytics 4


def ga4_event(second, name, *items, session="100", user="123.456"):
    params = [
        {"key": "page_location", "value": ga4_value(string_value="https://shop/x")},
        *([] if session is None else [{"key": "ga_session_id", "value": ga4_value(int_value=session)}]),
    ]
    return {
        "event_date": "20240501",
        "event_timestamp": str(1_714_550_400_000_000 + second * 1_000_000 + 5),
        "event_name": name,
        "event_params": params,
        "user_pseudo_id": user,
        "user_id": None,
        "device": {"category": "mobile"},
        "items": list(items),
    }


def ga4_value(**given):
    return dict.fromkeys(("string_value", "int_value", "float_value", "double_value")) | given


def ga4_item(name, *categories):
    keys = ("item_category", *(f"item_category{level}" for level in range(2, 6)))
    return {"item_id": name, "item_name": f"The {name}", **dict(zip(keys, [*categories, *[None] * 5], strict=False))}


SHIRT, BAG = ga4_item("shirt", "Apparel", "Men", "Shirts"), ga4_item("bag", "Bags")
GA4 = [
    ga4_event(0, "session_start"),
    ga4_event(1, "view_item", SHIRT),
    ga4_event(2, "view_item_list", SHIRT, BAG, ga4_item("hat")),
    ga4_event(3, "add_to_cart", BAG),
    ga4_event(4, "view_item", ga4_item("(not set)")),
    ga4_event(5, "begin_checkout"),
    ga4_event(6, "purchase", BAG, SHIRT),
    ga4_event(7, "view_item", SHIRT, session=None, user=None),
]


def ga4_json(row):
    """As BigQuery writes JSON: what is null is not there."""
    if isinstance(row, dict):
        return {key: ga4_json(value) for key, value in row.items() if value is not None}
    return [ga4_json(value) for value in row] if isinstance(row, list) else row


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_ga4(tmp_path, ending):
    path = tmp_path / f"events_20240501.{ending}"
    if ending == "parquet":
        events = [{**event, "event_timestamp": int(event["event_timestamp"])} for event in GA4]
        pq.write_table(pa.Table.from_pylist(events), path)
    else:
        path.write_text("".join(json.dumps(ga4_json(event)) + "\n" for event in GA4))
    start = 1_714_550_400_000
    shirt, bag = path_of("Apparel", "Men", "Shirts"), path_of("Bags")
    good, bad, left_out = read(tmp_path, "ga4", path)
    assert good == [
        ("123.456", "100", start + 1000, "view_item", "shirt", shirt),
        ("123.456", "100", start + 3000, "add_to_cart", "bag", bag),
        ("123.456", "100", start + 6000, "purchase", "bag", bag),
        ("123.456", "100", start + 6000, "purchase", "shirt", shirt),
    ]
    assert bad == [(8, "session is missing")]
    assert left_out == {NOT_KEPT: 4, NO_ITEM: 1, NO_ELEMENT: 1}


def test_ga4_has_as_many_levels_as_are_used(tmp_path):
    path = tmp_path / "events_20240501.jsonl"
    path.write_text("".join(json.dumps(ga4_json(event)) + "\n" for event in GA4[:-1]))
    dataset = hup.prepare(path, map="ga4", out=tmp_path / "shop", shares=[1, 0, 0])
    assert dataset.levels == 3
    assert (dataset.users.to_pylist(), len(dataset.item)) == (["123.456"], 4)
