"""Files of tables: which format they have, and whether they have the columns that are wanted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from hup.data.engines.reader import COMPRESSED, PLACE_COLUMNS, SourceFile
from hup.data.line_blocks import MAX_LINE_BYTES, StreamBroken, whole_lines
from hup.data.rejects import FileReject
from hup.errors import HupError

TableFormat = Literal["parquet", "csv", "jsonl", "arrow"]
ENDINGS: dict[str, TableFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".inter": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
EMPTY = "file is empty"
NO_ROWS = "file has no rows"
_TEXT_FORMATS = ("csv", "jsonl")
_SHOWN_COLUMNS = 30


def table_format(files: Sequence[SourceFile]) -> TableFormat:
    """Tell the format that all `files` have, from the endings of their names.

    Raises
    ------
    HupError
        If there are none, an ending is not known, or formats are mixed.
    """
    if not files:
        raise HupError("No files given to read a table from.")
    formats = {file.path: _format_of(file.path) for file in files}
    first, format = next(iter(formats.items()))
    for path, other in formats.items():
        if other != format:
            raise HupError(
                f"Files of different formats are mixed: {first} is {format}, {path} is {other}. "
                "Name the files of one format, for example by a pattern such as 'folder/*.parquet'."
            )
    return format


def _format_of(path: Path) -> TableFormat:
    packed = path.suffix.lower() in COMPRESSED
    ending = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    format = ENDINGS.get(ending)
    if format is None or (packed and format not in _TEXT_FORMATS):
        texts = ", ".join(ending for ending in ENDINGS if ENDINGS[ending] in _TEXT_FORMATS)
        others = ", ".join(ending for ending in ENDINGS if ENDINGS[ending] not in _TEXT_FORMATS)
        raise HupError(
            f"The name of {path} does not tell its format. Expected one of these endings: {others}; {texts}, also "
            f"followed by {' or '.join(COMPRESSED)}. Rename the file, or name others."
        )
    return format


def check_wanted(wanted: Sequence[str]) -> None:
    """Refuse columns that no engine can tell apart from each other or from those that say where a row is.

    Raises
    ------
    HupError
        If names differ only in upper and lower case, or begin like ``hup_row``.
    """
    seen: dict[str, str] = {}
    for name in wanted:
        if name.lower() in PLACE_COLUMNS:
            raise HupError(f"Column {name!r} cannot be read under this name: HUP uses it itself. Rename it.")
        if seen.setdefault(name.lower(), name) != name:
            raise HupError(
                f"Columns {seen[name.lower()]!r} and {name!r} differ only in upper and lower case, which SQL engines "
                "cannot tell apart. Rename one of them."
            )


def check_columns(place: str, existing: Sequence[str], wanted: Iterable[str], hint: str = "") -> None:
    """Refuse a table that lacks one of the `wanted` columns, or has it twice.

    Parameters
    ----------
    place : str
        The file or query, for the message.
    existing, wanted : sequence of str
        Names of columns.
    hint : str, optional
        A sentence for the end of the message.

    Raises
    ------
    HupError
        It names `place`, the column, those that exist and the nearest.
    """
    for name in wanted:
        count = existing.count(name)
        if count > 1:
            raise HupError(
                f"{place} has {count} columns named {name!r}. Rename all but one. It has {_listed(existing)}."
            )
        if count == 0:
            near = nearest(name, existing)
            question = f" Did you mean {near!r}?" if near is not None else ""
            raise HupError(f"{place} has no column {name!r}.{question} It has {_listed(existing)}.{hint}")


def nearest(name: str, existing: Iterable[str]) -> str | None:
    """Give the one of `existing` most like `name`, if any is like it at all."""
    by_lower = {other.lower(): other for other in existing}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN_COLUMNS]))
    return shown + (f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else "")


def require_rows(n_files: int, rejects: Sequence[FileReject]) -> None:
    """Refuse a source in which every file was rejected.

    Raises
    ------
    HupError
        It names the first files and what is wrong with each.
    """
    if len(rejects) < n_files:
        return
    named = "; ".join(f"{reject.file}: {reject.reason}" for reject in rejects[:5])
    more = f" and {len(rejects) - 5} more" if len(rejects) > 5 else ""
    raise HupError(f"There is nothing to read: {named}{more}.")


def given_rejects(rejects: Iterable[FileReject | None]) -> list[FileReject]:
    """List the files that were rejected, of which others are None."""
    return [reject for reject in rejects if reject is not None]


def require_columns(heads: Sequence[tuple[Sequence[str], FileReject | None]]) -> None:
    """Refuse files none of which has columns; a file without rows may well have some.

    Parameters
    ----------
    heads : sequence of tuple
        Names of the columns of each file, and why it has no rows, if so.

    Raises
    ------
    HupError
        As `require_rows`.
    """
    require_rows(len(heads), [reject for names, reject in heads if reject is not None and not names])


def first_lines(path: Path, count: int) -> tuple[list[bytes], str | None]:
    """Read up to `count` lines from the beginning of a text file, and say whether it breaks off before.

    Returns
    -------
    lines : list of bytes
        Without newlines and carriage returns before them; lines that are too long are left out.
    broken : str or None
        Why a compressed file could not be read further, if it ended before `count` lines.
    """
    lines: list[bytes] = []
    try:
        for block in whole_lines(path, lambda _amount: None, MAX_LINE_BYTES):
            if block is not None:
                lines += [line.removesuffix(b"\r") for line in block.split(b"\n", count - len(lines))]
            if len(lines) >= count:
                break
    except StreamBroken as broken:
        return lines, str(broken)
    return lines[:count], None
