"""Event tables, ready to be written as a dataset."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hup.data.append import known_paths
from hup.data.dataset import Dataset
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect
from hup.data.log_source import LogSource
from hup.data.manifest import Preparation, Source, Split, TreeCounts
from hup.data.progress import Progress
from hup.data.rejects import DROPPED, NOTED, SCHEMA
from hup.data.session_log import SessionLog
from hup.data.statistics import split_bounds
from hup.data.tables import numbering
from hup.data.tables.categories import SEPARATOR, CategorySource, CategoryTree, resolve_paths
from hup.data.tables.histories import HistoryRules
from hup.data.tables.item_paths import ItemPairs, ItemPaths, choose_paths, count_pairs
from hup.data.tables.item_table import read_category_tables
from hup.data.tables.log import TableLog, read_log
from hup.data.tables.mapping import Mapping, standard_mapping
from hup.data.tables.numbering import NumberedLog, number
from hup.data.tables.table_sessions import (
    CutSessions,
    HistoryNames,
    SessionTable,
    batches,
    stored_order,
    write_histories,
)
from hup.errors import HupError


@dataclass(frozen=True)
class TableOptions:
    """How event tables are prepared.

    Attributes
    ----------
    split : Split
        Method, shares and seed.
    levels : int, optional
        K; by default what the mapping says, else the depth of the deepest path.
    sequence : dict
        Sequence rules that override those of the mapping.
    base : Dataset, optional
        The dataset that the log is appended to.
    """

    split: Split
    levels: int | None = None
    sequence: dict[str, Any] = field(default_factory=dict)
    base: Dataset | None = None


def table_log(
    source: LogSource, engine: DuckDBEngine, work: Path, options: TableOptions, progress: Progress, *, now_ms: int
) -> SessionLog:
    """Read event tables, cut them into sessions and order these.

    Parameters
    ----------
    source : LogSource
        Files or query, and the mapping.
    engine : DuckDBEngine
        Keeps intermediate tables.
    work : Path
        Gets the events on the way.
    options : TableOptions
        Split, levels, sequences.
    progress : Progress
        Told what is being done.
    now_ms : int
        The present, milliseconds since 1970 UTC.

    Raises
    ------
    HupError
        If the mapping does not fit the tables, or they cannot be read.
    """
    mapping = chosen_mapping(source, engine, options.sequence)
    base = options.base
    ends = base.manifest.time.last_ms if base is not None and base.manifest.time is not None else None
    progress.phase("Reading", sum(file.bytes for file in source.tables.files) or None, "bytes")
    log = read_log(source.tables, mapping, engine, progress, now_ms=now_ms, after_ms=ends)
    for guess in (*log.guesses, *_never_met(mapping, log.counts.behaviors)):
        progress.note(guess)
    progress.phase("Users, sessions, items")
    known = tuple(base.manifest.behaviors) if base is not None else ()
    categories = category_source(source, mapping, engine, progress, now_ms)
    by_session = mapping.sequence_by == "session"
    numbered = number(log, categories, engine, by_session=by_session, rules=mapping.behaviors, known=known)
    progress.phase("Cutting sessions", log.counts.good, "events")
    rules = _rules(mapping)
    sessions = write_histories(work, engine.stream(numbered.events), rules, len(log.files), progress.advance)
    order = stored_order(sessions.sessions, options.split.seed)
    for note in _remarks(sessions, rules, len(numbered.too_long)):
        progress.note(note)
    bad = log.keep_only_bad(engine)
    n_train = _places_of_training(len(order), options)
    pairs = count_pairs(sessions, order, n_train, len(numbered.items), len(numbered.categories))
    names = numbered.items
    known_of = known_paths(base, names, SEPARATOR) if base is not None else ()
    pairs, raw = _used_categories(pairs, numbered.categories)
    resolved = resolve_paths(raw, mapping.categories, options.levels, categories.tree)
    paths = choose_paths(pairs, resolved, len(names), known_of)
    for note in (*categories.notes, *resolved.notes):
        progress.note(note)
    histories = HistoryNames(numbered.keys, rules.by)
    return SessionLog(
        preparation=_preparation(mapping),
        levels=resolved.levels,
        separator=SEPARATOR,
        behaviors=numbered.behaviors,
        items=pa.table({"item": names, "path": paths.paths}),
        sessions=histories.sessions(sessions.sessions, order),
        n_events=sessions.counts.events,
        events=partial(batches, sessions, order),
        rejects=partial(_rejects, log.files, bad, categories, engine, histories, numbered, sessions.short, paths),
        rows=log.counts.asked_for,
        file_rejects=[*log.file_rejects, *categories.file_rejects],
        sources=_sources(log, sessions),
        left_out={**log.counts.left_out, **_left_out(sessions, numbered)},
        tree=_tree_counts(categories.tree, paths),
    )


def chosen_mapping(source: LogSource, engine: DuckDBEngine, sequence: dict[str, Any]) -> Mapping:
    """Give the mapping of a log, with sequence rules overridden.

    Raises
    ------
    HupError
        If there is none and the tables do not have HUP's own names.
    """
    mapping = source.mapping
    if mapping is None:
        columns = engine.reader.columns(source.tables, Dialect())
        mapping = standard_mapping(columns)
        if mapping is None:
            if source.tables.frame is not None:
                raise HupError(
                    f"What do these columns mean? Found: {', '.join(columns)}. hup.propose_mapping(table) proposes a "
                    "mapping; look it over, and give it as map=proposal.mapping."
                )
            raise HupError(
                f"What do these columns mean? Found: {', '.join(columns)}. Write it down with "
                f"`hup map {source.words} --out mapping.toml`, look it over, and add --map mapping.toml."
            )
    return mapping.with_sequence(**sequence) if sequence else mapping


def category_source(
    source: LogSource, mapping: Mapping, engine: DuckDBEngine, progress: Progress, now_ms: int
) -> CategorySource:
    """Tell where categories come from; tables of items and of parents are read, if the mapping names some."""
    rules = mapping.categories
    if rules.items is None and rules.parents is None:
        return CategorySource()
    return read_category_tables(source, mapping, engine, progress, now_ms)


def _rules(mapping: Mapping) -> HistoryRules:
    rules = mapping.sequence
    return HistoryRules(
        by=mapping.sequence_by,
        idle_gap_ms=round(rules.idle_gap_minutes * 60_000),
        window=rules.window,
        last_events=rules.last_events,
        dwell_cap_ms=round(rules.dwell_cap_seconds * 1000),
        drop_repeated_rows=rules.drop_repeated_rows,
    )


def _preparation(mapping: Mapping) -> Preparation:
    rules = mapping.sequence.model_dump(mode="json")
    return Preparation(
        format="events",
        mapping=mapping.model_dump(mode="json", exclude_unset=True),
        sequence={**{name: value for name, value in rules.items() if value is not None}, "by": mapping.sequence_by},
        dwell_cap_seconds=mapping.sequence.dwell_cap_seconds,
    )


def _places_of_training(n_sessions: int, options: TableOptions) -> int:
    """Count the new sessions that will be for training, once they stand behind those that are there."""
    before = len(options.base) if options.base is not None else 0
    bounds = split_bounds(before + n_sessions, options.split.shares)
    return max(0, bounds.train[1] - before)


def _used_categories(pairs: ItemPairs, raw: list[str | None]) -> tuple[ItemPairs, list[str | None]]:
    """Leave out raw categories that no used event has, so that they do not deepen the tree."""
    used, code = np.unique(pairs.category, return_inverse=True)
    return replace(pairs, category=code.astype(np.int64)), [raw[place] for place in used]


def _never_met(mapping: Mapping, met: Collection[str]) -> Iterator[str]:
    rules = mapping.behaviors
    for name in rules.keep or ():
        if rules.names.get(name, name) not in met:
            yield f"Behavior {name!r}, which the mapping keeps, is never met. Is it spelt as in the table?"


def _remarks(sessions: CutSessions, rules: HistoryRules, n_too_long: int) -> Iterator[str]:
    counts = sessions.counts
    if counts.capped_dwells:
        yield (
            f"{counts.capped_dwells:,} item visits were longer than {rules.dwell_cap_ms / 1000:g} s and count as that "
            "(--dwell-cap)."
        )
    if n_too_long:
        longest = f"{numbering.LONGEST_HISTORY:,}"
        yield f"Histories of more than {longest} events, as only robots have, are left out: {n_too_long:,}."


def _sources(log: TableLog, sessions: CutSessions) -> list[Source]:
    files = zip(log.files, log.sizes, log.counts.rows_by_file, sessions.used_by_file.tolist(), strict=True)
    return [Source(file=file, bytes=size, lines=rows, used_events=used) for file, size, rows, used in files]


def _left_out(sessions: CutSessions, numbered: NumberedLog) -> dict[str, int]:
    counts = sessions.counts
    reasons = {
        "event id is repeated": counts.duplicates,
        "row is repeated": counts.repeated_rows,
        "older than the last events kept": counts.older_events,
        "in a session with fewer than two item runs": counts.short_events,
        f"in a history of more than {numbering.LONGEST_HISTORY:,} events": sum(numbered.too_long["rows"].to_pylist()),
    }
    return {reason: rows for reason, rows in reasons.items() if rows}


def _tree_counts(tree: CategoryTree | None, paths: ItemPaths) -> TreeCounts:
    return TreeCounts(
        items_without_category=paths.without[0],
        events_without_category=paths.without[1],
        items_extended=paths.extended,
        items_cut=paths.cut,
        items_moved=paths.moved_items,
        events_moved=paths.moved_events,
        unknown_parents=len(tree.unknown_parents) if tree is not None else 0,
        cycles=len(tree.cycles) if tree is not None else 0,
    )


def _rejects(
    files: Sequence[str],
    bad: str,
    categories: CategorySource,
    engine: DuckDBEngine,
    histories: HistoryNames,
    numbered: NumberedLog,
    short: SessionTable,
    paths: ItemPaths,
) -> Iterator[pa.RecordBatch]:
    """Yield bad rows in log order, then histories and sessions that are not used, then what is odd about categories."""
    yield from bad_rows(files, bad, engine)
    for side in categories.bad:
        yield from bad_rows(side.files, side.rows, engine, effect=NOTED)
    if len(numbered.too_long):
        yield histories.long_histories(numbered.too_long)
    yield from histories.short_sessions(short)
    for items, sentences in paths.move_rows(numbered.items):
        yield _noted(items, sentences)


def bad_rows(files: Sequence[str], bad: str, engine: DuckDBEngine, effect: str = DROPPED) -> Iterator[pa.RecordBatch]:
    """Yield rows that cannot be used as rows of `rejects.SCHEMA`, in order of place."""
    names = pa.array(files, pa.string())
    for batch in engine.stream(f'SELECT * FROM {bad} ORDER BY file, "row" NULLS FIRST, text, reason'):
        columns = [names.take(batch.column("file")), *(batch.column(name) for name in ("row", "text", "reason"))]
        typed = (column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=False))
        yield pa.record_batch([*typed, pa.repeat(pa.scalar(effect), len(batch))], SCHEMA)


def _noted(names: pa.Array, sentences: Sequence[str]) -> pa.RecordBatch:
    n = len(sentences)
    effect = pa.repeat(pa.scalar(NOTED), n)
    return pa.record_batch(
        [pa.nulls(n, pa.string()), pa.nulls(n, pa.int64()), names.cast(pa.string()), pa.array(sentences), effect],
        SCHEMA,
    )
