"""``hup prepare`` as a person types it."""

import json

import pytest
from typer.testing import CliRunner

from hup.cli import app

LINES = ["a+1+x/u+1+4 b+10+y/v+2+5 a+2+x/u+1+1"] * 40


def run(*arguments):
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("\n".join([*LINES, LINES[0] + " junk"]) + "\n")
    return path


def test_makes_a_dataset_and_prints_what_it_holds(tmp_path, log):
    out = tmp_path / "out"
    result = run(log, "--out", out, "--format", "jd")
    assert result.exit_code == 0, result.output
    for part in (
        "Sessions",
        "123",
        "SearchList2Product",
        "Categories of level 2",
        "100.0%",
        "log.txt",
        "wrong number of fields",
    ):
        assert part in result.stdout
    assert "1 rejected rows" in result.stderr
    assert f"Next: hup train {out}" in result.stderr.replace("\n", "")


def test_options_reach_the_dataset(tmp_path, log):
    options = ("--split", "random", "--seed", 5, "--shares", "0.5,0.25,0.25", "--levels", 2, "--memory-limit", "1GB")
    result = run(log, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    split = json.loads((tmp_path / "out/manifest.json").read_text())["split"]
    assert (split["method"], split["seed"], split["shares"]) == ("random", 5, [0.5, 0.25, 0.25])


def test_existing_dataset(tmp_path, log):
    assert run(log, "--out", tmp_path / "out").exit_code == 0
    again = run(log, "--out", tmp_path / "out")
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert run(log, "--out", tmp_path / "out", "--overwrite").exit_code == 0


def test_errors_are_one_line_for_people(tmp_path, log):
    result = run(log, "--out", tmp_path / "out", "--max-reject-share", 0)
    assert result.exit_code == 1
    assert "log.txt:41" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.rejects.parquet").exists()


@pytest.mark.parametrize("arguments", [("--shares", "many"), ("--split", "user"), ("--format", "xml")])
def test_wrong_usage(tmp_path, log, arguments):
    result = run(log, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr
