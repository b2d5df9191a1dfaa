"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


def _share(path: Path) -> None:
    """Give a file the rights that any new file has here; some writers make theirs for the owner alone."""
    usual = os.umask(0)
    os.umask(usual)
    path.chmod(0o666 & ~usual)
