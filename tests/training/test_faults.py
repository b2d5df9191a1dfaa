"""Training through faults: a full disk, damaged checkpoints, another dataset, processes that fail or are killed."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import hup
from hup.errors import HupError
from hup.training.checkpoint import Checkpoint

from ..helpers.several_processes import run, torchrun
from ..helpers.training import Notes, StopAfter, assert_same, weights
from .conftest import SMALL

CONFIG = hup.Config.preset("paper", [*SMALL, "training.epochs=4"])
LAST, PREVIOUS = "checkpoints/last.safetensors", "checkpoints/previous.safetensors"


@pytest.fixture(scope="module")
def expected(dataset) -> dict[str, torch.Tensor]:
    """Weights of a run that nothing disturbed."""
    return weights(hup.HUP(CONFIG).fit(dataset))


@pytest.fixture(scope="module")
def stopped(dataset, tmp_path_factory) -> Path:
    """A run that was stopped after two of four epochs."""
    folder = tmp_path_factory.mktemp("stopped") / "model"
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(CONFIG).fit(dataset, out=folder, observer=StopAfter(2))
    return folder


@pytest.fixture
def folder(stopped, tmp_path) -> Path:
    """The same run, to be damaged."""
    return Path(shutil.copytree(stopped, tmp_path / "model"))


# ---------------------------------------------------------------------- damaged checkpoints


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def place_of(text: bytes, path: Path) -> int:
    return path.read_bytes().index(text)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "a bit of a weight": lambda path: flip(path, -1000),
    "a digit of the log": lambda path: flip(path, place_of(b"mean_cosine", path) + 17),
    "something else": lambda path: path.write_bytes(b"<html>quota exceeded</html>"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_takes_its_place(dataset, expected, folder, damage):
    DAMAGES[damage](folder / LAST)
    watched = Notes()
    model = hup.HUP(CONFIG).fit(dataset, out=folder, observer=watched)
    assert "last.safetensors does not read as a checkpoint" in watched.notes[0]
    assert "The one before it is whole" in watched.notes[0]
    assert watched.notes[1] == "Going on after epoch 1."
    assert_same(weights(model), expected)
    assert_same(weights(hup.HUP.from_pretrained(folder)), expected)


def test_where_both_are_damaged_the_way_out_is_named(dataset, folder):
    for name in (LAST, PREVIOUS):
        DAMAGES["cut"](folder / name)
    with pytest.raises(HupError, match=r"does not read as a checkpoint.*no other one; start anew with --overwrite"):
        hup.HUP(CONFIG).fit(dataset, out=folder)
    assert_same(
        weights(hup.HUP(CONFIG).fit(dataset, out=folder, overwrite=True)), weights(hup.HUP(CONFIG).fit(dataset))
    )


def test_a_run_that_was_killed_between_two_renames_goes_on(dataset, expected, folder):
    (folder / LAST).replace(folder / PREVIOUS)
    watched = Notes()
    model = hup.HUP(CONFIG).fit(dataset, out=folder, observer=watched)
    assert watched.notes == ["Going on after epoch 2."]
    assert_same(weights(model), expected)


def test_two_checkpoints_are_kept(folder):
    histories = [len(Checkpoint.read(folder / name).state.history) for name in (LAST, PREVIOUS)]
    assert histories == [2, 1]


# ---------------------------------------------------------------------- a full disk


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [50_000, 0])
def test_where_a_checkpoint_finds_no_space_the_one_before_stays(dataset, expected, folder, size):
    """Neither half a file nor the log's new line is left."""
    before = Checkpoint.read(folder / LAST)
    with files_of_at_most(size), pytest.raises(HupError) as failed:
        hup.HUP(CONFIG).fit(dataset, out=folder)
    assert "Cannot write" in str(failed.value)
    after = Checkpoint.read(folder / LAST)
    assert after.state == before.state
    assert_same(after.tensors, before.tensors)
    assert not list(folder.rglob("*partial*"))
    assert_same(weights(hup.HUP(CONFIG).fit(dataset, out=folder)), expected)


def test_a_full_disk_is_named(dataset, folder, monkeypatch):
    from safetensors import SafetensorError

    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("hup.training.checkpoint.save_file", full)
    with pytest.raises(HupError, match=r"No space left on device.*the same command goes on from there"):
        hup.HUP(CONFIG).fit(dataset, out=folder)
    assert len(Checkpoint.read(folder / LAST).state.history) == 2


# ---------------------------------------------------------------------- another dataset


def test_a_dataset_that_was_made_anew_is_refused(dataset_folder, tmp_path):
    shutil.copytree(dataset_folder, tmp_path / "dataset")
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(CONFIG).fit(hup.Dataset.open(tmp_path / "dataset"), out=tmp_path / "model", observer=StopAfter(1))
    hup.prepare(
        [dataset_folder.parent / "log.txt"],
        format="jd",
        out=tmp_path / "dataset",
        shares=(0.6, 0.2, 0.2),
        overwrite=True,
    )
    with pytest.raises(HupError, match=r"is on another dataset, or on what this one was.*--overwrite"):
        hup.HUP(CONFIG).fit(hup.Dataset.open(tmp_path / "dataset"), out=tmp_path / "model")


# ---------------------------------------------------------------------- processes that end


def train_command(dataset_folder: Path, out: Path, *more: str) -> list[str]:
    sets = [part for override in SMALL for part in ("--set", override)]
    return ["train", str(dataset_folder), "--out", str(out), "--epochs", "4", "--threads", "1", *sets, *more]


def processes_of(torchrun_id: int) -> dict[int, int]:
    """Ids of the processes that torchrun has started, by their number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = dict(part.split("=", 1) for part in (folder / "environ").read_text().split("\0") if "=" in part)
        except (OSError, ValueError):
            continue
        if parent == torchrun_id and "RANK" in variables:
            found[int(variables["RANK"])] = int(folder.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_kill_9_of_one_of_two_and_the_same_command_again(dataset_folder, root, tmp_path, number):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run(torchrun("hup", *train_command(dataset_folder, undisturbed)), root).returncode == 0
    command = torchrun("hup", *train_command(dataset_folder, killed))
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    log, deadline = killed / "log.jsonl", time.monotonic() + 120
    started = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not log.is_file() or len(log.read_text().splitlines()) < 2:
        assert started.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(processes_of(started.pid)[number], signal.SIGKILL)
    said = started.communicate(timeout=120)[1]
    assert started.returncode == 1
    assert "Error: Another process of this run has ended" in said
    again = run(command, root)
    assert again.returncode == 0, again.stderr
    assert "Going on after epoch" in again.stderr
    assert_same(load_file(killed / "model.safetensors"), load_file(undisturbed / "model.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_an_error_of_one_of_two_ends_both_with_its_message(dataset_folder, root, tmp_path, number):
    arguments = train_command(dataset_folder, tmp_path / "model")
    done = run(torchrun("tests.helpers.failing_process", str(number), *arguments), root, timeout=120)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: ")] == [
        f"Error: Process {number} fails."
    ]
    assert run([sys.executable, "-m", "hup", *arguments], root).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "--out", "model"], "There is no dataset folder nowhere"),
        (["train", "nowhere", "--out", "model", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["info", "nowhere"], "train and evaluate work on several processes"),
    ],
)
def test_an_error_of_both_is_said_once(root, arguments, message):
    done = run(torchrun("hup", *arguments), root, timeout=120)
    assert done.returncode == 1  # torchrun's own, whatever that of a process
    assert done.stderr.count(message) == 1
