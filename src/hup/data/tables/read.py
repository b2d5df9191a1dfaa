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
from hup.data.manifest import Preparation, Split, TreeCounts
from hup.data.progress import Progress
from hup.data.rejects import DROPPED, NOTED, SCHEMA
from hup.data.split import split_bounds
from hup.data.stored_log import StoredLog
from hup.data.tables.category_paths import SEPARATOR
from hup.data.tables.category_tree import CategoryTree
from hup.data.tables.histories import CutSessions, write_histories
from hup.data.tables.item_pairs import ItemPairs, count_pairs
from hup.data.tables.item_paths import ItemPaths, choose_paths
from hup.data.tables.item_table import CategorySource, category_source
from hup.data.tables.key_blocks import LONGEST_KEY
from hup.data.tables.log import read_log
from hup.data.tables.mapping import Mapping, standard_mapping
from hup.data.tables.numbering import number
from hup.data.tables.origins import TableOrigins
from hup.data.tables.session_cuts import HistoryRules
from hup.data.tables.stored_order import batches, stored_order
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
) -> StoredLog:
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
    for note in _remarks(sessions, rules):
        progress.note(note)
    bad = log.keep_only_bad(engine)
    n_train = _places_of_training(len(order), options)
    pairs = count_pairs(sessions, order, n_train, len(numbered.categories))
    names = numbered.items
    known_of = known_paths(base, names, SEPARATOR) if base is not None else ()
    pairs, raw = _used_categories(pairs, numbered.categories)
    resolved = categories.resolve(raw, mapping, options.levels)
    paths = choose_paths(pairs, resolved, len(names), known_of)
    for note in (*categories.notes, *resolved.notes):
        progress.note(note)
    origins = TableOrigins(log, numbered.keys, sessions, order, by=rules.by)
    items = pa.table({"item": names, "path": paths.paths})
    return StoredLog(
        preparation=_preparation(mapping),
        levels=resolved.levels,
        separator=SEPARATOR,
        behaviors=numbered.behaviors,
        n_events=sessions.counts.events,
        n_sessions=len(order),
        batches=partial(batches, sessions, order),
        items=lambda: items,
        n_items=len(names),
        rejects=partial(_rejects, log.files, bad, categories, engine, origins, paths, names),
        rows=log.counts.asked_for,
        file_rejects=[*log.file_rejects, *categories.file_rejects],
        origins=origins,
        left_out={**log.counts.left_out, **_left_out(sessions)},
        tree=partial(_tree_counts, categories.tree, paths),
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
            raise HupError(
                f"What do these columns mean? Found: {', '.join(columns)}. Write it down with "
                f"`hup map {source.words} --out mapping.toml`, look it over, and add --map mapping.toml."
            )
    return mapping.with_sequence(**sequence) if sequence else mapping


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


def _remarks(sessions: CutSessions, rules: HistoryRules) -> Iterator[str]:
    counts = sessions.counts
    if counts.capped_dwells:
        yield (
            f"{counts.capped_dwells:,} item visits were longer than {rules.dwell_cap_ms / 1000:g} s and count as that "
            "(--dwell-cap)."
        )
    if counts.cut_keys:
        yield (
            f"{counts.cut_keys:,} histories have more than {LONGEST_KEY:,} events, as only robots have; each is taken "
            "in pieces of that many."
        )


def _left_out(sessions: CutSessions) -> dict[str, int]:
    counts = sessions.counts
    reasons = {
        "event id is repeated": counts.duplicates,
        "row is repeated": counts.repeated_rows,
        "older than the last events kept": counts.older_events,
        "in a session with fewer than two item runs": counts.short_events,
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
    origins: TableOrigins,
    paths: ItemPaths,
    names: pa.LargeStringArray,
) -> Iterator[pa.RecordBatch]:
    """Yield bad rows in log order, then sessions without a target, then what was odd about items and categories."""
    yield from bad_rows(files, bad, engine)
    for side in categories.bad:
        yield from bad_rows(side.files, side.rows, engine, effect=NOTED)
    yield from origins.short_sessions()
    for items, sentences in paths.move_rows(names):
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
