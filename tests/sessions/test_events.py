from __future__ import annotations

import json

import pytest

from hup.errors import HupError
from hup.sessions.events import Event, events_from_jd, events_from_jsonl, in_time_order


def test_a_mapping_becomes_an_event():
    event = Event.of({"item": 42, "behavior": "Cart", "timestamp": 3, "categories": ["shop", "tv"], "user": "u"})
    assert event == Event("42", "Cart", 3.0, ("shop", "tv"))
    assert Event.of(event) is event


def test_numbers_as_text_are_numbers():
    event = Event.of({"item": "a", "behavior": 1, "interval": "2.5", "dwell": "0", "timestamp": "-1e3"})
    assert (event.behavior, event.interval, event.dwell, event.timestamp) == ("1", 2.5, 0.0, -1000.0)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({}, ()),
        ({"categories": None}, ()),
        ({"categories": "tv"}, ("tv",)),
        ({"categories": ("shop", 7)}, ("shop", "7")),
        ({"category_2": "tv", "category_1": "shop"}, ("shop", "tv")),
        ({f"category_{k}": k for k in range(11, 0, -1)}, tuple(map(str, range(1, 12)))),
        ({"category_1": "shop", "category_2": None, "category_3": ""}, ("shop",)),
        ({"category_1": None}, ()),
        ({"categories": ["shop", None]}, ("shop",)),
    ],
)
def test_the_category_path(keys, path):
    assert Event.of({"item": "a", "behavior": "1", **keys}).categories == path


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("a", "expected an object with item and behavior, found 'a'"),
        ({"behavior": "1"}, "key 'item' is missing or empty"),
        ({"item": "a", "behavior": ""}, "key 'behavior' is missing or empty"),
        ({"item": "a", "behavior": None}, "key 'behavior' is missing or empty"),
        ({"item": ["a"], "behavior": "1"}, r"key 'item' is \['a'\], expected text or a whole number"),
        ({"item": float("nan"), "behavior": "1"}, "key 'item' is nan, expected text or a whole number"),
        ({"item": "a", "behavior": True}, "key 'behavior' is True, expected text or a whole number"),
        ({"item": "a", "behavior": "1", "time": 3}, r"unknown key 'time'\. Keys: behavior, .*timestamp"),
        ({"item": "a", "behavior": "1", "category_0": "x"}, "unknown key 'category_0'"),
        ({"item": "a", "behavior": "1", "category_²": "x"}, "unknown key 'category_²'"),
        ({"item": "a", "behavior": "1", 3: "x", "time": 3}, r"unknown key 3"),
        ({"item": "a", "behavior": "1", "interval": -1}, "key 'interval' is -1, expected seconds, 0 or more"),
        ({"item": "a", "behavior": "1", "dwell": "long"}, "key 'dwell' is 'long', expected seconds, 0 or more"),
        ({"item": "a", "behavior": "1", "dwell": ""}, "key 'dwell' is '', expected seconds"),
        (
            {"item": "a", "behavior": "1", "timestamp": "2026-01-01"},
            "key 'timestamp' is '2026-01-01', expected a number",
        ),
        ({"item": "a", "behavior": "1", "timestamp": float("nan")}, "key 'timestamp' is nan"),
        ({"item": "a", "behavior": "1", "interval": float("inf")}, "key 'interval' is inf"),
        ({"item": "a", "behavior": "1", "interval": [1]}, r"key 'interval' is \[1\]"),
        ({"item": "a", "behavior": "1", "timestamp": 1_700_000_000_000}, "key 'timestamp' .* milliseconds"),
        ({"item": "a", "behavior": "1", "timestamp": 10**400}, "key 'timestamp' is 1000"),
        ({"item": "a", "behavior": "1", "dwell": 1e39}, "key 'dwell' is 1e\\+39"),
        ({"item": "a", "behavior": "1", "categories": 5}, "key 'categories' is 5, expected a list"),
        ({"item": "a", "behavior": "1", "categories": [["tv"]]}, r"key 'category_1' is \['tv'\], expected text"),
        ({"item": "a", "behavior": "1", "categories": [None, "tv"]}, "category_1 is missing, but category_2 is there"),
        ({"item": "a", "behavior": "1", "category_2": "tv"}, "category_1 is missing, but category_2 is there"),
        ({"item": "a", "behavior": "1", "category_1": "b", "categories": ["a"]}, "both categories and category_1"),
    ],
)
def test_what_is_wrong_is_told(event, message):
    with pytest.raises(HupError, match=f"^here: .*{message}"):
        Event.of(event, "here")


