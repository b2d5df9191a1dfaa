"""Tables of items and of parents: which category an item was in at which time, and which category lies in which."""

from __future__ import annotations

import glob
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from pathlib import Path

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, RawTable, SourceFile, TableSource, quoted_name, quoted_text, select
from hup.data.log_source import LogSource, find_sources
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.tables.categories import CategorySource, CategoryTree, SideRejects, build_tree, shown_path
from hup.data.tables.mapping import Mapping
from hup.data.tables.mapping_rules import ItemTable, ParentTable, find_column
from hup.data.tables.rows import (
    PLACES,
    SHOWN_CATEGORY,
    Check,
    category_parts,
    column_id,
    first_reason,
    joined_category,
    row_text,
    time_checks,
)
from hup.data.tables.time_parts import has_no_time, shown_time, time_columns, told_kind, told_time, with_time_parts
from hup.data.tables.timestamps import decide_reading, time_ms, time_ns
from hup.data.tables.values import id_text
from hup.errors import HupError

ALWAYS = -(2**62)
NEVER = 2**62
_EXAMPLES = 3


def read_category_tables(
    source: LogSource, mapping: Mapping, engine: DuckDBEngine, progress: Progress, now_ms: int
) -> CategorySource:
    """Read the tables of items and of parents that the mapping names.

    Of several rows that give an item categories without a time the last one counts, as tables are corrected by adding
    to them; a row whose category is missing takes none away. With times, one does: from then on the item has none.

    Raises
    ------
    HupError
        If one is not found, or does not have the columns.
    """
    rules = mapping.categories
    tree, assigned = None, None
    notes: list[str] = []
    bad: list[SideRejects] = []
    file_rejects: list[FileReject] = []
    if rules.parents is not None:
        raw, parents = _read_parents(rules.parents, source, mapping, engine, progress)
        bad.append(_rejects("parent_rows", "table of parents", raw, parents, engine))
        tree = _tree(parents, engine)
        notes += tree.notes
        engine.drop("parent_rows")
        file_rejects += raw.file_rejects
    if rules.items is not None:
        raw, items = _read_items(rules.items, source, mapping, engine, progress, now_ms)
        bad.append(_rejects("item_rows", "item table", raw, items, engine))
        good = f"SELECT * FROM ({items}) WHERE reason IS NULL"
        _require_rows(good, rules.items, raw, engine)
        assigned = "assigned"
        engine.create_table(assigned, _last(good) if rules.items.timestamp is None else _spans(good))
        if rules.items.timestamp is None:
            notes += _several(good, assigned, engine)
        engine.drop("item_rows")
        file_rejects += raw.file_rejects
    return CategorySource(assigned, tree, tuple(notes), tuple(bad), tuple(file_rejects))


def _require_rows(good: str, rules: ItemTable, raw: RawTable, engine: DuckDBEngine) -> None:
    """Refuse a table of items that says nothing: a misspelt value in `where` does that."""
    if engine.collect(f"SELECT count(*) AS n FROM ({good})")["n"][0].as_py():
        return
    condition = " and ".join(f"{name} = {text!r}" for name, text in rules.where.items())
    which = f" with {condition}" if condition else ""
    raise HupError(f"{raw.files[0]}: the table of items has no usable row{which}. Is the mapping right?")


def side_files(patterns: Sequence[str], source: LogSource, what: str) -> tuple[SourceFile, ...]:
    """Find the files of a table that the mapping names: beside the events, else beside the mapping.

    Raises
    ------
    HupError
        If there are none.
    """
    folders = list(dict.fromkeys(source.near))
    for folder in folders:
        for pattern in patterns:
            matches = glob.glob(str(Path(glob.escape(str(folder))) / pattern))  # noqa: PTH207
            paths = [path for path in matches if Path(path).is_file()]
            if paths:
                return tuple(find_sources(sorted(paths), folder / "-", lambda _message: None))
    places = ", ".join(str(folder) for folder in folders) or "no folder: put the mapping beside them"
    raise HupError(f"The {what} {' or '.join(patterns)} is not there; looked in {places}.")


