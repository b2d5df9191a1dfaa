"""``hup compare``: what it prints, and its exit codes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hup.cli import app

from ..helpers.grids import without_processes

in_one_process = pytest.fixture(without_processes)
QUICK = ("--seeds", 1, "--tuning", 1, "--jobs", 1)


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["compare", *map(str, arguments)])


@pytest.mark.usefixtures("in_one_process")
def test_tables_of_every_level_come_out(shop, tmp_path):
    done = run(
        shop / "dataset", "--models", "recency, popularity", *QUICK, "--label", "A shop", "--out", tmp_path / "run"
    )
    assert done.exit_code == 0, done.output
    for expected in (
        "A shop, item",
        "A shop, category_2",
        "A shop, category_1",
        "Recency",
        "POP",
        "Rows that the paper lacks",
    ):
        assert expected in done.stdout
    assert "recency, seed 0: done" in done.stderr
    assert f"Models in {tmp_path / 'run'}/models" in done.stderr


@pytest.mark.usefixtures("in_one_process")
def test_a_failed_row_is_told_and_the_exit_code_says_so(shop, tmp_path):
    options = (
        "--set",
        "training.learning_rate=1e30",
        "--set",
        "network.hidden=4",
        "--set",
        "embeddings.skipgram_epochs=1",
    )
    done = run(shop / "dataset", "--models", "recency,hup", *QUICK, *options, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "hup has no figures: HupError: hup gave scores that are not numbers" in done.stderr
    assert "--retry-failed" in done.stderr
    assert "Recency" in done.stdout


def test_a_row_that_is_not_there_is_told(shop, tmp_path):
    done = run(shop / "dataset", "--models", "magic", "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "no row 'magic'" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("in_one_process")
def test_further_figures_and_json(shop, tmp_path):
    asked = (shop / "dataset", "--models", "recency,popularity", *QUICK, "--out", tmp_path / "run")
    plain = run(*asked)
    assert "cut-offs" not in plain.stdout
    done = run(*asked, "--at", "1,10", "--metrics", "recall,coverage", "--json", tmp_path / "found.json")
    assert done.exit_code == 0, done.output
    assert "item, at 3 cut-offs" in done.stdout
    assert "Coverage" in done.stdout
    assert "recency, seed 0: done" in done.stderr, "its lists were not counted before"
    found = json.loads((tmp_path / "found.json").read_text())
    (line,) = (
        line
        for line in found["figures"]
        if (line["row"], line["level"], line["metric"], line["k"]) == ("recency", "item", "coverage", 10)
    )
    assert 0 < line["value"] <= 1
    assert {one["metric"] for one in found["differences"]} == {"recall", "mrr"}
    piped = run(*asked, "--at", "1,10", "--metrics", "recall,coverage", "--json", "-")
    assert json.loads(piped.stdout) == found | {"command": json.loads(piped.stdout)["command"]}
    assert "seed 0: done" not in piped.stderr, "now they are"
    assert run(*asked, "--at", "none").exit_code == 2
