"""``hup recommend`` on sessions as people hand them in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hup.cli import app

# As in the shop of conftest.py.
TV0, TV1, CUP = "screens/tv0", "screens/tv1", "kitchen/cups"
SESSION = f"tv2+1+{TV0}+5+10 tv2+6+{TV0}+5+10 cup1+1+{CUP}+3+3 tv1+1+{TV1}+2+9 tv1+9+{TV1}+7+9\n"
N_ITEMS = 10


def run(*arguments: object, stdin: str | bytes | None = None):
    runner = CliRunner(env={"COLUMNS": "100"})
    return runner.invoke(app, ["recommend", *map(str, arguments)], input=stdin)


@pytest.fixture
def ask(shop, tmp_path):
    """Write a session to a file and recommend for it; a failure's message has no traceback."""

    def ask(session: str | bytes, *arguments: object):
        path = tmp_path / "session.txt"
        path.write_bytes(session if isinstance(session, bytes) else session.encode())
        done = run(shop / "model", "--session", path, *arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return ask


@pytest.fixture
def answer(ask):
    """The same, as JSON."""

    def answer(session: str | bytes, *arguments: object) -> dict:
        done = ask(session, *arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return answer


def names(answer: dict) -> list[str]:
    return [row["name"] for row in answer["ranked"]]


# ---------------------------------------------------------------------- what comes out


def test_the_table(ask, answer):
    done = ask(SESSION, "-k", 3)
    assert done.exit_code == 0
    assert done.stderr == ""
    assert "Recommendations, level item" in done.stdout
    for heading in ("rank", "item", "categories", "cosine", "in session"):
        assert heading in done.stdout
    for place, row in enumerate(answer(SESSION, "-k", 3)["item"]["ranked"], 1):
        (line,) = [line for line in done.stdout.splitlines() if line.split()[:2] == [str(place), row["name"]]]
        cells = re.split(" {2,}", line.strip())
        expected = [
            str(place),
            row["name"],
            " > ".join(row["path"]),
            f"{row['score']:.3f}",
            "yes" if row["seen"] else "",
        ]
        assert cells == [cell for cell in expected if cell]
    assert "Attention of this level in the session: " in done.stdout


@pytest.mark.slow
def test_ids_are_never_cut(shop, ask, tmp_path):
    """In a pipe each stands in one piece; on a terminal it may go on in the next line."""
    name = "SKU-2024-SUMMER-COLLECTION-DRESS-FLORAL-" + "0" * 200
    session = f"{name}1+1+{TV0}+5+10 {name}2+1+{TV0}+5+10 tv1+1+{TV1}+5+10"
    assert "…" not in ask(session, "-k", 99).stdout
    (tmp_path / "long.txt").write_text(session)
    command = [sys.executable, "-m", "hup", "recommend", shop / "model", "--session", tmp_path / "long.txt", "-k", "99"]
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    rows = [line.split() for line in done.stdout.splitlines() if name in line]
    found = [row[1] for row in rows if row[0].isdigit()]
    assert sorted(found) == [f"{name}1", f"{name}2"]
    assert done.stderr == ""


def test_json(answer):
    found = answer(SESSION)
    assert list(found) == ["item"]
    item = found["item"]
    assert item.keys() == {"level", "ranked", "reasons", "basis", "note"}
    assert (item["level"], item["basis"]) == ("item", "profile")
    scores = [row["score"] for row in item["ranked"]]
    assert scores == sorted(scores, reverse=True)
    assert all(-1.001 <= score <= 1.001 for score in scores)
    assert {row["name"]: row["path"] for row in item["ranked"]}["tv2"] == ["screens", "tv0"]
    assert sum(reason["weight"] for reason in item["reasons"]) == pytest.approx(1, abs=1e-5)
    assert {reason["name"] for reason in item["reasons"]} == {"tv2", "cup1", "tv1"}


def test_all_levels(ask, answer):
    found = answer(SESSION, "--level", "all", "-k", 2)
    assert list(found) == ["item", "category_2", "category_1"]
    assert [len(found[level]["ranked"]) for level in found] == [2, 2, 2]
    assert set(names(found["category_1"])) == {"screens", "kitchen"}
    table = ask(SESSION, "--level", "all").stdout
    assert [f"level {level}" in table for level in found] == [True] * 3


def test_one_category_level(answer):
    found = answer(SESSION, "--level", "category_2")["category_2"]
    assert sorted(map(tuple, (row["path"] for row in found["ranked"]))) == [
        ("kitchen", "cups"),
        ("screens", "tv0"),
        ("screens", "tv1"),
    ]
    assert all(row["seen"] for row in found["ranked"])


def test_more_than_there_are(answer):
    """All of the catalogue but the item that the user is on; 20 without -k."""
    found = answer(SESSION, "-k", 1000)["item"]
    assert len(names(found)) == len(set(names(found))) == N_ITEMS - 1
    assert "tv1" not in names(found)
    assert names(answer(SESSION)["item"]) == names(found)
    assert {row["name"] for row in found["ranked"] if row["seen"]} == {"tv2", "cup1"}


# ---------------------------------------------------------------------- what the model does not know


def test_unknown_items_behaviors_and_categories(answer):
    session = f"new+1+{CUP}+5+10 odd+Dance+garden/rakes+5+10 tv1+99+{TV1}+5+10 bare+1++5+10 last+1+{CUP}/deeper+1+1"
    found = answer(session, "--level", "all", "-k", 99)
    assert {"new", "odd", "bare", "tv1"} <= set(names(found["item"]))
    assert "last" not in names(found["item"])
    rows = {row["name"]: row for row in found["item"]["ranked"]}
    assert {name for name, row in rows.items() if row["seen"]} == {"new", "odd", "bare", "tv1"}
    assert rows["odd"]["path"] == ["garden", "rakes"]
    assert rows["bare"]["path"] == ["(none)", "(none)"]
    assert set(names(found["category_1"])) == {"screens", "kitchen", "garden"}
    assert set(names(found["category_2"])) == {"tv0", "tv1", "cups", "rakes"}
    assert {row["name"] for row in found["category_2"]["ranked"] if row["seen"]} == {"cups", "rakes", "tv1"}


def test_names_with_markup_are_names(ask):
    done = ask(f"[/bold]+1+[red]/x+5+10 tv1+1+{TV1}+5+10", "-k", 99)
    assert done.exit_code == 0, done.output
    assert "[/bold]" in done.stdout
    assert "[red] > x" in done.stdout


@pytest.mark.parametrize("nothing", ["", "\n", " \r\n\n"])
def test_an_empty_session_gets_popularity_and_says_so(ask, answer, nothing):
    done = ask(nothing)
    assert done.exit_code == 0
    assert "The session is empty" in done.stderr
    assert "popular" in done.stderr
    assert "share" in done.stdout
    assert "cosine" not in done.stdout
    found = answer(nothing, "-k", 99)["item"]
    assert (found["basis"], found["reasons"]) == ("popularity", [])
    assert names(found)[0] == "tv0"
    assert len(names(found)) == N_ITEMS
    assert sum(row["score"] for row in found["ranked"]) == pytest.approx(1)


# ---------------------------------------------------------------------- what goes in


def test_standard_input(shop, answer):
    done = run(shop / "model", "--session", "-", "--json", stdin=SESSION)
    assert json.loads(done.stdout) == answer(SESSION)
    failed = run(shop / "model", "--session", "-", stdin="tv1+1")
    assert failed.exit_code == 1
    assert "Error: standard input, line 1, token 'tv1+1': 2 fields" in failed.stderr


def test_a_byte_order_mark_is_no_part_of_the_first_item(answer):
    assert answer(b"\xef\xbb\xbf" + SESSION.encode()) == answer(SESSION)


def jsonl(*events: dict) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_json_lines(answer):
    """A JD line says the same as JSON lines without timestamps."""
    events = []
    for token in SESSION.split():
        item, behavior, path, interval, dwell = token.split("+")
        shared = {"item": item, "behavior": behavior, "interval": float(interval), "dwell": float(dwell)}
        first, second = path.split("/")
        events.append(
            shared
            | ({"categories": path.split("/")} if len(events) % 2 else {"category_1": first, "category_2": second})
        )
    assert answer(jsonl(*events), "--format", "jsonl") == answer(SESSION)


def test_the_clock(answer):
    """Without --now the open event's time is not known; with it, it counts, and the same time gives the same answer."""
    session = jsonl(
        {"item": "tv2", "behavior": "1", "timestamp": 1000},
        {"item": "tv1", "behavior": "1", "timestamp": 1060.5},
    )
    shifted = session.replace("1000", "5000").replace("1060.5", "5060.5")
    options = ("--format", "jsonl")

    def scores(session: str, *more: object) -> list[float]:
        return [row["score"] for row in answer(session, *options, *more)["item"]["ranked"]]

    late = scores(session, "--now", 1960)
    assert late != scores(session)
    assert late != scores(session, "--now", 1061)
    assert late == scores(shifted, "--now", 5960)


# ---------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("session", "options", "message"),
    [
        (SESSION + "\n" + SESSION, (), "session.txt: expected one session, so one line; line 3 holds another one."),
        (f"tv1+1+{TV1}+5+10 tv2+1+{TV0}+5", (), "session.txt, line 1, token 'tv2+1+screens/tv0+5': 4 fields, expected"),
        (f"\ntv1+1+{TV1}+five+10", (), "line 2, token 'tv1+1+screens/tv1+five+10': key 'interval' is 'five'"),
        (f"tv1+1+{TV1}+5+-1", (), "key 'dwell' is '-1', expected seconds, 0 or more"),
        (f"tv1+1+{TV1}+5+1e39", (), "key 'dwell' is '1e39', expected seconds"),
        (f"++{TV1}+5+1", (), "key 'item' is missing or empty"),
        (jsonl({"item": "tv1", "behavior": "1"}), (), "line 1, token"),
        (SESSION, ("--format", "jsonl"), "session.txt, line 1: not JSON ("),
        ('{"item": "tv1"', ("--format", "jsonl"), "session.txt, line 1: not JSON ("),
        ("\n[1]\n", ("--format", "jsonl"), "session.txt, line 2: expected an object with item and behavior, found [1]"),
        (jsonl({"item": "tv1"}), ("--format", "jsonl"), "session.txt, line 1: key 'behavior' is missing or empty."),
        (
            jsonl({"item": "a", "behaviour": "1"}),
            ("--format", "jsonl"),
            "line 1: unknown key 'behaviour'. Keys: behavior, ",
        ),
        (
            jsonl({"item": "a", "behavior": "1", "timestamp": 2}, {"item": "b", "behavior": "1", "timestamp": 1}),
            ("--format", "jsonl"),
            "session.txt: event 2 is older than the one before it; sort them, oldest first.",
        ),
        (SESSION, ("--level", "category_3"), "no level 'category_3'; its levels are: item, category_2, category_1."),
        (SESSION, ("--level", "brand"), "no level 'brand'; its levels are: item, category_2, category_1."),
        (SESSION, ("--now", "nan"), "now is nan, expected a number of seconds."),
        (SESSION, ("--now", "5"), "now is given, but the session's events have no timestamps"),
        ("tv1+1+a//b+5+10", (), "category path 'a//b' has an empty part."),
        (b"tv1+1+\xff+5+10", (), "session.txt is not UTF-8 at byte 6."),
    ],
)
def test_what_is_wrong_is_told(ask, session, options, message):
    done = ask(session, *options)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr


@pytest.mark.parametrize("options", [("-k", 0), ("--format", "csv"), ("--now", "soon")])
def test_wrong_usage(ask, options):
    assert ask(SESSION, *options).exit_code == 2


def test_what_is_not_there(shop, tmp_path):
    (tmp_path / "session.txt").write_text(SESSION)
    absent = run(shop / "model", "--session", tmp_path / "absent.txt")
    assert absent.exit_code == 1
    assert f"Cannot read the session {tmp_path / 'absent.txt'}: No such file or directory." in absent.stderr
    assert run(shop / "model", "--session", tmp_path).exit_code == 1
    no_model = run(shop / "dataset", "--session", tmp_path / "session.txt")
    assert no_model.exit_code == 1
    assert "is not a model folder: it has no config.json" in no_model.stderr


def test_a_session_is_only_read(shop, ask):
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}

    before = content()
    ask(SESSION, "--level", "all")
    assert content() == before


def test_behaviors_that_the_model_does_not_know_are_named(ask):
    done = ask(f"tv1+99+{TV1}+5+10 tv2+1+{TV1}+5+10")
    assert done.exit_code == 0
    assert "Behaviors that the model does not know: 99." in done.stderr
    assert "Behaviors" not in ask(f"tv1+1+{TV1}+5+10").stderr
