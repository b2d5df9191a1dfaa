"""Folders that appear whole or not at all."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from hup.data.prepare import prepare
from hup.errors import HupError
from hup.files import locked, output_folder, recover, write_aside

GOOD = "a+1+x+1+1 b+1+y+1+1\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text(GOOD)
    return path


def open_folder(out, overwrite=False, notes=None):
    notes = [] if notes is None else notes
    return output_folder(out, overwrite, lambda folder: (folder / "mark").exists(), notes.append)


def test_appears_at_the_end(tmp_path):
    out = tmp_path / "deep/out"
    with open_folder(out) as folder:
        (folder / "mark").touch()
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_folder(tmp_path / "out"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_existing_is_replaced_only_when_asked_and_only_at_the_end(tmp_path):
    out = tmp_path / "out"
    with open_folder(out) as folder:
        (folder / "mark").write_text("old")
    with pytest.raises(HupError, match="--overwrite"), open_folder(out):
        pass
    with pytest.raises(ValueError, match="stop"), open_folder(out, overwrite=True):
        raise ValueError("stop")
    assert (out / "mark").read_text() == "old"
    with open_folder(out, overwrite=True) as folder:
        (folder / "mark").write_text("new")
        assert (out / "mark").read_text() == "old"
    assert (out / "mark").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_came_into_the_place_meanwhile_is_not_replaced(tmp_path):
    out = tmp_path / "out"
    other = tmp_path / "other"
    other.mkdir()
    (other / "mark").touch()
    with pytest.raises(HupError, match="cannot be written"), open_folder(out):
        other.rename(out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_second_run_refuses_whatever_its_process_is_called(tmp_path, monkeypatch):
    """In another container both may be number 7, and neither can ask whether the other one lives."""
    out = tmp_path / "out"
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with open_folder(out) as folder:
        (folder / "mark").touch()
        with pytest.raises(HupError, match="Another run is making"), open_folder(out):
            pass
        with pytest.raises(HupError, match="Another run is making"):
            recover(out, print)
        assert folder.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_files_of_one_name_written_at_once_are_one_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path = tmp_path / "figures.json"
    with write_aside(path) as first, write_aside(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # whose block ended last
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_whose_file_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    lock, flock = tmp_path / "lock", fcntl.flock
    taken = []

    def first_removed(file, how):
        flock(file, how)
        if not taken:
            lock.unlink()
        taken.append(os.fstat(file.fileno()).st_ino)

    monkeypatch.setattr(fcntl, "flock", first_removed)
    with locked(lock, "busy"):
        assert lock.stat().st_ino == taken[-1]
        assert len(taken) == 2
        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(HupError, match="busy"), locked(lock, "busy"):
            pass
    assert not lock.exists()


@pytest.mark.parametrize(("code", "goes_on"), [(errno.ENOSYS, True), (errno.ENOLCK, True), (errno.EIO, False)])
def test_file_systems_without_locks(tmp_path, monkeypatch, code, goes_on):
    def fail(file, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", fail)
    with nullcontext() if goes_on else pytest.raises(HupError, match="Input/output"), open_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").exists() == goes_on


def test_full_disk_is_an_error_for_people(tmp_path):
    with pytest.raises(HupError, match="No space left"), open_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_foreign_folders_and_files_are_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter").touch()
    (tmp_path / "file").touch()
    for name in ("home", "file"):
        with pytest.raises(HupError, match="not replaced"), open_folder(tmp_path / name, overwrite=True):
            pass
    assert (tmp_path / "home/letter").exists()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HupError, match="cannot be written"), open_folder(tmp_path / "file/out"):
        pass


def test_only_own_leftovers_are_removed(tmp_path):
    stale = tmp_path / "out.partial-hup"
    others = [tmp_path / name for name in ("out.partial", "other.partial-hup", "out.partial-hup-x")]
    for folder in (stale, *others):
        folder.mkdir()
        (folder / "mark").touch()
    notes = []
    with open_folder(tmp_path / "out", notes=notes) as folder:
        assert list(folder.iterdir()) == []
    assert all(folder.exists() for folder in others)
    assert len(notes) == 1
    assert str(stale) in notes[0]


def test_replacement_cut_short_gives_the_old_one_back(tmp_path):
    out = tmp_path / "out"
    replaced = tmp_path / "out.replaced-hup"
    replaced.mkdir()
    (replaced / "mark").touch()
    with pytest.raises(HupError, match="--overwrite"), open_folder(out):
        pass
    assert (out / "mark").exists()
    assert not replaced.exists()


def test_recover_gives_the_old_one_back_without_a_new_one(tmp_path):
    replaced = tmp_path / "out.replaced-hup"
    replaced.mkdir()
    (replaced / "mark").touch()
    notes = []
    recover(tmp_path / "out", notes.append)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mark"]
    assert "the old one is back" in notes[0]
    recover(tmp_path / "nowhere" / "out", notes.append)
    assert len(notes) == 1


def test_a_replacement_that_fails_half_way_gives_the_old_one_back(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with open_folder(out) as folder:
        (folder / "mark").write_text("old")
    rename = Path.rename

    def fail(self, target):
        if ".partial-" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(HupError, match=r"cannot be written.*Permission denied"), open_folder(out, overwrite=True):
        pass
    assert (out / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_to_be_replaced_may_be_checked_at_the_last_moment(tmp_path):
    out = tmp_path / "out"
    with open_folder(out) as folder:
        (folder / "mark").write_text("old")

    def check(folder):
        assert not out.exists(), "others could still change it"
        if (folder / "mark").read_text() != "old":
            raise HupError("changed")

    with pytest.raises(HupError, match="changed"), output_folder(out, True, Path.is_dir, print, check):
        (out / "mark").write_text("newer")
    assert (out / "mark").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "mark").write_text("old")
    with output_folder(out, True, Path.is_dir, print, check):
        pass
    assert list(out.iterdir()) == []


WAITING = """
import sys, time
from hup.data.prepare import prepare
from hup.data.progress import Progress

class Wait(Progress):
    def phase(self, name, total=None, unit=None):
        if name == sys.argv[3]:
            print("here", flush=True)
            time.sleep(60)

prepare(sys.argv[1], out=sys.argv[2], progress=Wait(), overwrite=True)
"""


@pytest.mark.parametrize("phase", ["Reading", "Writing events", "Assembling files"])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_stopped_run_leaves_no_dataset_and_the_next_one_works(tmp_path, source, phase, sign):
    out = tmp_path / "out"
    command = [sys.executable, "-c", WAITING, source, out, phase]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout.readline() == b"here\n"
        child.send_signal(sign)
        assert child.wait() != 0
    assert not out.exists()
    leftovers = [path.name for path in tmp_path.iterdir() if path != source]
    assert sorted(leftovers) == ([".out.lock", "out.partial-hup"] if sign == signal.SIGKILL else [])
    assert len(prepare(source, out=out)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "out"]


def test_ctrl_c_while_the_engine_works(tmp_path):
    """DuckDB turns the signal into an error of its own; callers must see Ctrl-C all the same, and soon."""
    code = """
import sys
from pathlib import Path
from hup.data.engines.duckdb_engine import DuckDBEngine
with DuckDBEngine(Path(sys.argv[1])) as engine:
    print("here", flush=True)
    try:
        engine.collect("SELECT max(n.range || '' || m.range) AS n FROM range(1000000) AS n, range(1000000) AS m")
    except KeyboardInterrupt:
        sys.exit(130)
"""
    command = [sys.executable, "-c", code, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout.readline() == b"here\n"
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 130
