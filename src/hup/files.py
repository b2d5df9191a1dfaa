"""Files and folders that are either whole or not there."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

from safetensors import SafetensorError

from hup.errors import HupError

#: What file systems say that know no locks, such as some of clusters.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


def beside(path: Path) -> Path:
    """Name a path beside another one, with the same ending, that no other run takes.

    The number of a process would not do: each container counts its own, and they may share a disk.
    """
    return path.with_name(f".{path.stem}.partial-{secrets.token_hex(6)}{path.suffix}")


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
    aside = beside(path)
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


def clear_asides(folder: Path) -> None:
    """Remove what runs that were killed wrote aside; for a folder that no other run writes to."""
    for path in folder.glob(".*.partial-*"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Keep other runs out while the block lasts; the system forgets the lock of a run that was killed.

    It holds between containers and machines that share the disk, too. Where a file system knows no locks, nobody is
    kept out.

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
        lock = _lock(path)
    except BlockingIOError:
        raise HupError(busy) from None
    except OSError as error:
        raise HupError(f"{path.parent} cannot be written: {error.strerror or error}.") from error
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):  # the folder may be gone, or not be writable any more
                path.unlink(missing_ok=True)


def _lock(path: Path) -> IO[str]:
    """Open a file and lock it."""
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except BlockingIOError:
            lock.close()
            raise
        except OSError as error:
            if error.errno in _WITHOUT_LOCKS:
                return lock
            lock.close()
            raise
        lock.close()  # whoever held it has removed it meanwhile: this is the lock of nothing


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

    Work is done in ``OUT.partial-hup``. What runs that were killed left behind is removed first. No other
    run makes `out` meanwhile.

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
        If `out` exists and may not be replaced, another run is making it, or it cannot be written; what was at `out`
        is there still.
    """
    with _held(out):
        try:
            _clear_leftovers(out, note)
            _refuse_existing(out, overwrite, is_ours)
            partial = _partial(out)
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


def _held(out: Path) -> AbstractContextManager[None]:
    return locked(
        out.with_name(f".{out.name}.lock"),
        f"Another run is making {out}. Wait for it, or choose another place to write to.",
    )


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial-hup")


def _replaced(out: Path) -> Path:
    return out.with_name(f"{out.name}.replaced-hup")


def _refuse_existing(out: Path, overwrite: bool, is_ours: Callable[[Path], bool]) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise HupError(f"{out} exists. Choose another --out, or replace it with --overwrite.")
    if not out.is_dir() or (any(out.iterdir()) and not is_ours(out)):
        raise HupError(f"{out} exists and was not made by this command; it is not replaced. Choose another --out.")


def _publish(partial: Path, out: Path, overwrite: bool, check_replaced: Callable[[Path], None] | None) -> None:
    replaced = _replaced(out)
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
        If leftovers cannot be removed or given back, or another run is making `out`.
    """
    if not any(path.exists() for path in (_partial(out), _replaced(out))):
        return
    with _held(out):
        try:
            _clear_leftovers(out, note)
        except OSError as error:
            raise HupError(f"{out} cannot be written: {error}.") from error


def _clear_leftovers(out: Path, note: Callable[[str], None]) -> None:
    """Clear up after runs that are dead, as nobody else holds `out`."""
    replaced = _replaced(out)
    if replaced.exists() and not out.exists():
        replaced.rename(out)
        note(f"An earlier run was stopped while it replaced {out}; the old one is back.")
    for path in (_partial(out), replaced):
        if path.exists():
            shutil.rmtree(path)
            note(f"Removed {path}, left behind by a run that was stopped.")
