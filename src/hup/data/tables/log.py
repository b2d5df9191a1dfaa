"""Event tables as one table of typed rows: read, checked, and kept by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import RawTable, TableSource
from hup.data.engines.sql_text import quoted_name, quoted_text
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile
from hup.data.tables.mapping import Mapping, TableMapping
from hup.data.tables.row_counts import RowCounts, count_rows
from hup.data.tables.rows import kept_name, typed_rows
from hup.errors import HupError

CHECKED = "checked_rows"
BAD_COLUMNS = 'file, "row", text, reason'
EMPTY_LINE = "empty line"
NOT_LATER = "event is not later than the last one of the dataset"


@dataclass(frozen=True)
class TableLog:
    """Typed rows of all tables of a log.

    Attributes
    ----------
    rows : str
        Name under which the engine has them, as `typed_rows` gives them; ``file`` indexes `files`.
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

    rows: str
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    file_rejects: list[FileReject]
    guesses: tuple[str, ...]
    placed: bool
    counts: RowCounts
    kept: tuple[str, ...]

    @property
    def good(self) -> str:
        """A SELECT of the usable rows."""
        return f"SELECT * FROM {self.rows} WHERE reason IS NULL AND NOT left_out"

    def keep_only_bad(self, engine: DuckDBEngine) -> str:
        """Keep the rows that cannot be used, under the name returned, and forget the others, which take most room."""
        engine.create_table("bad_rows", f"SELECT {BAD_COLUMNS} FROM {self.rows} WHERE reason IS NOT NULL")
        for name in (self.rows, *self.kept):
            engine.drop(name)
        return "bad_rows"


def read_log(
    source: TableSource,
    mapping: Mapping,
    engine: DuckDBEngine,
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
    engine : DuckDBEngine
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
    parts: list[str] = []
    raws: list[RawTable] = []
    kept: list[str] = []
    guesses: dict[str, None] = {}
    for table, part in assign(source, mapping, progress):
        there = engine.reader.columns(part, table.dialect)
        wanted = table.resolve(there, mapping.categories, _place(part))
        raw = engine.reader.read(part, table.dialect, wanted, progress)
        typed = typed_rows(raw, table, mapping, engine, now_ms)
        first_file = sum(len(earlier.files) for earlier in raws)
        kept.append(kept_name(table, mapping))
        parts.append(f"SELECT * REPLACE ((file + {first_file})::INTEGER AS file) FROM ({typed.sql})")
        guesses |= dict.fromkeys(typed.guesses)
        raws.append(raw)
    # Blank lines say nothing that could be lost.
    rows = f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE reason IS DISTINCT FROM {quoted_text(EMPTY_LINE)}"
    engine.create_view(CHECKED, rows if after_ms is None else _later_than(rows, after_ms))
    files = tuple(name for raw in raws for name in raw.files)
    return TableLog(
        rows=CHECKED,
        files=files,
        sizes=tuple(size for raw in raws for size in raw.sizes),
        file_rejects=[reject for raw in raws for reject in raw.file_rejects],
        guesses=tuple(guesses),
        placed=source.query is None,
        counts=count_rows(CHECKED, len(files), engine),
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


def _later_than(rows: str, after_ms: int) -> str:
    early = f"reason IS NULL AND NOT left_out AND time_ms <= {after_ms}"
    reason = f"'{NOT_LATER}: ' || time_ms || ' ms is not after {after_ms} ms'"
    text = " || ', ' || ".join(
        f"'{name}=' || coalesce({quoted_name(name)}, '')" for name in ("user", "session", "item")
    )
    return (
        f"SELECT * REPLACE (CASE WHEN {early} THEN {reason} ELSE reason END AS reason, "
        f"CASE WHEN {early} THEN {text} ELSE text END AS text) FROM ({rows})"
    )