def _read(
    files: tuple[SourceFile, ...],
    dialect: Dialect,
    wanted: Sequence[Sequence[str]],
    engine: DuckDBEngine,
    progress: Progress,
) -> tuple[RawTable, list[str]]:
    source = TableSource(files=files)
    there = list(engine.reader.columns(source, dialect))
    columns = [find_column(names, there, files[0].name) for names in wanted]
    return engine.reader.read(source, dialect, list(dict.fromkeys(columns)), progress), columns


def _read_items(
    rules: ItemTable, source: LogSource, mapping: Mapping, engine: DuckDBEngine, progress: Progress, now_ms: int
) -> tuple[RawTable, str]:
    """Give the rows that count: ``item``, ``category``, ``file``, ``row``, and as below.

    ``time_ms`` and ``time_ns`` if a time is mapped. ``reason`` is null in usable rows; ``text`` is what a row holds.
    """
    files = side_files(rules.file, source, "table of items")
    place = files[0].name
    wanted = [rules.item, *([rules.category] if rules.category else [(name,) for name in rules.columns])]
    times = []
    if rules.timestamp is not None:
        times = [rules.timestamp.column, *([rules.timestamp.time] if rules.timestamp.time is not None else [])]
    raw, columns = _read(files, rules.dialect, [*wanted, *times, *((name,) for name in rules.where)], engine, progress)
    item, paths = columns[0], columns[1 : len(wanted)]

    def parsed(types: AnyMapping[str, str]) -> dict[str, str]:
        category = joined_category(category_parts(types, paths, mapping, place))
        return {**PLACES, "item": column_id(types, item, mapping.nulls, place), "category": category}

    def counting(types: AnyMapping[str, str]) -> str:
        return f"raw_rows {_counting(rules, types)}"

    checks = [("problem IS NOT NULL", "problem"), ("item IS NULL", "'item is missing'")]
    shown = {item: "item", "/".join(paths): SHOWN_CATEGORY}
    rows = "SELECT * FROM item_rows"
    if rules.timestamp is None:
        engine.create_table("item_rows", raw.typed(lambda types: select(parsed(types), counting(types))))
    else:
        time = columns[len(wanted)]
        time_of_day = columns[len(wanted) + 1] if len(times) > 1 else None
        format = rules.timestamp.format
        alone = tuple(told_kind(kind, format) for kind in raw.kinds(time))
        kinds = alone if time_of_day is None else ("VARCHAR",)
        parts = time_columns(*kinds)

        def timed(types: AnyMapping[str, str]) -> str:
            told, kind = told_time(types, time, time_of_day, mapping.nulls, place, format)
            rows = select({**parsed(types), "told_time": told}, counting(types))
            return with_time_parts(rows, kind, time, place, parts, format)

        engine.create_table("item_rows", raw.typed(timed))
        reading = decide_reading("item_rows", kinds, rules.timestamp, time, engine, now_ms, place)
        read = {"time_ms": time_ms(parts, reading), "time_ns": time_ns(parts, reading)}
        rows = f"SELECT *, {', '.join(f'{value} AS {name}' for name, value in read.items())} FROM item_rows"
        checks += [(has_no_time(parts), "'timestamp is missing'"), *time_checks(parts, reading.least_ms)]
        shown[time] = shown_time(parts)
    shown |= {name: quoted_text(text) for name, text in rules.where.items()}
    return raw, _judged(rows, checks, shown)


def _counting(rules: ItemTable, types: AnyMapping[str, str]) -> str:
    """Choose the rows that count, and those that do not even parse."""
    if not rules.where:
        return ""
    conditions = (
        f"{id_text(quoted_name(name), types[name], (), name)} = {quoted_text(text)}"
        for name, text in rules.where.items()
    )
    return f"WHERE hup_problem IS NOT NULL OR ({' AND '.join(conditions)})"


