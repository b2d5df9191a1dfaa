"""Which files a list of files, folders and globs means."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hup.errors import HupError

COMPRESSED = (".gz", ".zst")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class SourceFile:
    """One input file.

    `name` is relative to the folder that all inputs have in common and lacks ``.gz``/``.zst``, so that it depends
    neither on where the inputs lie nor on how they are packed.
    """

    path: Path
    name: str
    bytes: int


def is_uri(text: str) -> bool:
    """Whether `text` is a place that only Spark knows, such as ``s3a://bucket/logs``, rather than a local path."""
    return _SCHEME.match(text) is not None


def find_sources(sources: Sequence[str | Path], out: Path, note: Callable[[str], None]) -> list[SourceFile]:
    """List the files that `sources` mean, in the order given; folders and globs in order of name.

    Parameters
    ----------
    sources : sequence of str or Path
        Files, folders (taken with their subfolders; names that begin with ``.`` or ``_`` are left out) and globs.
    out : Path
        The dataset about to be written: it and files beside it that begin with its name are never input.
    note : callable
        Told about files that are named twice.

    Raises
    ------
    HupError
        If a source does not exist, or a folder or glob holds no file.
    """
    if not sources:
        raise HupError("No source given. Name at least one file, folder or glob.")
    files: dict[Path, Path] = {}
    for source in sources:
        for path in _expand(Path(source), out):
            real = path.resolve()
            if real in files:
                note(f"{path} is named more than once; it is used once.")
            files.setdefault(real, path)
    names = _names(list(files))
    return [SourceFile(path, name, path.stat().st_size) for path, name in zip(files.values(), names, strict=True)]


def _expand(source: Path, out: Path) -> list[Path]:
    if source.is_dir():
        found = [path for path in _files_below(source) if not _belongs_to(path, out)]
        if not found:
            raise HupError(f"Folder {source} holds no files to read.")
        return found
    if source.exists():
        if _belongs_to(source, out):
            raise HupError(f"{source} belongs to the dataset {out} that is to be written. Choose another --out.")
        return [source]
    if glob.has_magic(str(source)):
        # Path.glob takes no absolute patterns.
        matches = sorted(Path(match) for match in glob.glob(str(source), recursive=True))  # noqa: PTH207
        found = [path for path in matches if path.is_file() and not _belongs_to(path, out)]
        if not found:
            raise HupError(f"No file matches the pattern {source}.")
        return found
    raise HupError(f"There is no file or folder {source}.")


def _files_below(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _belongs_to(path: Path, out: Path) -> bool:
    """Whether `path` is the dataset folder, in it, or one of its companions such as ``OUT.rejects.parquet``."""
    out = out.resolve()
    for place in (path.resolve(), *path.resolve().parents):
        if place.parent == out.parent:
            return place.name == out.name or place.name.startswith((f"{out.name}.partial-", f"{out.name}.rejects."))
    return False


def _names(paths: list[Path]) -> list[str]:
    root = Path(os.path.commonpath([path.parent for path in paths]))
    full = [path.relative_to(root).as_posix() for path in paths]
    short = [name.removesuffix(".gz").removesuffix(".zst") for name in full]
    # log.txt beside log.txt.gz: two files need two names.
    return [name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True)]
