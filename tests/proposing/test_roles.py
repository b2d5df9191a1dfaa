"""Which columns are no items, users, event ids or categories, whatever their names; and what is said of the others."""

from __future__ import annotations

import datetime as dt
import tomllib

import pyarrow as pa
import pytest

from hup.data.tables.mapping import Mapping
from hup.proposing.propose import propose_mapping
from hup.proposing.toml import proposal_toml

N = 40


def table(**columns) -> pa.Table:
    """A log of N rows with other, or more, columns; None: without this one."""
    plain = {
        "user_id": lambda n: f"u{n % 7}",
        "item_id": lambda n: f"i{n % 9}",
        "event_time": lambda n: 1_700_000_000 + n,
        "category": lambda n: f"c{n % 3}",
    }
    made = {**plain, **columns}
    return pa.table({name: [make(n) for n in range(N)] for name, make in made.items() if make is not None})


def found(proposal) -> dict[str, tuple[str, ...]]:
    return {choice.role: choice.columns for choice in proposal.choices if choice.columns}


def toml(proposal) -> Mapping:
    return Mapping.validated(tomllib.loads(proposal_toml(proposal, "log.csv", "hup validate")))


ODD = {
    "mostly missing": (lambda n: "x" if n == 1 else ("y" if n == 2 else None), r"95% of its values are missing"),
    "text for nothing": (lambda n: f"x{n}" if n < 3 else "(not set)", r"92% of its values are missing"),
    "all alike": (lambda n: "shop", "all values are alike"),
    "JSON": (lambda n: f'{{"a": {n}}}', "it holds JSON"),
    "IPv4": (lambda n: f"10.0.0.{n}", "it holds IP addresses"),
    "IPv6": (lambda n: f"2001:db8::8a2e:370:{n:x}", "it holds IP addresses"),
    "devices": (lambda n: ["mobile", "desktop", "Tablet"][n % 3], "it holds devices"),
    "user agents": (lambda n: f"Mozilla/5.0 (X11; Linux) {n}", "it holds devices"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    ("role", "name", "better"),
    [("item", "item_id", "page"), ("user", "user_id", "client_id"), ("event_id", "event_id", None)],
)
def test_columns_that_tell_nothing_apart_have_no_role(kind, role, name, better):
    make, why = ODD[kind]
    more = {} if better is None else {better: lambda n: f"v{n % 11}"}
    proposal = propose_mapping(table(**{name: make, **more}))
    assert found(proposal).get(role) == (None if better is None else (better,))
    assert [remark for remark in proposal.remarks if remark.startswith(f"{name}: not taken for the {role}, as {why}")]


@pytest.mark.parametrize("kind", ODD)
def test_such_columns_are_no_categories(kind):
    assert "categories" not in found(propose_mapping(table(category=ODD[kind][0])))


def test_the_missing_share_of_each_column_is_told():
    proposal = propose_mapping(table(category=lambda n: f"c{n % 3}" if n % 4 else None))
    shares = {choice.role: choice.missing for choice in proposal.choices}
    assert (shares["item"], shares["categories"], shares["session"]) == ((0.0,), (0.25,), ())


@pytest.mark.parametrize("first", ["item_category", "item_category1"])
@pytest.mark.parametrize("separator", ["", "_", "-", " "])
def test_numbered_categories_with_and_without_separators_and_a_first_number(first, separator):
    names = [first, f"item_category{separator}2", f"item_category{separator}3"]
    sizes = [2, 4, 3]  # of the finest level there are fewer, as paths stop early
    levels = {
        name: lambda n, size=size, level=level: f"{level}-{n % size}" if level < 2 or n % 2 else None
        for level, (name, size) in enumerate(zip(names, sizes, strict=True))
    }
    proposal = propose_mapping(table(category=None, **levels))
    assert found(proposal)["categories"] == tuple(names)
    assert found(proposal)["item"] == ("item_id",)


def test_whole_floats_are_ids_and_the_mapping_says_so():
    given = table(item_id=lambda n: f"{489 + n % 9}.0", category=lambda n: f"{n % 3}.0")
    proposal = propose_mapping(given)
    assert toml(proposal).tables[0].whole_ids == ("item_id", "category")
    assert any(remark.startswith("item_id, category: ids written as 13085.0") for remark in proposal.remarks)
    floats = given.set_column(1, "item_id", pa.array([489.0 + n for n in range(N)]))
    assert toml(propose_mapping(floats)).tables[0].whole_ids == ("category",), "in Parquet they are read so anyway"


# Times in an order of their own


def test_an_order_that_all_rows_agree_with_is_proposed():
    proposal = propose_mapping(table(event_time=lambda n: f"12/{n % 28 + 1}/09 7:45"))
    assert found(proposal)["timestamp"] == ("event_time",)
    rule = toml(proposal).tables[0].timestamp
    assert (rule.format, rule.unit, rule.zone) == ("%m/%d/%y %H:%M", "auto", "UTC")
    assert any("name no zone" in remark for remark in proposal.remarks)


def test_an_order_that_rows_do_not_tell_is_asked_about():
    proposal = propose_mapping(table(event_time=lambda n: f"{n % 12 + 1:02d}.05.2024 09:00"))
    assert proposal.mapping is None
    choice = next(choice for choice in proposal.choices if choice.role == "timestamp")
    assert choice.columns == ()
    assert '01.05.2024 09:00 is 1 May 2024 (format = "%d.%m.%Y %H:%M") or 5 January 2024' in choice.why
    text = proposal_toml(proposal, "log.csv", "hup validate")
    for format in ("%d.%m.%Y %H:%M", "%m.%d.%Y %H:%M"):
        line = f'# timestamp = {{ column = "event_time", format = "{format}", zone = "UTC" }}'
        assert line in text.splitlines()
        chosen = Mapping.validated(tomllib.loads(text.replace(line, line.removeprefix("# "))))
        assert chosen.tables[0].timestamp.format == format


@pytest.mark.parametrize("as_time", [False, True])
def test_a_date_of_any_order_and_a_time_of_day(as_time):
    def time(n):
        return dt.time(9, n) if as_time else f"9:{n:02d}:00"

    dates = table(event_time=None, Date=lambda n: f"{n % 28 + 1}.05.2024", Time=time)
    rule = toml(propose_mapping(dates)).tables[0].timestamp
    assert (rule.column, rule.time, rule.format) == (("Date",), ("Time",), "%d.%m.%Y %H:%M:%S")


def test_a_date_as_a_number_is_taken_by_its_name_alone():
    days = table(event_time=None, event_date=lambda n: 20_240_501 + n % 9)
    assert toml(propose_mapping(days)).tables[0].timestamp.format == "%Y%m%d"
    assert "timestamp" not in found(propose_mapping(table(event_time=None, number=lambda n: 20_240_501 + n % 9)))
