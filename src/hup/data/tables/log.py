"""Event tables as one table of typed rows: read, checked, and kept by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import reduce

import ibis
import ibis.expr.types as ir
from ibis import _

from hup.data.engines.engine import Engine, RawTable, TableSource
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile
from hup.data.tables.mapping import Mapping, TableMapping
from hup.data.tables.row_counts import RowCounts, count_rows
from hup.data.tables.rows import kept_name, typed_rows
from hup.errors import HupError

CHECKED = "checked_rows"
BAD_COLUMNS = ("file", "row", "text", "reason")
EMPTY_LINE = "empty line"
NOT_LATER = "event is not later than the last one of the dataset"


@dataclass(frozen=True)
class TableLog:
    """Typed rows of all tables of a log.

    Attributes
    ----------
    rows : Table
        As `typed_rows` gives them; ``file`` indexes `files`.
    files : tuple of str
        Names of the files.
    sizes : tuple of int
        Their bytes.
    file_rejects : list of FileReject
        Whole files that could not be used, or not to their end.
    guesses : tuple of str
        What was guessed, in sentences.
    placed : bool
        Whether rows have places; those of a query have none.
    counts : RowCounts
        What is in the rows.
    kept : tuple of str
        Names under which the engine keeps what `rows` reads.
    """

    rows: ir.Table
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    file_rejects: list[FileReject]
    guesses: tuple[str, ...]
    placed: bool
    counts: RowCounts
    kept: tuple[str, ...]

    @property
    def good(self) -> ir.Table:
        """The usable rows."""
        return self.rows.filter(_.reason.isnull() & ~_.left_out)

    def only_bad(self, engine: Engine) -> ir.Table:
        """Keep the rows that cannot be used, and forget the others: they take most of the memory."""
        bad = engine.materialise("bad_rows", self.rows.filter(_.reason.notnull()).select(*BAD_COLUMNS))
        engine.drop(CHECKED)
        for name in self.kept:
            engine.drop(name)
        return bad


def read_log(
    source: TableSource,
    mapping: Mapping,
    engine: Engine,
    progress: Progress,
    *,
    now_ms: int,
    after_ms: int | None = None,
) -> TableLog:
    """Read and check all rows of `source`.

    Parameters
    ----------
    source : TableSource
        What to read.
    mapping : Mapping
        What its columns mean.
    engine : Engine
        Keeps the rows.
    progress : Progress
        Told the bytes read.
    now_ms : int
        The present, milliseconds since 1970 UTC: later events are in the future.
    after_ms : int, optional
        Events up to here are refused: those of a dataset that is appended to.

    Raises
    ------
    HupError
        If a file belongs to no table of the mapping, lacks a column, or nothing can be read.
    """
    parts: list[ir.Table] = []
    raws: list[RawTable] = []
    kept: list[str] = []
    guesses: dict[str, None] = {}
    for table, part in assign(source, mapping, progress):
        there = engine.columns(part, table.dialect)
        wanted = table.resolve(there, mapping.categories, _place(part))
        raw = engine.read(part, table.dialect, wanted, progress)
        typed = typed_rows(raw, table, mapping, engine, now_ms)
        first_file = sum(len(earlier.files) for earlier in raws)
        kept.append(kept_name(table, mapping))
        parts.append(typed.table.mutate(file=(_.file + first_file).cast("int32")))
        guesses |= dict.fromkeys(typed.guesses)
        raws.append(raw)
    rows = reduce(lambda first, second: ibis.union(first, second), parts)
    # Blank lines say nothing that could be lost.
    rows = rows.filter(rows.reason.isnull() | (rows.reason != EMPTY_LINE))
    if after_ms is not None:
        rows = _later_than(rows, after_ms)
    checked = engine.view(CHECKED, rows)
    files = tuple(name for raw in raws for name in raw.files)
    return TableLog(
        rows=checked,
        files=files,
        sizes=tuple(size for raw in raws for size in raw.sizes),
        file_rejects=[reject for raw in raws for reject in raw.file_rejects],
        guesses=tuple(guesses),
        placed=source.query is None,
        counts=count_rows(checked, len(files), engine),
        kept=tuple(kept),
    )


def assign(source: TableSource, mapping: Mapping, progress: Progress) -> list[tuple[TableMapping, TableSource]]:
    """Divide the files of `source` among the tables of `mapping`.

    A file goes to the first table whose pattern its name matches, else to the table without a pattern. Files of no
    table, and those with categories, are told and left out.

    Raises
    ------
    HupError
        If no file is left.
    """
    if not source.files:
        return [(mapping.tables[0], source)]
    named = [(number, table.match) for number, table in enumerate(mapping.tables) if table.match is not None]
    others = [number for number, table in enumerate(mapping.tables) if table.match is None]
    side = _side_patterns(mapping)
    parts: dict[int, list[SourceFile]] = {}
    unused = []
    for file in source.files:
        name = file.path.name
        fitting = [number for number, pattern in named if fnmatchcase(name, pattern)]
        if not fitting and not any(fnmatchcase(name, pattern) for pattern in side):
            fitting = others
        if fitting:
            parts.setdefault(fitting[0], []).append(file)
        elif not any(fnmatchcase(name, pattern) for pattern in side):
            unused.append(file.name)
    if not parts:
        patterns = ", ".join(pattern for _number, pattern in named)
        raise HupError(f"No file is one of the mapping's tables, whose names match {patterns}. Found: {_few(unused)}.")
    if unused:
        progress.note(f"Not a table of the mapping, left out: {_few(unused)}.")
    return [(mapping.tables[number], replace(source, files=tuple(files))) for number, files in sorted(parts.items())]


def _side_patterns(mapping: Mapping) -> tuple[str, ...]:
    rules = mapping.categories
    return tuple(pattern for table in (rules.items, rules.parents) if table is not None for pattern in table.file)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown or "nothing"


def _place(source: TableSource) -> str:
    if source.files:
        return source.files[0].name
    return source.uris[0] if source.uris else "the query"


def _later_than(rows: ir.Table, after_ms: int) -> ir.Table:
    early = rows.reason.isnull() & ~rows.left_out & (rows.time_ms <= after_ms)
    found = ibis.literal(f"{NOT_LATER}: ") + rows.time_ms.cast("string")
    names = (("user", rows.user), ("session", rows.session), ("item", rows["item"]))
    text = reduce(lambda first, second: first + ", " + second, (f"{name}=" + v.fill_null("") for name, v in names))
    return rows.mutate(
        reason=ibis.ifelse(early, found + f" ms is not after {after_ms} ms", rows.reason),
        text=ibis.ifelse(early, text, rows.text),
    )
