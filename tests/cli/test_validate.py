"""``hup validate`` from the command line."""

from __future__ import annotations

import json

import pytest

import hup

HEADER = "user,session,event_id,timestamp,item,behavior,category_1"
GOOD = (
    "ann,s1,1,1700000000,shoe,view,clothes",
    "ann,s1,2,1700000010,lamp,view,home",
    "bob,s2,3,1700000020,lamp,view,home",
)


def write(path, *rows):
    path.write_text("\n".join((HEADER, *rows)) + "\n", encoding="utf-8")
    return path


def test_a_good_table(invoke, tmp_path):
    done = invoke("validate", write(tmp_path / "e.csv", *GOOD))
    assert done.exit_code == 0, done.output
    assert "Nothing is wrong." in done.output
    assert "2023-11-14 22:13:20 UTC" in done.output
    assert not list(tmp_path.glob("*parquet*"))


def test_what_is_wrong_where_and_how_often(invoke, tmp_path):
    rows = (*GOOD, *["ann,s1,4,never,shoe,view,clothes"] * 5)
    done = invoke("validate", write(tmp_path / "e.csv", *rows), "--max-reject-share", "0.9")
    assert done.exit_code == 0, done.output
    assert "timestamp is not a time" in done.output
    assert "e.csv:5" in done.output
    assert "e.csv:7" in done.output
    assert "e.csv:8" not in done.output, "three examples are enough"


def test_a_log_that_prepare_would_refuse_ends_with_1(invoke, tmp_path):
    done = invoke("validate", write(tmp_path / "e.csv", *GOOD, "ann,s1,4,never,shoe,view,clothes"))
    assert done.exit_code == 1
    assert "hup prepare would refuse this log" in done.output
    assert "25.0% of 4 rows are malformed" in done.output


def test_no_session_with_two_items(invoke, tmp_path):
    done = invoke("validate", write(tmp_path / "e.csv", GOOD[0]))
    assert done.exit_code == 1
    assert "No session has two different items" in done.output


GAPS = """[tables]
user = "user"
item = "item"
timestamp = "timestamp"
behavior = "behavior"
[categories]
columns = ["category_1"]
"""


@pytest.mark.parametrize(("by", "what"), [("gap", "session"), ("user", "user")])
def test_no_user_with_two_items(invoke, tmp_path, by, what):
    (tmp_path / "m.toml").write_text(f'{GAPS}[sequence]\nby = "{by}"\n')
    alone = "ann,s1,4,1700000030,shoe,view,clothes"
    done = invoke("validate", write(tmp_path / "e.csv", GOOD[0], alone, GOOD[2]), "--map", tmp_path / "m.toml")
    assert done.exit_code == 1
    assert f"No {what} has two different items" in done.output


def test_users_are_counted_by_user(invoke, tmp_path):
    (tmp_path / "m.toml").write_text(GAPS)
    log = write(tmp_path / "e.csv", *GOOD)
    report = json.loads(invoke("validate", log, "--map", tmp_path / "m.toml", "--sequence", "user", "--json").stdout)
    assert (report["users"], report["sessions"], report["sessions_with_target"]) == (2, None, None)
    assert report["problem"] is None


@pytest.mark.parametrize(("minutes", "sessions", "with_target"), [(None, 4, 2), (20, 5, 1), (0.1, 6, 1), (60, 3, 2)])
def test_sessions_cut_at_gaps_are_counted(invoke, tmp_path, minutes, sessions, with_target):
    """As many as `hup prepare` makes; those with one item are cut, but cannot be used."""
    (tmp_path / "m.toml").write_text(GAPS)
    start = 1_700_000_000
    rows = [
        *(("ann", start, "shoe"), ("ann", start + 25 * 60, "lamp"), ("ann", start + 60 * 60, "hat")),
        *(("bob", start + 10, "hat"), ("bob", start + 20, "shoe"), ("bob", start + 20, "hat"), ("eve", start, "hat")),
    ]
    log = write(tmp_path / "e.csv", *(f"{user},,,{time},{item},view,home" for user, time, item in rows))
    options = [] if minutes is None else ["--idle-gap", minutes]
    done = invoke("validate", log, "--map", tmp_path / "m.toml", "--json", *options)
    report = json.loads(done.stdout)
    assert (report["users"], report["sessions"], report["sessions_with_target"]) == (3, sessions, with_target)
    made = hup.prepare(log, map=tmp_path / "m.toml", out=tmp_path / "shop", idle_gap_minutes=minutes, shares=[1, 0, 0])
    assert len(made) == with_target


def test_lines_of_sessions_have_no_gaps_to_cut_at(invoke, tmp_path):
    (tmp_path / "log.txt").write_text("1+1+5+3+4 2+2+6+3+4\n")
    done = invoke("validate", tmp_path / "log.txt", "--idle-gap", "5")
    assert done.exit_code == 1
    assert "a JD line is a session" in done.output


def test_help_says_where_what_does_not_fit_into_memory_goes(invoke):
    assert "TMPDIR" in invoke("validate", "--help").output


def test_json(invoke, tmp_path):
    done = invoke("validate", write(tmp_path / "e.csv", *GOOD), "--json")
    report = json.loads(done.stdout)
    assert (report["rows"], report["usable"], report["users"], report["sessions"]) == (3, 3, 2, 2)
    assert report["sessions_with_target"] == 1
    assert report["behaviors"] == {"view": 3}
    assert report["categories"] == [2]
    assert report["time"] == {"first_ms": 1_700_000_000_000, "last_ms": 1_700_000_020_000}
    assert report["problem"] is None


def test_jd_lines(invoke, tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("1+1+5+3+4 2+2+6+3+4\n3+1+5+1+1 3+99+5+1+1\n\n")
    report = json.loads(invoke("validate", path, "--json", "--max-reject-share", "1").stdout)
    assert (report["rows"], report["usable"], report["items"]) == (5, 3, 3)
    assert report["problems"] == {"unknown behavior code": 1, "empty line": 1}
    assert report["examples"]["unknown behavior code"] == ["log.txt:2, token '3+99+5+1+1'"]
    assert report["sessions_with_target"] == 1


@pytest.mark.parametrize("arguments", [(), ("--format", "xml", "x.csv")])
def test_wrong_usage(invoke, arguments):
    assert invoke("validate", *arguments).exit_code == 2
