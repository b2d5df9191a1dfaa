"""``--json``: one document on standard output, whatever the command; what is said besides goes to standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hup.cli.documents import print_json

KEYS = {
    "map": {"path", "known_as", "is_complete", "mapping", "choices", "remarks", "lacking", "next"},
    "validate": {
        *("format", "rows", "usable", "problems", "examples", "left_out", "notes", "users", "sessions", "items"),
        *("sessions_with_target", "behaviors", "categories", "time", "problem"),
    },
    "train": {"path", "config", "metrics"},
    "recommend": {"item"},
    "similar": {"level", "basis", "items"},
}
HEAD = "user_id,event_time,product_id,category\n"
ROWS = "".join(f"u{n % 3},2024-05-01 10:{n}:00,i{n % 9},c{n % 2}\n" for n in range(10, 60))


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(HEAD + ROWS)


def document(invoke, *arguments, code=0):
    done = invoke(*arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout, parse_constant=pytest.fail)


def test_from_a_table_to_similar_items(invoke, log):
    mapped = document(invoke, "map", "log.csv", "--out", "m.toml")
    assert mapped.keys() == KEYS["map"]
    assert (mapped["path"], mapped["is_complete"], mapped["lacking"]) == ("m.toml", True, [])
    assert {choice["role"]: choice["columns"] for choice in mapped["choices"]}["item"] == ["product_id"]
    assert mapped["next"] == "hup validate log.csv --format events --map m.toml"

    found = document(invoke, "validate", "log.csv", "--map", "m.toml")
    assert found.keys() == KEYS["validate"]
    assert (found["usable"], found["problem"]) == (50, None)

    made = document(invoke, "prepare", "log.csv", "--map", "m.toml", "--out", "shop", "--sequence", "user")
    assert made == document(invoke, "info", "shop") | {"path": made["path"]}
    assert (made["users"], made["counts"]["events"]) == (3, 50)

    model = document(invoke, "train", "shop", "--model", "item-knn", "--out", "model")
    assert model.keys() == KEYS["train"]
    assert model == document(invoke, "info", "model")
    assert model["config"]["model"] == "item-knn"

    answers = document(invoke, "recommend", "model", "--dataset", "shop", "--user", "u1", "-k", 2)
    assert answers.keys() == KEYS["recommend"]
    document(invoke, "similar", "model", answers["item"]["ranked"][0]["name"])


def test_a_mapping_that_lacks_something_says_what(invoke, tmp_path):
    (tmp_path / "log.csv").write_text("a,b\n1,2\n3,4\n")
    found = document(invoke, "map", tmp_path / "log.csv", code=1)
    assert (found["is_complete"], found["next"], found["path"]) == (False, None, None)
    assert "Not found" in found["lacking"][0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("map", "absent.csv"),
        ("validate", "absent.csv"),
        ("prepare", "absent.csv", "--out", "shop"),
        ("info", "absent"),
        ("train", "absent", "--out", "model"),
        ("recommend", "absent", "--session", "absent"),
        ("similar", "absent", "x"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_error_is_no_document(invoke, arguments):
    done = invoke(*arguments, "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "absent" in done.stderr


def test_numbers_that_are_none_are_null(capsys):
    print_json({"loss": float("nan"), "gain": [float("inf"), 1.5], "name": "café"})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        **{"loss": None, "gain": [None, 1.5], "name": "café"}
    }


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252"])
def test_no_letter_is_lost_in_any_encoding(encoding):
    names = {"name": "café 台灯"}
    script = f"from hup.cli.documents import print_json\nprint_json({names!r})"
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:replace"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout.decode(encoding)) == names
