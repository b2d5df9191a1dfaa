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


def test_ga4_flat(tmp_path):
    start = 1_714_550_400
    header = "user_pseudo_id,event_timestamp,event_name,item_id,item_category,item_category2,item_category3"
    lines = [
        f"{header},item_category4,item_category5,ga_session_id",
        f"123.456,{start}000005,view_item,shirt,Apparel,Men,Shirts,,,100",
        f"123.456,{start + 2}000005,view_item_list,hat,,,,,,100",
        f"123.456,{start + 3}000005,purchase,(not set),,,,,,100",
        f"123.456,{start + 4}000005,purchase,bag,Bags,,,,,100",
    ]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    good, bad, left_out = read(tmp_path, "ga4-flat", tmp_path / "log.csv")
    assert good == [
        ("123.456", "100", start * 1000, "view_item", "shirt", path_of("Apparel", "Men", "Shirts")),
        ("123.456", "100", (start + 4) * 1000, "purchase", "bag", path_of("Bags")),
    ]
    assert (bad, left_out) == ([], {NOT_KEPT: 1, NO_ITEM: 1})


# Others


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SNOWPLOW = "com_snowplowanalytics_snowplow_ecommerce"


def snowplow_event(number, second, action, *products):
    return {
        "event_id": f"e-{number}",
        "domain_userid": "d1",
        "domain_sessionid": "s1",
        "collector_tstamp": f"2024-05-01 08:00:{second + 1:02d}.5",
        "derived_tstamp": f"2024-05-01 08:00:{second:02d}.5",
        f"unstruct_event_{SNOWPLOW}_snowplow_ecommerce_action_1": None if action is None else {"type": action},
        f"contexts_{SNOWPLOW}_product_1": [{"id": name, "category": path, "price": 5.0} for name, path in products],
    }


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_snowplow(tmp_path, ending):
    shoe, hat = ("shoe", "Woman/Shoes/Sneakers"), ("hat", None)
    events = [
        snowplow_event(1, 0, None),
        snowplow_event(2, 1, "list_view", shoe, hat),
        snowplow_event(3, 2, "product_view", shoe),
        snowplow_event(4, 3, "transaction", shoe, hat),
        snowplow_event(5, 4, "product_view"),
    ]
    path = write(tmp_path / f"events.{ending}", [*events, events[3]])
    start = 1_714_550_400_500
    good, bad, left_out = read(tmp_path, "snowplow", path)
    bought = [
        ("d1", "s1", start + 3000, "transaction", "shoe", "Woman/Shoes/Sneakers"),
        ("d1", "s1", start + 3000, "transaction", "hat", None),
    ]
    assert good == [("d1", "s1", start + 2000, "product_view", "shoe", "Woman/Shoes/Sneakers"), *bought, *bought]
    assert (bad, left_out) == ([], {NO_ELEMENT: 2, NOT_KEPT: 2})
    dataset = hup.prepare(path, map="snowplow", out=tmp_path / "shop", shares=[1, 0, 0])
    assert dataset.manifest.left_out["event id is repeated"] == 2, "each product of the event that was sent again"
    assert (len(dataset.item), dataset.levels) == (3, 3)


def test_segment(tmp_path):
    def call(number, event, type="track", **properties):
        return {
            "anonymousId": "a1",
            "userId": None,
            "messageId": f"m-{number}",
            "type": type,
            "event": event,
            "properties": {"url": "https://shop/x", **properties},
            "timestamp": f"2024-05-01T08:00:0{number}.250Z",
        }

    calls = [
        call(1, "Product Viewed", product_id="507", category="Games"),
        call(2, "Product Added", product_id="505"),
        call(3, "Product Added"),
        call(4, "Order Completed", products=[{"product_id": "507"}]),
        {**call(5, None, "page"), "event": None, "name": "Home"},
    ]
    good, bad, left_out = read(tmp_path, "segment", write(tmp_path / "log.jsonl", calls))
    start = 1_714_550_400_250
    assert good == [
        ("a1", None, start + 1000, "Product Viewed", "507", "Games"),
        ("a1", None, start + 2000, "Product Added", "505", None),
    ]
    assert (bad, left_out) == ([], {NO_ITEM: 2, NOT_KEPT: 1})
    assert load_mapping("segment").sequence_by == "gap"


