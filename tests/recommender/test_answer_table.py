"""Answers as tables, dictionaries and lines."""

from __future__ import annotations

import builtins
import json
import pickle
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from hup.errors import HupError
from hup.recommender.recommendations import Origin, Recommendation, Recommendations

SCHEMA = pa.schema([("title", pa.string()), ("price", pa.decimal128(6, 2)), ("since", pa.date32())])


def answer(*, schema=SCHEMA, origin=None, level="item", n=3):
    items = [
        {"title": f"Item <{place}>", "price": Decimal("1.50"), "since": date(2024, 5, 1)} for place in range(n - 1)
    ]
    items.append(dict.fromkeys(SCHEMA.names))
    ranked = tuple(
        Recommendation(f"i{place}", 0.5, ("a", "b"), place == 0, origin, items[place] if schema is not None else {})
        for place in range(n)
    )
    return Recommendations(level, ranked, (), "probability", "", schema)


def test_an_arrow_table():
    table = answer(origin=Origin(0.5, 0.25, 0.25, 0, ())).to_arrow()
    assert table.column_names == ["rank", "name", "path", "score", "seen", "origin", "item"]
    first, *_, last = table.to_pylist()
    assert first["origin"] == {"repeat": 0.5, "memory": 0.25, "popularity": 0.25, "profile": 0.0}
    assert first["item"] == {"title": "Item <0>", "price": Decimal("1.50"), "since": date(2024, 5, 1)}
    assert set(last["item"].values()) == {None}
    assert answer().showing(["price"]).to_arrow().field("item").type == pa.struct([SCHEMA.field("price")])


def test_an_answer_of_nothing_has_the_same_columns():
    whole, empty = answer().to_arrow(), Recommendations("item", (), (), "score", "", SCHEMA).to_arrow()
    assert empty.schema == whole.schema
    assert empty.num_rows == 0


def test_a_data_frame():
    pytest.importorskip("pandas")
    frame = answer().to_frame()
    assert list(frame.columns) == ["rank", "name", "path", "score", "seen", "item.title", "item.price", "item.since"]
    assert frame["path"].tolist() == ["a > b"] * 3
    assert frame["item.title"].tolist()[:2] == ["Item <0>", "Item <1>"]
    with_origin = answer(origin=Origin(0.5, 0.25, 0.25, 0, ()), schema=None).to_frame()
    assert list(with_origin.columns)[5:] == ["origin.repeat", "origin.memory", "origin.popularity", "origin.profile"]


def test_without_pandas_is_told(monkeypatch):
    really = builtins.__import__

    def without(name, *rest, **named):
        if name == "pandas":
            raise ImportError(name)
        return really(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HupError, match=r"needs pandas, which is not installed\. Install it: pip install pandas"):
        answer().to_frame()


def test_a_dictionary_is_for_json():
    told = answer().to_dict()
    assert json.loads(json.dumps(told)) == told | {
        "ranked": [one | {"path": list(one["path"])} for one in told["ranked"]],
        "reasons": [],
    }
    assert told["ranked"][0]["item"] == {"title": "Item <0>", "price": 1.5, "since": "2024-05-01"}
    assert "item" not in answer(schema=None).to_dict()["ranked"][0]


def test_showing():
    assert answer().showing(["price"]).to_dict()["ranked"][0]["item"] == {"price": 1.5}
    assert answer().showing([]).to_arrow().column_names[-1] == "origin"
    assert answer(level="category_1", schema=None).showing(["price"]).item_schema is None
    with pytest.raises(HupError, match="no item column 'cost'"):
        answer().showing(["cost"])
    with pytest.raises(HupError, match="expected a list of item columns"):
        answer().showing("price")
    with pytest.raises(HupError, match="no table of items was given"):
        answer(schema=None).showing(["price"])


def test_equal_answers_are_equal_whatever_is_said_of_the_items():
    assert answer() == answer(schema=None)
    assert hash(answer().ranked[0]) == hash(answer(schema=None).ranked[0])
    assert pickle.loads(pickle.dumps(answer())).ranked[0].item["title"] == "Item <0>"


# ---------------------------------------------------------------------- for the eye


def test_lines_at_a_prompt():
    lines = repr(answer(n=12)).splitlines()
    assert lines[0] == "12 recommendations of level item"
    assert lines[1].split() == ["item", "probability", "categories", "title"]
    assert lines[2].split() == ["1", "i0", "0.500", "a", ">", "b", "Item", "<0>"]
    assert len(lines) == 13
    assert lines[-1] == "… and 2 more"
    assert repr(answer(n=12).showing(["price"])).splitlines()[1].split() == [*lines[1].split()[:-1], "price"]
    assert repr(Recommendations("item", (), (), "score", "Nothing is left.")).splitlines() == [
        "0 recommendations of level item",
        "Nothing is left.",
    ]


def test_ids_are_never_cut_and_titles_are():
    one = Recommendation("i" * 500, 0.5, (), False, None, {"title": "t" * 500})
    text = repr(Recommendations("item", (one,), (), "score", "", pa.schema([("title", pa.string())])))
    assert "i" * 500 in text
    assert "t" * 61 not in text


def test_a_table_in_a_notebook():
    html = answer()._repr_html_()
    assert html.startswith("<table><caption>3 recommendations of level item</caption>")
    assert "<td>Item &lt;0&gt;</td>" in html
