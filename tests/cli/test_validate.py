"""``hup validate`` from the command line."""

from __future__ import annotations

import json

import pytest

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


@pytest.mark.parametrize("by", ["gap", "user"])
def test_no_user_with_two_items(invoke, tmp_path, by):
    (tmp_path / "m.toml").write_text(
        '[tables]\nuser = "user"\nitem = "item"\ntimestamp = "timestamp"\nbehavior = "behavior"\n'
        f'[categories]\ncolumns = ["category_1"]\n[sequence]\nby = "{by}"\n'
    )
    alone = "ann,s1,4,1700000030,shoe,view,clothes"
    done = invoke("validate", write(tmp_path / "e.csv", GOOD[0], alone, GOOD[2]), "--map", tmp_path / "m.toml")
    assert done.exit_code == 1
    assert "No user has two different items" in done.output
    done = invoke("validate", write(tmp_path / "e.csv", *GOOD), "--map", tmp_path / "m.toml", "--json")
    report = json.loads(done.stdout)
    assert (report["users"], report["sessions"], report["sessions_with_target"]) == (2, None, None)
    assert report["problem"] is None


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
