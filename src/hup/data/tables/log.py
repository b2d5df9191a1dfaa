"""Event tables as one table of typed rows: read, checked, counted, and kept by the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import EMPTY_LINE, RawTable, SourceFile, TableSource, quoted_name, quoted_text
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.tables.mapping import Mapping
from hup.data.tables.mapping_rules import TableMapping
from hup.data.tables.rows import kept_name, typed_rows
from hup.errors import HupError

CHECKED = "checked_rows"
BAD_COLUMNS = 'file, "row", text, reason'
NOT_LATER = "event is not later than the last one of the dataset"
_IS_GOOD = "reason IS NULL AND left_out IS NULL"
_OPTIONAL = ("event_id", "interval", "dwell")
_SUMS = ("session_ids", "finer", "n_event_number", "n_event_text", "n_interval", "n_dwell")


@dataclass(frozen=True)
class RowCounts:
    """Counts of the rows of a log.

    Attributes
    ----------
    rows_by_file, good_by_file : list of int
        Rows, and usable rows, of each file.
    bad : int
        Rows that cannot be used.
    left_out : dict of str to int
        Rows that the mapping leaves out, by reason.
    behaviors : dict of str to int
        Usable rows of each behavior.
    columns : tuple of str
        Those of event_id, interval and dwell that some usable row has.
    has_sessions : bool
        Whether some usable row has a session id.
    ids_are_whole : bool
        Whether all event ids are whole numbers.
    has_finer_times : bool
        Whether some usable row has a time with digits beyond milliseconds.
    """

    rows_by_file: list[int]
    good_by_file: list[int]
    bad: int
    left_out: dict[str, int]
    behaviors: dict[str, int]
    columns: tuple[str, ...]
    has_sessions: bool
    ids_are_whole: bool
    has_finer_times: bool

    @property
    def good(self) -> int:
        """Number of usable rows."""
        return sum(self.good_by_file)

    @property
    def asked_for(self) -> int:
        """Number of rows that the mapping asks for, good and bad."""
        return self.good + self.bad


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
    exploded : bool
        Whether several rows may have one place, and differ in their parts.
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
    exploded: bool
    counts: RowCounts
    kept: tuple[str, ...]

    @property
    def good(self) -> str:
        """A SELECT of the usable rows."""
        return f"SELECT * FROM {self.rows} WHERE {_IS_GOOD}"

    def keep_only_bad(self, engine: DuckDBEngine) -> str:
        """Keep the rows that cannot be used, under the name returned, and forget the others, which take most room."""
        bad = "reason IS NOT NULL" if self.counts.bad else "false"
        engine.create_table("bad_rows", f"SELECT {BAD_COLUMNS} FROM {self.rows} WHERE {bad}")
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
        bound = table.bind(there, mapping.categories, _place(part))
        dialect = replace(table.dialect, nested=bound.inner.columns)
        raw = engine.reader.read(part, dialect, bound.columns(), progress)
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
        exploded=any(table.explode is not None for table in mapping.tables),
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
    if source.frame is not None:
        return "the table"
    return source.uris[0] if source.uris else "the query"


def _later_than(rows: str, after_ms: int) -> str:
    early = f"{_IS_GOOD} AND time_ms <= {after_ms}"
    reason = f"'{NOT_LATER}: ' || time_ms || ' ms is not after {after_ms} ms'"
    text = " || ', ' || ".join(
        f"'{name}=' || coalesce({quoted_name(name)}, '')" for name in ("user", "session", "item")
    )
    return (
        f"SELECT * REPLACE (CASE WHEN {early} THEN {reason} ELSE reason END AS reason, "
        f"CASE WHEN {early} THEN {text} ELSE text END AS text) FROM ({rows})"
    )


def count_rows(rows: str, n_files: int, engine: DuckDBEngine) -> RowCounts:
    """Count typed rows.

    Parameters
    ----------
    rows : str
        Name of a table with the columns that `typed_rows` gives.
    n_files : int
        Number of files.
    engine : DuckDBEngine
        Runs one aggregation.
    """
    counts = ", ".join(f"count({name}) AS n_{name}" for name in ("event_number", "event_text", "interval", "dwell"))
    kinds = f"""
        SELECT file, left_out, reason IS NOT NULL AS bad,
            CASE WHEN {_IS_GOOD} THEN behavior END AS behavior,
            count(*) AS n, count(session) AS session_ids,
            count(*) FILTER (WHERE time_ns > 0) AS finer, {counts}
        FROM {rows} GROUP BY ALL"""
    total, good = [0] * n_files, [0] * n_files
    behaviors: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    bad = 0
    for row in engine.collect(kinds).to_pylist():
        total[row["file"]] += row["n"]
        if row["bad"]:
            bad += row["n"]
        elif row["left_out"] is not None:
            left_out[row["left_out"]] += row["n"]
        else:
            good[row["file"]] += row["n"]
            behaviors[row["behavior"]] += row["n"]
            sums.update({name: n for name, n in row.items() if name in _SUMS})
    sums["n_event_id"] = sums["n_event_number"] + sums["n_event_text"]
    return RowCounts(
        rows_by_file=total,
        good_by_file=good,
        bad=bad,
        left_out=dict(left_out.most_common()),
        behaviors=dict(behaviors.most_common()),
        columns=tuple(name for name in _OPTIONAL if sums[f"n_{name}"]),
        has_sessions=sums["session_ids"] > 0,
        has_finer_times=sums["finer"] > 0,
        ids_are_whole=0 < sums["n_event_id"] == sums["n_event_number"],
    )
