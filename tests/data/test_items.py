"""The columns of items that a dataset carries: which rows count, what becomes of the others, and how they are kept."""

from __future__ import annotations

import copy
import json
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hup
from hup.data.item_columns import ITEM_COLUMNS, KEY, ItemColumns, write_item_columns
from hup.data.progress import Progress
from hup.errors import HupError

EVENTS = pa.table(
    {
        "user": ["ann"] * 3 + ["bob"] * 3,
        "session": ["s1"] * 3 + ["s2"] * 3,
        "timestamp": [1_700_000_000 + place for place in range(6)],
        "item": ["lamp", "shoe", "hat", "shoe", "lamp", "shoe"],
        "behavior": ["view"] * 6,
    }
)
NEXT_DAY = EVENTS.set_column(2, "timestamp", pa.array([1_700_100_000 + place for place in range(6)])).set_column(
    3, "item", pa.array(["cap", "lamp", "cap", "lamp", "cap", "lamp"])
)
TABLE = pa.table({"sku": ["lamp", "shoe", "sock"], "name": ["Desk lamp", "Shoe", "Sock"], "price": [9.5, 70.0, 3.0]})


class Notes(Progress):
    def __init__(self):
        self.told = []

    def note(self, message):
        self.told.append(message)


def prepared(folder, items, events=EVENTS, **options):
    return hup.prepare(events, out=folder / "dataset", items=items, **options)


def rows(dataset):
    return {row.pop(KEY): row for row in dataset.item_columns.table.to_pylist()}


def rejects(dataset):
    return [
        (row["line"], row["reason"], row["effect"])
        for row in pq.read_table(dataset.path / "rejects.parquet").to_pylist()
    ]


# ---------------------------------------------------------------------- what is carried


def test_rows_are_carried_and_found(tmp_path):
    notes = Notes()
    dataset = prepared(tmp_path, TABLE, progress=notes)
    carried = hup.Dataset.open(dataset.path).item_columns
    assert carried.names == ("name", "price")
    assert dict(carried.of("lamp")) == {"name": "Desk lamp", "price": 9.5}
    assert dict(carried.of("sock"))["name"] == "Sock"  # in no session
    assert dict(carried.of("hat")) == {"name": None, "price": None}
    told = "Item columns name, price: for 2 of 3 items; rows of items in no session, kept for when they come: 1."
    assert told in notes.told
    assert not dataset.manifest.rejects.rows


def test_the_events_are_those_of_a_dataset_without_a_table(tmp_path):
    plain = hup.prepare(EVENTS, out=tmp_path / "plain")
    assert plain.item_columns is None
    assert plain.manifest.item_columns is None
    assert not (plain.path / ITEM_COLUMNS).exists()
    assert prepared(tmp_path, TABLE).fingerprint == plain.fingerprint


