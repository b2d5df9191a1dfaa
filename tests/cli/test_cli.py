"""What holds for every command: help with an example, exit codes, errors for people."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import hup
from hup.cli import COMMANDS, app, main
from hup.cli.console import EXIT_CLOSED_PIPE, EXIT_INTERRUPTED, console, error_console, note, progress, speaks_plainly
from hup.data.dataset import Dataset
from hup.errors import HupError

NAMES = [command.__name__ for command in COMMANDS]


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(app, list(map(str, arguments)))


def run_hup(*arguments, **options):
    command = [sys.executable, "-m", "hup", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def with_command(command):
    """A small command line whose one command ends as ``command`` does."""
    small = typer.Typer()
    small.command()(speaks_plainly(command))
    return CliRunner().invoke(small, [])


def test_all_commands_in_the_order_of_the_job():
    job = "simulate map validate prepare info train evaluate compare sweep report explain recommend similar profiles"
    assert [*job.split(), "serve"] == NAMES
    output = invoke("--help").output
    assert [name for name in re.findall(r"^│ (\w+) ", output, re.M) if name in NAMES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example(name):
    done = invoke(name, "--help")
    assert done.exit_code == 0
    assert f"hup {name} " in done.output
    assert "Parameters" not in done.output, "a docstring section of the Python face leaked into the help"


@pytest.mark.parametrize(("command", "examples"), COMMANDS.items(), ids=NAMES)
def test_the_examples_use_options_that_exist(command, examples):
    described, _, shown = invoke(command.__name__, "--help").output.rpartition("Examples:")
    for example in examples:
        own = example.partition("| ")[2] or example  # what stands before a pipe is another program's
        assert own.split()[:2] == ["hup", command.__name__]
        assert example in " ".join(shown.split())
        for option in re.findall(r"(?<= )-{1,2}[a-z][a-z-]*", own):
            assert option in described


def test_version():
    done = invoke("--version")
    assert done.output.strip() == f"hup {hup.__version__}"


@pytest.mark.parametrize("arguments", [["nothing"], ["prepare"], ["train", "x", "--out", "y", "--epochs", "many"]])
def test_wrong_usage_ends_with_2(arguments):
    done = run_hup(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "absent.txt", "--out", "dataset"],
        ["info", "absent"],
        ["train", "absent", "--out", "model"],
        ["evaluate", "absent", "absent"],
        ["recommend", "absent", "--session", "absent.txt"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_is_not_there_ends_with_1_and_is_named(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), "else there would be a traceback"
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ") or "\nError: " in done.stderr
    assert "absent" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [], "a failed command left something behind"


def test_an_error_keeps_its_brackets():
    def fails() -> None:
        raise HupError("clicks.txt:3: found [bold]x[/], expected five fields")

    done = with_command(fails)
    assert done.exit_code == 1
    assert done.stderr == "Error: clicks.txt:3: found [bold]x[/], expected five fields\n"


def test_an_error_nobody_foresaw_keeps_its_traceback():
    def fails() -> None:
        raise ZeroDivisionError

    assert isinstance(with_command(fails).exception, ZeroDivisionError)


def test_ctrl_c_ends_with_130():
    def interrupted() -> None:
        raise KeyboardInterrupt

    done = with_command(interrupted)
    assert done.exit_code == EXIT_INTERRUPTED == 130
    assert done.stderr == "Interrupted.\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_for_real(tmp_path):
    """A command that waits for its session on standard input is interrupted from outside."""
    script = "import hup.cli.console as c\nimport time, typer\na = typer.Typer()\n@a.command()\n@c.speaks_plainly\n"
    script += "def f() -> None:\n    print('ready', flush=True)\n    time.sleep(60)\na()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout.readline() == "ready\n"
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert command.returncode == 130
    assert said == "Interrupted.\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_goes_away_is_no_error():
    """As with `hup … | head -1`."""
    script = "import hup.cli.console as c\nimport typer\na = typer.Typer()\n@a.command()\n@c.speaks_plainly\n"
    script += "def f() -> None:\n    for n in range(100_000):\n        print(n)\na()\n"
    pipeline = f'set -o pipefail; "{sys.executable}" -c "$SCRIPT" | head -n 1'
    done = subprocess.run(
        ["bash", "-c", pipeline], env={**os.environ, "SCRIPT": script}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_CLOSED_PIPE, "0\n", "")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("how", ["note", "print"])
def test_a_reader_that_goes_away_is_told_from_an_error(how, tmp_path):
    """As git does, with 128 + SIGPIPE; what was half done is cleared away, and nobody takes it for a full disk."""
    say = {"note": "c.note", "print": "c.console.print"}[how]
    script = (
        "import hup.cli.console as c\nimport typer\nfrom pathlib import Path\nfrom hup.files import output_folder\n"
        "a = typer.Typer()\n@a.command()\n@c.speaks_plainly\ndef f() -> None:\n"
        "    with output_folder(Path('out'), False, Path.is_dir, print):\n"
        f"        for n in range(100_000):\n            {say}(str(n))\na()\n"
    )
    joined = "2>&1 " if how == "note" else ""
    pipeline = f'"{sys.executable}" -c "$SCRIPT" {joined}| head -n 1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", pipeline], env={**os.environ, "SCRIPT": script}, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_CLOSED_PIPE, "0\n", "")
    assert EXIT_CLOSED_PIPE == 141
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("asked", ["--help", "train --help"])
def test_a_reader_of_the_help_that_goes_away_is_no_error(asked):
    pipeline = f'"{sys.executable}" -m hup {asked} | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_CLOSED_PIPE, "", "")


def test_notes_stay_off_standard_output_and_progress_off_files(capsys):
    note("a remark with [brackets]")
    with progress("Counting", total=3) as advance:
        advance()
        advance(2, description="Counted")
    console.print("a result")
    said = capsys.readouterr()
    assert said.out == "a result\n"
    assert said.err == "a remark with [brackets]\n"


def test_progress_is_shown_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(error_console, "_force_terminal", True)
    with progress("Counting", total=3) as advance:
        advance(3)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.slow
def test_what_an_encoding_lacks_ends_no_command(tmp_path):
    lines = "caf\u00e9+1+\u0436+1+2 b+1+\u0436+3+4\n" * 10
    (tmp_path / "names.txt").write_text(lines, encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    prepare = run_hup("prepare", "names.txt", "--format", "jd", "--out", "shop", cwd=tmp_path, env=environment)
    assert (prepare.returncode, "Traceback" in prepare.stderr) == (0, False)
    tree = run_hup("info", "shop", "--tree", cwd=tmp_path, env=environment)
    assert (tree.returncode, "Traceback" in tree.stderr) == (0, False)
    assert "?" in tree.stdout


def test_a_file_name_that_is_not_utf8_is_shown_escaped(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / os.fsdecode(b"\xff.txt")).write_text("a+1+x+1+2 b+1+x+3+4\n" * 10)
    done = run_hup("prepare", "logs", "--format", "jd", "--out", "shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [source.file for source in Dataset.open(tmp_path / "shop").manifest.sources] == ["\\xff.txt"]


def test_the_commands_that_are_proposed_can_be_copied(tmp_path, monkeypatch):
    """Paths with blanks stay one word each."""
    monkeypatch.chdir(tmp_path)

    def proposed(*arguments):
        done = invoke(*arguments)
        assert done.exit_code == 0, done.output
        return shlex.split(re.search(r"Next: (.*)", done.stderr)[1])

    prepare = proposed("simulate", "--out", "my log.txt", "--sessions", 60, "--items", 20)
    assert prepare == ["hup", "prepare", "my log.txt", "--format", "jd", "--out", "DATASET"]
    train = proposed(*prepare[1:-1], "my shop")
    assert train == ["hup", "train", "my shop", "--preset", "best", "--out", "MODEL"]
    evaluate = proposed("train", "my shop", "--model", "popularity", "--out", "my model")
    assert evaluate == ["hup", "evaluate", "my model", "my shop"]
    rows = "".join(f"u{n % 3},2024-05-01 10:00:{n},i{n % 9}\n" for n in range(10, 60))
    (tmp_path / "my log.csv").write_text(f"user_id,event_time,product_id\n{rows}")
    written = proposed("map", "my log.csv", "--out", "my mapping.toml")
    assert written == ["hup", "validate", "my log.csv", "--format", "events", "--map", "my mapping.toml"]
    for arguments in (["train", "my shops", "--out", "x"], ["recommend", "my shop", "--session", "x"]):
        said = invoke(*arguments).stderr
        assert shlex.split(re.search("`(.*)`", said)[1])[-1] in ("my shops", "my shop")


def test_a_command_keeps_its_signature():
    assert "--sessions" in invoke("simulate", "--help").output


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, None)],
)
def test_threads_wait_for_each_other_briefly_unless_told_otherwise(monkeypatch, before, after):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # which also lets what main() sets go at the end
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["hup", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert os.environ.get("GOMP_SPINCOUNT") == after


@pytest.mark.parametrize(("before", "after"), [({}, "1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "0")])
def test_large_tensors_lie_in_large_pages_unless_told_otherwise(monkeypatch, before, after):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["hup", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == after


def test_the_command_line_does_not_import_torch_before_it_must():
    # Or it would be too late to say how its threads are to wait.
    script = "import sys, hup.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


LIGHT = """
import sys
from hup.cli import app
for line in sys.stdin.read().splitlines():
    app(line.split(), standalone_mode=False)
    heavy = {"torch", "gensim", "lightgbm", "scipy", "matplotlib"} & set(sys.modules)
    assert not heavy, f"{line} loads {heavy}"
print("all done")
"""


def test_commands_on_data_load_nothing_that_models_need(tmp_path):
    """Torch and the like take seconds to import, and a log is prepared and looked at without them."""
    hup.simulate(hup.SimulatorConfig(sessions=30, items=20, levels=2, seed=1), tmp_path / "log.csv", format="events")
    lines = "map log.csv --out mapping.toml\nvalidate log.csv\nprepare log.csv --out dataset\ninfo dataset\n"
    command = [sys.executable, "-c", LIGHT]
    done = subprocess.run(command, input=lines, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all done"
