"""``hup simulate`` as a person types it."""

import pytest
from typer.testing import CliRunner

from hup.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


def test_writes_a_log_and_says_what_it_holds(tmp_path):
    out = tmp_path / "log.txt"
    result = run("--out", out, "--sessions", 50, "--items", 100, "--levels", 2, "--mean-events", 10, "--seed", 3)
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    assert len(lines) == 50
    events = sum(len(line.split()) for line in lines)
    assert f"{events:,} simulated events in 50 sessions" in result.stdout
    assert "/" in lines[0].split()[0].split("+")[2]


def test_python_and_command_line_write_the_same_bytes(tmp_path):
    from hup.simulator import SimulatorConfig, simulate

    run("--out", tmp_path / "a.txt", "--sessions", 20, "--items", 50, "--categories", 4, "--seed", 9)
    simulate(SimulatorConfig(sessions=20, items=50, categories=4, seed=9), tmp_path / "b.txt")
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()


def test_folder_of_event_tables(tmp_path):
    result = run("--out", tmp_path / "parts", "--sessions", 30, "--format", "events", "--sessions-per-file", 10)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "parts").glob("part-*.parquet"))) == 3
    assert "3 parts" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "log.csv"), "ending does not fit"),
        (("--out", "log.txt", "--sessions", 0), "sessions is 0"),
        (("--out", "log.txt", "--items", 10, "--categories", 9), "categories is 9"),
    ],
)
def test_mistakes_end_with_a_message(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_existing_file_needs_overwrite(tmp_path):
    out = tmp_path / "log.txt"
    out.write_text("mine")
    arguments = ("--out", out, "--sessions", 5, "--items", 50)
    assert run(*arguments).exit_code == 1
    assert out.read_text() == "mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert out.read_text() != "mine"


def test_unknown_format_is_a_usage_error(tmp_path):
    assert run("--out", tmp_path / "log.txt", "--format", "xml").exit_code == 2