def test_matomo(tmp_path):
    def action(second, type="action", **more):
        return {"type": type, "url": "https://shop/x", "timestamp": 1_714_550_400 + second, **more}

    order = {"orderId": "9", "itemDetails": [{"itemSKU": "shoe", "itemName": "Shoe", "quantity": 1}]}
    visits = [
        {
            "idVisit": "17",
            "visitorId": "c0ffee",
            "actionDetails": [
                action(0),
                action(5, productViewSku="shoe", productViewName="Shoe", productViewCategories=["Shoes", "Sale"]),
                action(9, productViewSku="hat", productViewName="Hat"),
                action(20, "ecommerceOrder", **order),
            ],
        },
        {"idVisit": "18", "visitorId": "beef", "actionDetails": []},
    ]
    good, bad, left_out = read(tmp_path, "matomo", write(tmp_path / "visits.jsonl", visits))
    start = 1_714_550_400_000
    assert good == [
        ("c0ffee", "17", start + 5000, "view", "shoe", "Shoes"),
        ("c0ffee", "17", start + 9000, "view", "hat", None),
    ]
    assert (bad, left_out) == ([], {NOT_KEPT: 1, NO_ITEM: 1, NO_ELEMENT: 1})


def test_shopify_orders(tmp_path):
    header = "Name,Email,Financial Status,Paid at,Total,Created at,Lineitem quantity,Lineitem name,Lineitem sku,Vendor"
    lines = [
        header,
        "#1001,ann@example.org,paid,2024-05-01 10:00:05 +0200,50,2024-05-01 10:00:00 +0200,1,Shirt - M,,Acme",
        "#1001,ann@example.org,,,,2024-05-01 10:00:00 +0200,2,Hat,H-1,Acme",
        "#1002,,paid,2024-05-02 10:00:05 +0200,50,2024-05-02 10:00:00 +0200,1,Hat,H-1,Acme",
    ]
    (tmp_path / "orders_export.csv").write_text("\n".join(lines))
    good, bad, _ = read(tmp_path, "shopify-orders", tmp_path / "orders_export.csv")
    assert good == [
        ("ann@example.org", None, 1_714_550_400_000, "buy", "Shirt - M", None),
        ("ann@example.org", None, 1_714_550_400_000, "buy", "Hat", None),
    ]
    assert bad == [(4, "user is missing")]


def test_woocommerce(tmp_path):
    def order(status, email, *products):
        items = [{"id": 300 + number, "name": f"P{number}", "product_id": number, "quantity": 1} for number in products]
        return {
            **{"id": 727, "status": status, "date_created": "2024-05-01T10:00:00", "customer_id": 0},
            **{"date_created_gmt": "2024-05-01T08:00:00", "billing": {"email": email}, "line_items": items},
        }

    orders = [order("completed", "ann@example.org", 93, 22), order("failed", "bob@example.org", 93)]
    orders.append(order("processing", "bob@example.org"))
    good, bad, left_out = read(tmp_path, "woocommerce", write(tmp_path / "orders.jsonl", orders))
    assert good == [("ann@example.org", None, 1_714_550_400_000, "buy", item, None) for item in ("93", "22")]
    assert (bad, left_out) == ([], {NOT_KEPT: 1, NO_ELEMENT: 1})


def test_recbole(tmp_path):
    lines = [
        "user_id:token\titem_id:token\trating:float\ttimestamp:float",
        "1\t1193\t5\t978300760.0",
        "1\tx\t3\t978302109",
    ]
    (tmp_path / "ml.inter").write_text("\n".join(lines))
    good, bad, _ = read(tmp_path, "recbole", tmp_path / "ml.inter")
    assert good == [
        ("1", None, 978_300_760_000, "view", "1193", None),
        ("1", None, 978_302_109_000, "view", "x", None),
    ]
    assert bad == []
    (tmp_path / "clicks.inter").write_text("session_id:token\titem_id:token\ttimestamp:float\n7\tx\t978300760")
    good, _, _ = read(tmp_path, "recbole", tmp_path / "clicks.inter")
    assert good == [("7", None, 978_300_760_000, "view", "x", None)]
