"""What `make serve-demo` plays: sessions of a log as if their users were in the shop now."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import subprocess
import sys

import pytest

SESSIONS = [
    [
        {"user": f"u{user}", "session": f"s{user}", "item": str(place), "timestamp": 100.0 * user + 7 * place}
        for place in range(length)
    ]
    for user, length in enumerate((4, 1, 5))
]


@pytest.fixture(scope="module")
def player(root):
    spec = importlib.util.spec_from_file_location("play_sessions", root / "scripts" / "play_sessions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_half_ends_now_with_its_times_between(player):
    before = player.begun(SESSIONS[2], now=1000.0)
    assert [event["item"] for event in before] == ["0", "1", "2"]
    assert [event["timestamp"] for event in before] == [985.0, 992.0, 999.0]
    assert {event["session"] for event in before} == {"s2-0"}
    assert SESSIONS[2][0]["timestamp"] == 200.0, "what was read stays as it is"


def test_what_is_live_goes_on_where_the_first_half_ended(player):
    played = list(itertools.islice(player.live(SESSIONS, at_once=2, longest_wait=4.0), 60))
    assert all(0 <= wait <= 4.0 for wait, _ in played)
    by_session: dict[str, list[str]] = {}
    for _, event in played:
        by_session.setdefault(event["session"], []).append(event["item"])
    assert by_session["s0-0"] == ["2", "3"], "two were posted before"
    assert by_session["s2-0"] == ["0", "1", "2", "3", "4"], "who comes later is played whole"
    assert by_session["s0-1"] == ["0", "1", "2", "3"], "and then all come again"


def test_a_service_that_is_not_there_is_said(player):
    with pytest.raises(SystemExit, match=r"http://127\.0\.0\.1:9 is not ready after 0 s"):
        player.wait_until_ready("http://127.0.0.1:9", 0)


def test_names_are_those_of_words_and_the_tree_stays(root, tmp_path):
    header = ["user", "session", "event_id", "timestamp", "item", "behavior", "category_1", "category_2", "category_3"]
    rows = [
        ["u", "s", str(place), "0", str(place), "Cart", str(place % 2), str(place % 5), str(place)]
        for place in range(70)
    ]
    with (tmp_path / "log.csv").open("w", newline="") as log:
        csv.writer(log).writerows([header, *rows])
    command = [
        sys.executable,
        root / "scripts" / "named_shop.py",
        "log.csv",
        "--log",
        "named.csv",
        "--items",
        "items.csv",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    named = list(csv.reader((tmp_path / "named.csv").open(newline="")))
    assert named[0] == header
    assert named[1][:6] == rows[0][:6]
    for level in range(3):
        pairs = {
            (tuple(old[6 : 7 + level]), tuple(new[6 : 7 + level])) for old, new in zip(rows, named[1:], strict=True)
        }
        assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs), "no two become one"
    assert named[1][6:] == ["Home", "Steel", "Kettles"]
    items = list(csv.DictReader((tmp_path / "items.csv").open(newline="")))
    assert len(items) == 70
    assert len({row["name"] for row in items}) > 60
    assert all(row["image"].startswith("data:image/svg+xml,%3Csvg") for row in items)


def test_make_runs_the_demo(root):
    done = subprocess.run(["make", "-n", "serve-demo"], cwd=root, capture_output=True, text=True, check=True)
    assert "scripts/serve-demo.sh demo/live" in done.stdout