def test_a_jd_line():
    events = events_from_jd("\n 7+5+shop/tv+33+6  b+Home2Product++0.5+0 \r\n\n")
    assert events == [
        Event("7", "5", None, ("shop", "tv"), 33.0, 6.0),
        Event("b", "Home2Product", None, (), 0.5, 0.0),
    ]
    assert events_from_jd(" \n\r\n") == events_from_jd("") == []


def test_only_blanks_part_jd_tokens():
    """As in `hup prepare`: other white space may be part of a name."""
    (event,) = events_from_jd("a\u00a0b\u2028c+5+x+1+1")
    assert event.item == "a\u00a0b\u2028c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a+1+c+1+1\n\nb+1+c+1+1\n", r"^log: expected one session, so one line; line 3 holds another one"),
        ("\na+1+c+1+1 a+1+c+1", r"^log, line 2, token 'a\+1\+c\+1': 4 fields, expected item\+behavior\+category"),
        ("a+1+c+1+1+1", r"^log, line 1, token 'a\+1\+c\+1\+1\+1': 6 fields"),
        ("+1+c+1+1", r"^log, line 1, token '\+1\+c\+1\+1': key 'item' is missing or empty"),
        ("a++c+1+1", "key 'behavior' is missing or empty"),
        ("a+1+c++1", "token 'a\\+1\\+c\\+\\+1': key 'interval' is ''"),
        ("a+1+c+1+-2", "key 'dwell' is '-2', expected seconds, 0 or more"),
    ],
)
def test_a_wrong_jd_line_is_told(text, message):
    with pytest.raises(HupError, match=message):
        events_from_jd(text, "log")


def test_json_lines():
    rows = [
        {"item": "a\u2028b", "behavior": "1", "timestamp": 5, "categories": ["x"]},  # JSON need not escape U+2028
        {"item": "c", "behavior": "2", "timestamp": 5},
    ]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\r\n"
    assert events_from_jsonl(text) == [Event("a\u2028b", "1", 5.0, ("x",)), Event("c", "2", 5.0)]
    assert events_from_jsonl("\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"item": "a", "behavior": "1"}\n\n{"item": ', r"^log, line 3: not JSON \("),
        ('["a", "1"]', r"^log, line 1: expected an object"),
        ('{"item": "a"}', r"^log, line 1: key 'behavior' is missing"),
        ('{"item": "a", "behavior": "1", "dwell": NaN}', r"^log, line 1: key 'dwell' is nan"),
    ],
)
def test_a_wrong_json_line_is_told(text, message):
    with pytest.raises(HupError, match=message):
        events_from_jsonl(text, "log")


def test_time_never_goes_back():
    def at(*times: float | None) -> list[Event]:
        return [Event("a", "1", time) for time in times]

    assert in_time_order(at(1, None, 1, 2), "log") == at(1, None, 1, 2)
    with pytest.raises(HupError, match=r"^log: event 3 is older than the one before it"):
        in_time_order(at(2, None, 1), "log")
    text = "\n".join(json.dumps({"item": "a", "behavior": "1", "timestamp": time}) for time in (1, 0))
    with pytest.raises(HupError, match=r"^log: event 2 is older"):
        events_from_jsonl(text, "log")


def test_an_event_made_directly_is_tidied_like_one_from_a_mapping():
    made = Event(17, 5, "12.5", ["a", 3], interval=4)
    assert made == Event("17", "5", 12.5, ("a", "3"), interval=4.0)
    assert hash(made)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"categories": "123"}, "'categories'"),
        ({"item": ""}, "'item' is empty"),
        ({"item": 1.5}, "text or a whole number"),
        ({"timestamp": True}, "a number of seconds"),
    ],
)
def test_an_event_made_directly_is_checked(values, message):
    with pytest.raises(HupError, match=message):
        Event(**{"item": "1", "behavior": "1", **values})
