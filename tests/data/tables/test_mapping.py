"""Mappings from TOML: what is accepted, what is refused and how plainly."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.tables.mapping import Mapping, builtin_mappings, load_mapping, standard_mapping, to_toml
from hup.data.tables.mapping_rules import (
    BehaviorRules,
    CategoryRules,
    SequenceRules,
    TableMapping,
    TimestampRule,
    find_column,
)
from hup.errors import HupError

TABLE = {"user": "u", "item": "i", "timestamp": "t", "behavior": "b"}
SMALL = {"tables": TABLE, "categories": {"columns": ["c"]}}


def mapping(**changes) -> Mapping:
    return Mapping.validated({**SMALL, **changes})


def complaint(tree) -> str:
    with pytest.raises(HupError) as error:
        Mapping.validated(tree, "m.toml")
    return str(error.value)


# Reading


def test_plain_names_stand_for_columns():
    table = mapping().tables[0]
    assert table.user == ("u",)
    assert table.timestamp.column == ("t",)
    assert (table.timestamp.unit, table.timestamp.zone) == ("auto", "UTC")
    assert table.behavior.column == ("b",)
    assert mapping(tables=[{**TABLE, "user": ["u", "uid"]}]).tables[0].user == ("u", "uid")
    assert mapping(tables=[{**TABLE, "dwell": {"column": "d", "unit": "ms"}}]).tables[0].dwell.unit == "ms"


def test_file_is_read(tmp_path):
    path = tmp_path / "mapping.toml"
    path.write_text("\ufeff" + to_toml(mapping(name="mine")), encoding="utf-8")
    assert load_mapping(path) == load_mapping(str(path)) == mapping(name="mine")


@pytest.mark.parametrize("name", builtin_mappings())
def test_built_in_mappings_are_whole(name):
    built_in = load_mapping(name)
    assert built_in.name == name
    assert Mapping.validated(tomllib.loads(to_toml(built_in))) == built_in


def test_names_of_built_in_mappings():
    assert builtin_mappings() == [
        *("diginetica", "ga4", "ga4-flat", "matomo", "recbole", "rees46", "retailrocket", "segment", "shopify-orders"),
        *("snowplow", "taobao", "trivago", "woocommerce", "yoochoose"),
    ]


@pytest.mark.parametrize(
    ("tables", "sequence", "by"),
    [
        ([TABLE], {}, "gap"),
        ([{**TABLE, "session": "s"}], {}, "session"),
        ([{**TABLE, "session": "s"}], {"by": "user"}, "user"),
        ([{**TABLE, "session": "s", "match": "a*"}, TABLE], {}, "gap"),
    ],
)
def test_how_sequences_are_made(tables, sequence, by):
    assert mapping(tables=tables, sequence=sequence).sequence_by == by


def test_sequence_rules_may_be_overridden():
    changed = mapping(sequence={"window": 50}).with_sequence(by="user", last_events=10)
    assert (changed.sequence.by, changed.sequence.window, changed.sequence.last_events) == ("user", 50, 10)
    assert changed.tables == mapping().tables
    with pytest.raises(HupError, match=r"sequence options: sequence\.by is session, but tables\[0\] maps no session"):
        mapping().with_sequence(by="session")
    with pytest.raises(HupError, match="sequence options: sequence"):
        mapping().with_sequence(window=0)


def test_standard_mapping_knows_our_own_names():
    ours = standard_mapping(
        ["user", "session", "event_id", "timestamp", "item", "behavior", "category_1", "category_2"]
    )
    assert ours.categories.columns == ("category_1", "category_2")
    assert ours.tables[0].event_id == ("event_id",)
    assert ours.tables[0].dwell is None
    assert ours.sequence_by == "session"
    few = standard_mapping(["user", "timestamp", "item", "category_2"])
    assert few.categories.none
    assert few.tables[0].behavior.value == "event"
    assert standard_mapping(["user", "time", "item"]) is None
    assert standard_mapping(["timestamp", "item"]) is None


# Errors


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"tables": {**TABLE, "usr": "x"}}, "m.toml: there is no key tables[0].usr (nearest: user). Keys there: "),
        ({"tabls": [TABLE]}, "there is no key tabls (nearest: tables). Keys there: name, tables, "),
        (
            {"tables": {**TABLE, "timestamp": {"column": "t", "uint": "s"}}},
            "no key tables[0].timestamp.uint (nearest: unit)",
        ),
        ({"tables": {**TABLE, "timestamp": {"unit": "s"}}}, "key tables[0].timestamp.column is missing."),
        ({"tables": {"user": "u", "timestamp": "t", "behavior": "b"}}, "key tables[0].item is missing."),
        (
            {"categories": {"items": {"file": "f", "item": "i", "category": "c", "wher": {}}}},
            "no key categories.items.wher (nearest: where)",
        ),
        (
            {"tables": {**TABLE, "timestamp": {"column": "t", "unit": "hours"}}},
            "tables[0].timestamp.unit: Input should be 'auto', 's', 'ms', 'us', 'ns' or 'iso' (found 'hours').",
        ),
        (
            {"tables": {**TABLE, "timestamp": {"column": "t", "zone": "Berlin"}}},
            "'Berlin' is no time zone; expected a name such as UTC or Europe/Berlin.",
        ),
        ({"tables": {**TABLE, "item": ""}}, "tables[0].item[0]: String should have at least 1 character (found '')."),
        ({"tables": {**TABLE, "item": []}}, "tables[0].item: "),
        ({"tables": {**TABLE, "item": 5}}, "tables[0].item: Input should be a valid tuple (found 5)."),
        ({"tables": []}, "tables is empty, expected at least one table."),
        (
            {"tables": {**TABLE, "delimiter": "ß"}},
            "tables[0].delimiter: Delimiter 'ß' cannot separate fields.",
        ),
        (
            {"tables": {**TABLE, "encoding": "utf-16"}},
            "tables[0].encoding: Encoding 'utf-16' cannot be read; expected one in which a newline is one byte",
        ),
        (
            {"tables": {**TABLE, "behavior": {}}},
            'tables[0].behavior: expected a column, or {value = "view"} where every row is of one kind.',
        ),
        (
            {"tables": {**TABLE, "behavior": {"column": "b", "value": "v"}}},
            "tables[0].behavior: expected a column, or ",
        ),
        (
            {"tables": {"item": "i", "timestamp": "t", "behavior": "b"}},
            "tables[0]: neither user nor session is mapped, expected one or both.",
        ),
        ({"tables": [TABLE, TABLE]}, "2 of 2 tables have no match; expected at most one."),
        (
            {"tables": {**TABLE, "categorised": False}},
            "no table is categorised; expected one, or none = true under [categories].",
        ),
        (
            {"sequence": {"by": "session"}},
            "sequence.by is session, but tables[0] maps no session; map it, or choose another sequence.by.",
        ),
        (
            {"tables": {"session": "s", "item": "i", "timestamp": "t", "behavior": "b"}, "sequence": {"by": "user"}},
            "sequence.by is user, but tables[0] maps no user",
        ),
        (
            {"categories": None},
            "categories: Input should be a valid dictionary or instance of CategoryRules (found None).",
        ),
        ({"categories": {}}, "categories: expected exactly one of columns, column, items and none = true."),
        ({"categories": {"columns": ["a"], "none": True}}, "categories: expected exactly one of"),
        ({"categories": {"column": "a"}}, "categories: a delimiter is missing"),
        ({"categories": {"columns": ["a"], "delimiter": "."}}, "categories: delimiter is for a path in one column."),
        (
            {"categories": {"none": True, "finest_first": True}},
            "categories: finest_first is for a path with a delimiter.",
        ),
        (
            {"categories": {"columns": ["a"], "parents": {"file": "f", "category": "c", "parent": "p"}}},
            "categories: parents is for categories named in one column",
        ),
        (
            {"categories": {"items": {"file": "f", "item": "i"}}},
            "categories.items: expected one of category and columns.",
        ),
        (
            {"categories": {"columns": ["a"], "levels": True}},
            "categories.levels: Input should be a valid integer (found True).",
        ),
        (
            {"categories": {"columns": ["a"], "levels": 0}},
            "categories.levels: Input should be greater than or equal to 1 (found 0).",
        ),
        ({"sequence": {"idle_gap_minutes": 0}}, "sequence.idle_gap_minutes: Input should be greater than 0 (found 0"),
        ({"behaviors": {"keep": [1]}}, "behaviors.keep[0]: Input should be a valid string (found 1)."),
    ],
)
def test_wrong_keys_and_values_are_named(tree, sentence):
    assert sentence in complaint({**SMALL, **tree})


def test_missing_categories_are_explained():
    assert complaint({"tables": [TABLE]}) == (
        "m.toml: categories are missing; name their columns under [categories], or write there none = true."
    )


def test_every_wrong_key_is_told_once():
    lines = complaint({"tables": [{**TABLE, "usr": "x", "itm": "y"}], "categories": {"none": True}}).splitlines()
    assert len(lines) == 2


def test_unknown_mapping(tmp_path):
    with pytest.raises(
        HupError, match=r"There is no mapping 'rees64' \(nearest: rees46\)\. Built-in mappings: diginetica"
    ):
        load_mapping("rees64")
    with pytest.raises(HupError, match="There is no mapping"):
        load_mapping(tmp_path)


def test_file_that_is_no_mapping(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text("[tables\n")
    with pytest.raises(HupError, match=r"m\.toml: is no valid TOML: .*line 1"):
        load_mapping(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(HupError, match=r"m\.toml: cannot be read as text"):
        load_mapping(path)


# Columns


def test_columns_are_found():
    table = mapping(tables=[{**TABLE, "session": ["s", "sid"], "dwell": "d", "behavior": {"value": "x"}}]).tables[0]
    there = ["i", "t", "sid", "u", "d", "c", "more"]
    bound = table.bind(there, mapping().categories)
    assert (bound.session, bound.behavior, bound.categories) == ("sid", None, ("c",))
    assert table.resolve(there, mapping().categories) == ["u", "sid", "t", "i", "d", "c"]


def test_first_spelling_that_exists_wins():
    assert find_column(("a", "b"), ["b", "a"], "x") == "a"
    assert find_column(("a", "b"), ["b"], "x") == "b"


def test_missing_column_is_told_with_those_there_and_the_nearest():
    with pytest.raises(HupError) as error:
        mapping(tables=[{**TABLE, "item": "prodct_id"}]).tables[0].bind(
            ["product_id", "u", "t", "b", "c"], mapping().categories, "log.csv"
        )
    assert str(error.value) == (
        "log.csv: item: there is no column 'prodct_id' (nearest: product_id). Columns there: product_id, u, t, b, c."
    )


def test_a_table_may_lack_the_categories_of_others():
    tables = [{**TABLE, "match": "*clicks*"}, {**TABLE, "match": "*buys*", "categorised": False}]
    clicks, buys = mapping(tables=tables).tables
    with pytest.raises(HupError, match="category: there is no column 'c'"):
        clicks.bind(["u", "i", "t", "b"], mapping().categories)
    assert buys.bind(["u", "i", "t", "b"], mapping().categories).categories == ()


def test_examples_of_the_guide_are_mappings(root):
    guide = (root / "docs" / "event-tables.md").read_text(encoding="utf-8")
    examples = [tomllib.loads(text) for text in re.findall("```toml\n(.*?)```", guide, re.DOTALL)]
    assert len(examples) == 5
    for example in examples:
        Mapping.validated({**SMALL, **example}, "the guide")
    for name in builtin_mappings():
        assert f"`{name}`" in guide
    for section in (TableMapping, TimestampRule, CategoryRules, BehaviorRules, SequenceRules):
        for key in section.model_fields:
            assert f"`{key}`" in guide or f"\n{key} =" in guide or f"# {key} =" in guide or f".{key}]" in guide, key


# Writing


words = st.text(min_size=1, max_size=12)
columns = words | st.lists(words, min_size=1, max_size=3)


@st.composite
def mappings(draw):
    delimiters = st.sampled_from([",", "\t", "::", " ", "\x01"])

    def optional(**keys):
        return {key: draw(strategy) for key, strategy in keys.items() if draw(st.booleans())}

    table = {
        "item": draw(columns),
        "user": draw(columns),
        "session": draw(columns),
        "timestamp": draw(columns) if draw(st.booleans()) else {"column": draw(columns), **optional(
            unit=st.sampled_from(["s", "iso"]), zone=st.just("Asia/Tokyo"), offset=columns, offset_unit=st.just("s"))},
        "behavior": draw(columns) if draw(st.booleans()) else {"value": draw(words)},
        **optional(delimiter=delimiters, header=st.lists(words, max_size=3), match=words, event_id=columns,
                   dwell=columns, interval=st.fixed_dictionaries({"column": columns, "unit": st.just("ms")})),
    }  # fmt: skip
    side = {
        "file": draw(columns),
        "item": draw(columns),
        "category": draw(columns),
        "where": draw(st.dictionaries(words, words)),
    }
    categories = draw(st.sampled_from([
        {"columns": [draw(words)], "levels": 2},
        {"column": draw(columns), "delimiter": draw(words), "finest_first": draw(st.booleans())},
        {"items": side, "parents": {"file": draw(words), "category": draw(words), "parent": draw(words)}},
        {"none": True},
    ]))  # fmt: skip
    return {
        "tables": [table],
        "categories": categories,
        **optional(
            name=words,
            nulls=st.lists(st.text(max_size=5)),
            behaviors=st.fixed_dictionaries(
                {"keep": st.lists(words), "names": st.dictionaries(st.text(max_size=5), words)}
            ),
            sequence=st.fixed_dictionaries(
                {
                    "by": st.sampled_from(["gap", "user"]),
                    "idle_gap_minutes": st.floats(1e-3, 1e6),
                    "last_events": st.integers(2, 9),
                }
            ),
        ),
    }


@given(mappings())
def test_toml_and_json_read_back_as_the_same_mapping(tree):
    original = Mapping.validated(tree)
    assert Mapping.validated(tomllib.loads(to_toml(original))) == original
    assert Mapping.validated(json.loads(json.dumps(original.model_dump(mode="json")))) == original