def _read_parents(
    rules: ParentTable, source: LogSource, mapping: Mapping, engine: DuckDBEngine, progress: Progress
) -> tuple[RawTable, str]:
    """Give ``category``, ``parent``, ``file``, ``row``, ``reason`` (null in usable rows) and ``text``."""
    files = side_files(rules.file, source, "table of parent categories")
    raw, columns = _read(files, rules.dialect, [rules.category, rules.parent], engine, progress)

    def named(types: AnyMapping[str, str]) -> str:
        child, parent = (column_id(types, name, mapping.nulls, files[0].name) for name in columns)
        return select({**PLACES, "category": child, "parent": parent}, "raw_rows")

    engine.create_table("parent_rows", raw.typed(named))
    checks = [("problem IS NOT NULL", "problem"), ("category IS NULL", "'category is missing'")]
    shown = dict(zip(columns, ("category", "parent"), strict=True))
    return raw, _judged("SELECT * FROM parent_rows", checks, shown)


def _judged(rows: str, checks: Sequence[Check], shown: AnyMapping[str, str]) -> str:
    """Add what is wrong with each row, and what it holds."""
    return f"SELECT *, CASE {first_reason(checks)} END AS reason, {row_text(shown)} AS text FROM ({rows})"


def _rejects(kept: str, what: str, raw: RawTable, rows: str, engine: DuckDBEngine) -> SideRejects:
    """Keep the bad ones of `rows`, which the engine keeps as `kept`."""
    reason = f"'row of the {what} cannot be used: ' || reason"
    bad = f'SELECT file, "row", text, {reason} AS reason FROM ({rows}) WHERE reason IS NOT NULL'
    engine.create_table(f"bad_{kept}", bad)
    return SideRejects(raw.files, f"bad_{kept}")


def _last(rows: str) -> str:
    """Give each item the category of its last row that has one, for all times."""
    order = 'category IS NOT NULL DESC, file DESC, "row" DESC, category DESC'
    number = f"row_number() OVER (PARTITION BY item ORDER BY {order})"
    return f"""
        SELECT item, category, {ALWAYS}::BIGINT AS since_ms, {NEVER}::BIGINT AS until_ms
        FROM ({rows}) QUALIFY {number} = 1"""


def _several(rows: str, last: str, engine: DuckDBEngine) -> tuple[str, ...]:
    """Tell of items that rows without a time give several categories."""
    several = f"SELECT item, count(DISTINCT category) AS n FROM ({rows}) GROUP BY item HAVING n > 1"
    count = engine.collect(f"SELECT count(*) AS n FROM ({several})")["n"][0].as_py()
    if not count:
        return ()
    shown = f"SELECT item, n, category FROM ({several}) JOIN {last} USING (item) ORDER BY item LIMIT {_EXAMPLES}"
    examples = (
        f"{row['item']} ({row['n']:,} categories, the last is {shown_path(row['category'])})"
        for row in engine.collect(shown).to_pylist()
    )
    return (f"Items in several categories; the last row counts: {count:,}, such as {'; '.join(examples)}.",)


def _spans(rows: str) -> str:
    """From when until when an item was in a category; the first counts from the beginning, of one time the last row."""
    compared = f"""
        SELECT item, category, time_ms, row_number() OVER by_time AS number, lag(category) OVER by_time AS before
        FROM ({rows}) WINDOW by_time AS (PARTITION BY item ORDER BY time_ms, time_ns, file, "row", category)"""
    changes = f"SELECT * FROM ({compared}) WHERE number = 1 OR coalesce(before, '') <> coalesce(category, '')"
    return f"""
        SELECT item, category, CASE WHEN number = 1 THEN {ALWAYS} ELSE time_ms END AS since_ms,
            coalesce(lead(time_ms) OVER (PARTITION BY item ORDER BY number), {NEVER}) AS until_ms
        FROM ({changes})"""


def _tree(rows: str, engine: DuckDBEngine) -> CategoryTree:
    named = engine.collect(f'SELECT category, parent FROM ({rows}) WHERE reason IS NULL ORDER BY file, "row"')
    return build_tree(named["category"].to_pylist(), named["parent"].to_pylist())