def test_the_format_does_not_matter(tmp_path):
    texts = TABLE.set_column(2, "price", pa.array(["9.5", "70.0", "3.0"]))
    files = {name: tmp_path / f"items.{name}" for name in ("parquet", "csv", "jsonl", "arrow")}
    pq.write_table(texts, files["parquet"])
    files["csv"].write_text(
        "\n".join(";".join(row) for row in [texts.column_names, *map(dict.values, texts.to_pylist())])
    )
    files["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in texts.to_pylist()))
    with pa.ipc.new_file(files["arrow"], texts.schema) as writer:
        writer.write_table(texts)
    made = [hup.prepare(EVENTS, out=tmp_path / name, items=path) for name, path in files.items()]
    made.append(hup.prepare(EVENTS, out=tmp_path / "memory", items=texts))
    assert {dataset.item_columns.info.digest for dataset in made} == {made[0].item_columns.info.digest}
    assert {(dataset.path / ITEM_COLUMNS).read_bytes() for dataset in made} == {
        (made[0].path / ITEM_COLUMNS).read_bytes()
    }


def test_types_and_what_is_no_value(tmp_path):
    table = pa.table(
        {
            "item": ["lamp", "shoe"],
            "whole": pa.array([1, None], pa.int16()),
            "single": pa.array([0.1, float("nan")], pa.float32()),
            "exact": pa.array([Decimal("1.50"), None], pa.decimal128(6, 2)),
            "sold": [True, False],
            "day": [date(2024, 5, 1), None],
            "moment": pa.array([datetime(2024, 5, 1, 12), None], pa.timestamp("ns", "UTC")),
            "tags": [["a", "b"], None],
            "maker": [{"name": "x"}, None],
            "picture": [b"\x89PNG", None],
            "text": [" as it is ", "null"],
        }
    )
    notes = Notes()
    dataset = prepared(tmp_path, table, progress=notes)
    assert rows(dataset) == {
        "lamp": {
            **{"whole": 1, "single": 0.1, "exact": Decimal("1.50"), "sold": True, "day": date(2024, 5, 1)},
            **{"moment": datetime(2024, 5, 1, 12), "tags": '["a","b"]', "maker": '{"name":"x"}', "text": " as it is "},
        },
        "shoe": {
            **{"whole": None, "single": None, "exact": None, "sold": False, "day": None, "moment": None},
            **{"tags": None, "maker": None, "text": None},
        },
    }
    assert any("bytes are not carried: picture" in told for told in notes.told)


def test_ids_are_read_as_those_of_the_log(tmp_path):
    events = EVENTS.set_column(3, "item", pa.array([7, 8, 9, 8, 7, 8]))
    assert set(rows(prepared(tmp_path, pa.table({"id": [7.0, 8.0], "name": ["a", "b"]}), events))) == {"7", "8"}


def test_files_of_unlike_types_fit_into_one_column(tmp_path):
    pq.write_table(pa.table({"item": ["lamp"], "size": [4], "price": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"item": ["shoe"], "size": ["XL"], "price": [1.5]}), tmp_path / "b.parquet")
    dataset = prepared(tmp_path, [tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert rows(dataset) == {"lamp": {"size": "4", "price": 1.0}, "shoe": {"size": "XL", "price": 1.5}}


def test_jd_lines_have_items_too(tmp_path):
    (tmp_path / "log.txt").write_text("lamp+1+a+1+1 shoe+1+a+1+1 lamp+1+a+1+1\n" * 4)
    dataset = hup.prepare(tmp_path / "log.txt", format="jd", out=tmp_path / "dataset", items=TABLE)
    assert dataset.item_columns.of("shoe")["price"] == 70


# ---------------------------------------------------------------------- rows that do not count


def test_bad_rows_are_listed_and_the_last_of_an_item_counts(tmp_path):
    table = pa.table(
        {
            "sku": ["lamp", "lamp", None, "lamp", "shoe", "shoe"],
            "name": ["Old", "Lamp", "Nobody", "Lamp", "Shoe", "Shoe"],
        }
    )
    dataset = prepared(tmp_path, table)
    assert rows(dataset) == {"lamp": {"name": "Lamp"}, "shoe": {"name": "Shoe"}}
    contradicted = "row of the items is not used: a later one says otherwise of its item"
    assert rejects(dataset) == [
        (1, contradicted, "noted"),
        (3, "row of the items cannot be used: item is missing", "noted"),
    ]
    assert dataset.manifest.rejects.by_reason == {
        "row of the items is not used": 1,
        "row of the items cannot be used": 1,
    }


def test_lines_that_do_not_parse_are_listed(tmp_path):
    (tmp_path / "items.csv").write_text("sku,name\nlamp,Lamp\nshoe\n\nhat,Hat,too much\n")
    dataset = prepared(tmp_path, tmp_path / "items.csv")
    assert rows(dataset) == {"lamp": {"name": "Lamp"}}
    assert [line for line, _reason, _effect in rejects(dataset)] == [3, 5]
    assert all("wrong number of fields" in reason for _line, reason, _effect in rejects(dataset))


def test_items_beyond_any_session_alone_are_told(tmp_path):
    notes = Notes()
    prepared(tmp_path, pa.table({"id": [1], "name": ["x"]}), progress=notes)
    assert any(
        "None of the log's 3 items is in the table of items, whose ids were taken from 'id'" in n for n in notes.told
    )


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        (
            TABLE.rename_columns(["what", "name", "price"]),
            {},
            "not called 'item', as in the log.*what, name.*items-key",
        ),
        (TABLE, {"items_key": "SKUs"}, "no column 'SKUs'. Did you mean 'sku'"),
        (None, {"items_key": "sku"}, "give that, too, by --items"),
        (TABLE.select(["sku"]), {}, "no column besides 'sku'"),
        (TABLE.set_column(0, "sku", pa.nulls(3, pa.string())), {}, "no row of the table of items can be used"),
        ("nowhere.csv", {}, "no file or folder nowhere.csv"),
        ("s3://bucket/items.parquet", {}, "add --engine spark"),
        (TABLE.append_column(KEY, pa.array([1, 2, 3])), {}, f"HUP uses the name '{KEY}' itself"),
        (TABLE.append_column("NAME", pa.array([1, 2, 3])), {}, "differ only in upper and lower case"),
        (7, {}, "of type int"),
    ],
)
def test_what_is_refused(items, options, message, tmp_path):
    with pytest.raises(HupError, match=message):
        prepared(tmp_path, items, **options)
    assert not (tmp_path / "dataset").exists()


# ---------------------------------------------------------------------- appending


def test_append_replaces_known_items_and_adds_new_ones(tmp_path):
    first = prepared(tmp_path, TABLE)
    new = pa.table({"item": ["lamp", "cap"], "price": [8, 5], "stock": [1, 2]})
    grown = hup.append(first.path, NEXT_DAY, items=new)
    assert rows(grown) == {
        "cap": {"price": 5.0, "stock": 2, "name": None},
        "lamp": {"price": 8.0, "stock": 1, "name": None},
        "shoe": {"price": 70.0, "stock": None, "name": "Shoe"},
        "sock": {"price": 3.0, "stock": None, "name": "Sock"},
    }


def test_append_keeps_what_is_known(tmp_path):
    first = prepared(tmp_path, TABLE)
    before = rows(first)
    assert rows(hup.append(first.path, NEXT_DAY)) == before


def test_a_table_may_come_first_with_an_append(tmp_path):
    hup.prepare(EVENTS, out=tmp_path / "dataset")
    assert hup.append(tmp_path / "dataset", NEXT_DAY, items=TABLE).item_columns.of("lamp")["price"] == 9.5


def test_items_alone_are_renewed(tmp_path):
    first = prepared(tmp_path, TABLE)
    notes = Notes()
    new = pa.table({"sku": ["lamp", None], "name": ["Lamp", "?"], "price": ["cheap", "?"]})
    renewed = hup.append(first.path, items=new, progress=notes)
    assert renewed.fingerprint == first.fingerprint
    assert renewed.manifest.counts == first.manifest.counts
    assert renewed.manifest.lineage == []
    assert rows(renewed)["lamp"] == {"name": "Lamp", "price": "cheap"}
    assert rows(renewed)["shoe"] == {"name": "Shoe", "price": "70.0"}
    assert "Item column 'price' held double and holds string now, as both tables have to fit in." in notes.told
    assert renewed.manifest.rejects.by_reason == {"row of the items cannot be used": 1}
    assert len(rejects(renewed)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset"]
    assert first.item_columns.of("lamp")["price"] == 9.5  # who has the old one open sees the old one


def test_what_fails_leaves_the_dataset_as_it_is(tmp_path):
    first = prepared(tmp_path, TABLE)
    with pytest.raises(HupError, match="no column besides"):
        hup.append(first.path, items=TABLE.select(["sku"]))
    assert rows(hup.Dataset.open(first.path)) == rows(first)


# ---------------------------------------------------------------------- the file


def test_a_folder_of_before_opens(tmp_path):
    path = hup.prepare(EVENTS, out=tmp_path / "dataset").path / "manifest.json"
    content = json.loads(path.read_text())
    del content["item_columns"]
    path.write_text(json.dumps(content))
    assert hup.Dataset.open(path.parent).item_columns is None


def test_a_file_that_is_another_one_is_told(tmp_path):
    dataset = prepared(tmp_path, TABLE)
    other = hup.prepare(EVENTS, out=tmp_path / "other", items=TABLE.slice(0, 1))
    (dataset.path / ITEM_COLUMNS).write_bytes((other.path / ITEM_COLUMNS).read_bytes())
    with pytest.raises(HupError, match="is not the file that was written with"):
        hup.Dataset.open(dataset.path)
    (dataset.path / ITEM_COLUMNS).write_bytes(b"half")
    with pytest.raises(HupError, match="does not read as an Arrow file"):
        hup.Dataset.open(dataset.path)
    (dataset.path / ITEM_COLUMNS).unlink()
    with pytest.raises(HupError, match=f"{ITEM_COLUMNS} is missing"):
        hup.Dataset.open(dataset.path)


@settings(max_examples=30)
@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), min_size=1, max_size=20))
def test_every_item_is_found_by_its_name(tmp_path_factory, names):
    """As text is ordered in Arrow, so it is in Python, whatever it is; and what is not there is not found."""
    folder = tmp_path_factory.mktemp("names")
    items = sorted(names)
    batch = pa.record_batch({KEY: items, "name": [f"n{place}" for place in range(len(items))]})
    info = write_item_columns(folder, lambda: iter([batch.slice(0, 3), batch.slice(3)]))
    carried = ItemColumns.open(folder, info)
    assert [carried.of(item)["name"] for item in items] == batch.column("name").to_pylist()
    assert carried.rows(pa.array(items)).to_pylist() == list(range(len(items)))
    for item in items:
        assert carried.row(item + "\0") in {None, *range(len(items))}
        assert item + "x" in names or carried.row(item + "x") is None
    assert carried.row("") is None


def test_a_copy_of_a_row_is_a_dictionary(tmp_path):
    row = prepared(tmp_path, TABLE).item_columns.of("lamp")
    assert copy.deepcopy(row) == {"name": "Desk lamp", "price": 9.5}
    assert type(copy.deepcopy(row)) is dict
    assert len(row) == 2
    assert repr(row) == "{'name': 'Desk lamp', 'price': 9.5}"
