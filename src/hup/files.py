"""Files and folders that are either whole or not there."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from hup.errors import HupError


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it there once the block ends well.

    A reader, or a run after ``kill -9``, sees the old file or the new one, never half of one. If the block fails the
    file beside is removed.

    Yields
    ------
    Path
        In the same folder, with the same ending.

    Raises
    ------
    HupError
        If the file cannot be written.
    """
    aside = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        _share(aside)
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HupError(f"Cannot write {path}: {reason}. Choose another place to write to.") from error
    finally:
        with suppress(OSError):  # the folder itself may be what is wrong; the error above says so
            aside.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Keep other runs out while the block lasts; the system forgets the lock of a run that was killed.

    Parameters
    ----------
    path : Path
        A file that is made, with its folder, and removed at the end.
    busy : str
        What to say where another run holds it.

    Raises
    ------
    HupError
        Another run holds it, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise HupError(f"{path.parent} cannot be written: {error.strerror or error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HupError(busy) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _share(path: Path) -> None:
    """Give a file the rights that any new file has here; some writers make theirs for the owner alone."""
    usual = os.umask(0)
    os.umask(usual)
    path.chmod(0o666 & ~usual)


@contextmanager
def output_folder(
    out: Path,
    overwrite: bool,
    is_ours: Callable[[Path], bool],
    note: Callable[[str], None],
    check_replaced: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
    """Give a folder to fill, which becomes `out` when the block ends well and goes when it does not.

    Work is done in ``OUT.partial-<pid>``. What runs that were killed left behind is removed first.

    Parameters
    ----------
    out : Path
        The folder to make.
    overwrite : bool
        Whether an existing `out` may be replaced; that happens at the very end.
    is_ours : callable
        Tells whether an existing folder is of the kind that may be replaced.
    note : callable
        Told about leftovers that were removed.
    check_replaced : callable, optional
        Given the folder that is about to be replaced, when no other run reaches it any more under the name `out`; it
        is not there if `out` was not. If it raises, that folder stays.

    Raises
    ------
    HupError
        If `out` exists and may not be replaced, or cannot be written; what was at `out` is there still.
    """
    recover(out, note)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _refuse_existing(out, overwrite, is_ours)
        partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
        partial.mkdir()
    except OSError as error:
        raise HupError(f"{out} cannot be written: {error.strerror or error}.") from error
    try:
        yield partial
        _publish(partial, out, overwrite, check_replaced)
    except OSError as error:
        raise HupError(f"{out} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_existing(out: Path, overwrite: bool, is_ours: Callable[[Path], bool]) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise HupError(f"{out} exists. Choose another --out, or replace it with --overwrite.")
    if not out.is_dir() or (any(out.iterdir()) and not is_ours(out)):
        raise HupError(f"{out} exists and was not made by this command; it is not replaced. Choose another --out.")


def _publish(partial: Path, out: Path, overwrite: bool, check_replaced: Callable[[Path], None] | None) -> None:
    replaced = out.with_name(f"{out.name}.replaced-{os.getpid()}")
    try:
        if overwrite and out.exists():
            out.rename(replaced)
        if check_replaced is not None:
            check_replaced(replaced)
        partial.rename(out)
    except BaseException:
        if replaced.exists() and not out.exists():
            # Should this fail, too, the next run gives the old one back; the first error tells more.
            with suppress(OSError):
                replaced.rename(out)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def recover(out: Path, note: Callable[[str], None]) -> None:
    """Remove folders of dead runs; a run killed while it replaced `out` gives the old one back.

    Parameters
    ----------
    out : Path
        A folder that `output_folder` makes; need not be there.
    note : callable
        Told what was done.

    Raises
    ------
    HupError
        If leftovers cannot be removed or given back.
    """
    try:
        if out.parent.is_dir():
            _clear_leftovers(out, note)
    except OSError as error:
        raise HupError(f"{out} cannot be written: {error}.") from error


def _clear_leftovers(out: Path, note: Callable[[str], None]) -> None:
    pattern = re.compile(re.escape(out.name) + r"\.(partial|replaced)-(\d+)")
    for path in sorted(out.parent.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None or _is_running(int(match[2])):
            continue
        if match[1] == "replaced" and not out.exists():
            path.rename(out)
            note(f"An earlier run was stopped while it replaced {out}; the old one is back.")
            continue
        shutil.rmtree(path)
        note(f"Removed {path}, left behind by a run that was stopped.")


def _is_running(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
