"""The checks of preparation alone: what is in a log, what is wrong with it, and where."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from hup.behaviors import JD_BEHAVIORS
from hup.data.engines.duckdb_engine import DuckDBEngine, EngineName, open_engine
from hup.data.jd_log import SEPARATOR as JD_SEPARATOR
from hup.data.jd_log import located, read_tokens
from hup.data.log_source import LogFormat, LogSource, Sources, find_log
from hup.data.manifest import TimeRange
from hup.data.prepare import check_options
from hup.data.progress import Progress
from hup.data.rejects import DROPPED, NOTED, FileReject, RejectTally
from hup.data.tables.categories import SEPARATOR, resolve_paths
from hup.data.tables.log import BAD_COLUMNS, read_log
from hup.data.tables.mapping import Mapping
from hup.data.tables.read import bad_rows, category_source, chosen_mapping


@dataclass(frozen=True)
class ValidationReport:
    """What the checks found.

    Attributes
    ----------
    format : str
        ``"jd"`` or ``"events"``.
    rows : int
        Rows, or tokens and bad lines, without those left out on purpose.
    usable : int
        Those that can be used.
    problems : dict of str to int
        Bad rows and files by kind of reason.
    examples : dict of str to list of str
        Where each kind was met, the first few.
    left_out : dict of str to int
        Rows left out on purpose, by reason.
    notes : list of str
        What was guessed, and what is odd without being wrong.
    users, sessions, items : int or None
        Distinct ones among usable rows; None where the log does not name them. By gap, sessions are what users are cut
        into; by user they are not counted.
    sessions_with_target : int or None
        Sessions with two different items or more, which alone can be used; None where sessions are not counted.
    behaviors : dict of str to int
        Usable rows of each behavior.
    categories : list of int
        Categories of each level, coarsest first.
    time : TimeRange or None
        First and last moment.
    problem : str or None
        Why `prepare` would refuse the log; None if it would not.
    """

    format: str
    rows: int
    usable: int
    problems: dict[str, int]
    examples: dict[str, list[str]]
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    users: int | None = None
    sessions: int | None = None
    items: int = 0
    sessions_with_target: int | None = None
    behaviors: dict[str, int] = field(default_factory=dict)
    categories: list[int] = field(default_factory=list)
    time: TimeRange | None = None
    problem: str | None = None


def validate(
    sources: Sources = (),
    *,
    format: LogFormat | None = None,
    map: str | Path | Mapping | None = None,
    query: str | None = None,
    sequence: Literal["session", "gap", "user"] | None = None,
    idle_gap_minutes: float | None = None,
    levels: int | None = None,
    max_reject_share: float = 0.05,
    engine: EngineName = "duckdb",
    spark_master: str | None = None,
    memory_limit: str | None = None,
    progress: Progress | None = None,
) -> ValidationReport:
    """Check a log without preparing it.

    What does not fit into memory goes to the system's temporary folder; the environment variable ``TMPDIR`` names
    another one.

    Parameters
    ----------
    sources, format, map, query, sequence, idle_gap_minutes, levels, max_reject_share
        As for `prepare`.
    engine, spark_master, memory_limit, progress
        As for `prepare`.

    Raises
    ------
    HupError
        If a source is missing or cannot be read at all, or the mapping does not fit it.

    Examples
    --------
    >>> import hup
    >>> report = hup.validate("2019-Oct.csv", map="rees46")     # doctest: +SKIP
    >>> report.usable, report.problems                          # doctest: +SKIP
    (17434, {'wrong number of fields': 1})
    """
    check_options(format, levels, max_reject_share, "time", 0, engine)
    progress = progress or Progress()
    changes = {"by": sequence, "idle_gap_minutes": idle_gap_minutes}
    sequences = {name: value for name, value in changes.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="hup-") as work:
        source = find_log(sources, Path(work), format, map, query, engine, progress.note)
        source.refuse_unused(sequences)
        with open_engine(engine, Path(work), memory_limit, spark_master) as running:
            if source.format == "jd":
                return _of_lines(source, running, levels, max_reject_share, progress)
            return _of_tables(source, running, levels, max_reject_share, progress, sequences)


def _of_lines(
    source: LogSource, engine: DuckDBEngine, levels: int | None, limit: float, progress: Progress
) -> ValidationReport:
    tokens = read_tokens(source.tables.files, engine, progress, levels)
    progress.phase("Counting")
    rejected = f"SELECT *, '{DROPPED}' AS effect FROM rejected ORDER BY session, position NULLS FIRST, reason"
    tally = _tallied(located(rejected, tokens.lines, engine), tokens.lines.file_rejects)
    counts = engine.collect(
        """
        SELECT count(*) AS sessions, count(*) FILTER (low <> high) AS with_target,
            (SELECT count(DISTINCT item) FROM events) AS items
        FROM (SELECT min(item) AS low, max(item) AS high FROM events GROUP BY session)
        """
    ).to_pylist()[0]
    paths = engine.collect("SELECT DISTINCT path FROM events")["path"].to_pylist()
    codes = engine.collect("SELECT behavior, count(*) AS n FROM events GROUP BY behavior ORDER BY behavior").to_pylist()
    return ValidationReport(
        format="jd",
        rows=tokens.n,
        usable=tokens.n - tally.malformed.total(),
        problems=dict(tally.by_reason.most_common()),
        examples=tally.examples,
        sessions=counts["sessions"],
        sessions_with_target=counts["with_target"],
        items=counts["items"],
        behaviors={JD_BEHAVIORS[row["behavior"]].name: row["n"] for row in codes},
        categories=_categories([path.split(JD_SEPARATOR) for path in paths], tokens.levels),
        problem=tally.problem(tokens.n, limit, "tokens") or _without_target(counts["with_target"]),
    )


def _of_tables(
    source: LogSource,
    engine: DuckDBEngine,
    levels: int | None,
    limit: float,
    progress: Progress,
    sequences: dict[str, Any],
) -> ValidationReport:
    mapping = chosen_mapping(source, engine, sequences)
    progress.phase("Reading", sum(file.bytes for file in source.tables.files) or None, "bytes")
    now_ms = time.time_ns() // 1_000_000
    log = read_log(source.tables, mapping, engine, progress, now_ms=now_ms)
    progress.phase("Counting")
    good = log.good
    categories = category_source(source, mapping, engine, progress, now_ms)
    bad = bad_rows(log.files, f"(SELECT {BAD_COLUMNS} FROM {log.rows} WHERE reason IS NOT NULL)", engine)
    beside = (bad_rows(side.files, side.rows, engine, NOTED) for side in categories.bad)
    tally = _tallied(chain(bad, *beside), [*log.file_rejects, *categories.file_rejects])
    raw = engine.collect(f"SELECT DISTINCT category FROM ({categories.of_events(good)}) ORDER BY category")["category"]
    resolved = resolve_paths(raw.to_pylist(), mapping.categories, levels, categories.tree)
    whole = f"SELECT min(time_ms) AS first, max(time_ms) AS last, count(DISTINCT item) AS items FROM ({good})"
    span = engine.collect(whole).to_pylist()[0]
    by_user = mapping.sequence_by == "user"
    keys = _count_keys(good, engine, mapping)
    return ValidationReport(
        format="events",
        rows=log.counts.asked_for,
        usable=log.counts.good,
        problems=dict(tally.by_reason.most_common()),
        examples=tally.examples,
        left_out=log.counts.left_out,
        notes=[*log.guesses, *categories.notes, *resolved.notes],
        users=keys["users"] or None,
        sessions=None if by_user else keys["keys"],
        sessions_with_target=None if by_user else keys["with_target"],
        items=span["items"],
        behaviors=dict(sorted(log.counts.behaviors.items(), key=lambda pair: (-pair[1], pair[0]))),
        categories=_categories([path.split(SEPARATOR) for path in resolved.paths], resolved.levels),
        time=None if span["first"] is None else TimeRange(first_ms=span["first"], last_ms=span["last"]),
        problem=tally.problem(log.counts.asked_for, limit, "rows")
        or _without_target(keys["with_target"], "user" if by_user else "session"),
    )


def _tallied(batches: Iterator[pa.RecordBatch], file_rejects: Sequence[FileReject]) -> RejectTally:
    tally = RejectTally()
    for batch in batches:
        tally.add(batch)
    for reject in file_rejects:
        tally.add_file(reject)
    return tally


def _count_keys(good: str, engine: DuckDBEngine, mapping: Mapping) -> dict[str, int]:
    """Count users, ``keys`` (sessions, or else users), and those of these ``with_target``: with two different items."""
    keys = '"user", session' if mapping.sequence_by == "session" else '"user"'
    if mapping.sequence_by == "gap":
        gap_ms = round(mapping.sequence.idle_gap_minutes * 60_000)
        by_time = (
            'OVER (PARTITION BY "user" ORDER BY time_ms)'  # rows of one time have one number, whatever their order
        )
        begun = f'SELECT "user", item, time_ms, time_ms - lag(time_ms) {by_time} > {gap_ms} AS begins FROM ({good})'
        good = f"SELECT *, count(*) FILTER (begins) {by_time} AS number FROM ({begun})"
        keys = '"user", number'
    spans = f'SELECT "user", min(item) <> max(item) AS has_target FROM ({good}) GROUP BY {keys}'
    counts = 'count(DISTINCT "user") AS users, count(*) AS keys, count(*) FILTER (has_target) AS with_target'
    return {
        name: int(count) for name, count in engine.collect(f"SELECT {counts} FROM ({spans})").to_pylist()[0].items()
    }


def _categories(paths: Sequence[Sequence[str]], levels: int) -> list[int]:
    return [len({tuple(path[: level + 1]) for path in paths}) for level in range(levels)]


def _without_target(n: int, what: str = "session") -> str | None:
    """Say so if none of `n` sessions, or users, of whose events sessions are made, can be used."""
    return f"No {what} has two different items, and so none has a target: nothing can be learnt." if n == 0 else None
