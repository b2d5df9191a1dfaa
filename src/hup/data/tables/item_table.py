"""Which category each event's item was in: as the event says, or as a table of items says for its time."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis import _

from hup.data.engines.engine import Dialect, Engine, RawTable, TableSource
from hup.data.log_source import LogSource
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile, find_sources
from hup.data.tables.category_paths import SEPARATOR, ResolvedPaths, resolve_paths, shown_path
from hup.data.tables.category_tree import CategoryTree, build_tree
from hup.data.tables.mapping import ItemTable, Mapping, ParentTable, find_column
from hup.data.tables.plain_text import id_text, present
from hup.data.tables.rows import category_text, column_id, row_text, time_checks
from hup.data.tables.stages import stage
from hup.data.tables.times import has_no_time, shown_time, with_time_parts
from hup.data.tables.timestamps import decide_reading, time_ms
from hup.errors import HupError

ALWAYS = -(2**62)
NEVER = 2**62
_EXAMPLES = 3
Check = tuple[ir.BooleanValue, ir.StringValue]


@dataclass(frozen=True)
class SideRejects:
    """Rows of a table of items or of parents that cannot be used.

    Attributes
    ----------
    files : tuple of str
        Names of the files.
    rows : Table
        ``file`` int32 (index into `files`), ``row`` int64, ``text`` and ``reason``, strings; kept by the engine.
    """

    files: tuple[str, ...]
    rows: ir.Table


@dataclass(frozen=True)
class CategorySource:
    """Where raw categories come from.

    Attributes
    ----------
    assigned : Table or None
        ``item``, ``category``, and since (inclusive) and until (exclusive) when, ``since_ms`` and ``until_ms``; None:
        events state their categories themselves.
    tree : CategoryTree or None
        Where raw categories hang; None: they are paths.
    notes : tuple of str
        What was odd, in sentences.
    bad : tuple of SideRejects
        Rows that cannot be used, for each table that the mapping names.
    file_rejects : tuple of FileReject
        Whole files of these tables that could not be used, or not to their end.
    """

    assigned: ir.Table | None
    tree: CategoryTree | None
    notes: tuple[str, ...] = ()
    bad: tuple[SideRejects, ...] = ()
    file_rejects: tuple[FileReject, ...] = ()

    def resolve(self, raw: Sequence[str | None], mapping: Mapping, levels: int | None) -> ResolvedPaths:
        """Give each raw category its path of K names."""
        return resolve_paths(raw, mapping.categories, levels, self.tree)

    def of_events(self, good: ir.Table) -> ir.Table:
        """Give usable rows with the raw category (null: none) that their item had at their time."""
        if self.assigned is None:
            return good
        held = self.assigned.select(
            held_item=_["item"], held_category=_.category, since_ms=_.since_ms, until_ms=_.until_ms
        )
        at_the_time = [good["item"] == held.held_item, good.time_ms >= held.since_ms, good.time_ms < held.until_ms]
        joined = good.left_join(held, at_the_time)
        return joined.mutate(category=_.held_category).drop("held_item", "held_category", "since_ms", "until_ms")


def category_source(
    source: LogSource, mapping: Mapping, engine: Engine, progress: Progress, now_ms: int
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
        good = items.filter(_.reason.isnull())
        _require_rows(good, rules.items, raw, engine)
        assigned = engine.materialise("assigned", _last(good) if rules.items.timestamp is None else _spans(good))
        if rules.items.timestamp is None:
            notes += _several(good, assigned, engine)
        engine.drop("item_rows")
        file_rejects += raw.file_rejects
    return CategorySource(assigned, tree, tuple(notes), tuple(bad), tuple(file_rejects))


def _require_rows(good: ir.Table, rules: ItemTable, raw: RawTable, engine: Engine) -> None:
    """Refuse a table of items that says nothing: a misspelt value in `where` does that."""
    if engine.collect(good.aggregate(n=_.count()))["n"][0].as_py():
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
            found = [path for path in matches if Path(path).is_file()]
            if found:
                return tuple(find_sources(sorted(found), folder / "-", lambda _message: None))
    places = ", ".join(str(folder) for folder in folders) or "no folder: put the mapping beside them"
    raise HupError(f"The {what} {' or '.join(patterns)} is not there; looked in {places}.")


def _read(
    files: tuple[SourceFile, ...], dialect: Dialect, wanted: Sequence[Sequence[str]], engine: Engine, progress: Progress
) -> tuple[RawTable, list[str]]:
    source = TableSource(files=files)
    there = list(engine.columns(source, dialect))
    columns = [find_column(names, there, files[0].name) for names in wanted]
    return engine.read(source, dialect, list(dict.fromkeys(columns)), progress), columns


def _read_items(
    rules: ItemTable, source: LogSource, mapping: Mapping, engine: Engine, progress: Progress, now_ms: int
) -> tuple[RawTable, ir.Table]:
    """Give the rows that count: ``item``, ``category``, ``time_ms`` if it is mapped, ``file``, ``row``, and as below.

    ``reason`` is null in usable rows; ``text`` is what a row holds.
    """
    files = side_files(rules.file, source, "table of items")
    place = files[0].name
    wanted = [rules.item, *([rules.category] if rules.category else [(name,) for name in rules.columns])]
    times = [rules.timestamp.column] if rules.timestamp is not None else []
    raw, columns = _read(files, rules.dialect, [*wanted, *times, *((name,) for name in rules.where)], engine, progress)
    item, paths = columns[0], columns[1 : len(wanted)]
    table = raw.table
    if rules.where:
        counts = [id_text(table[name], (), name) == text for name, text in rules.where.items()]
        table = table.filter(table.hup_problem.notnull() | ibis.and_(*counts))
    parsed = {
        **_places(table),
        "item": column_id(table, item, mapping.nulls, place),
        "category": category_text(table, paths, mapping.nulls, place),
    }
    if rules.timestamp is None:
        rows = engine.materialise("item_rows", table.select(**parsed))
        checks = [*_item_checks(rows)]
        times_shown = {}
    else:
        time = columns[len(wanted)]
        told = stage(table.select(**parsed, told_time=present(table[time], mapping.nulls)))
        parts = with_time_parts(told, "told_time", f"{place}, column {time!r}").drop("told_time")
        kept = engine.materialise("item_rows", parts)
        reading = decide_reading(kept, rules.timestamp, time, engine, now_ms, place)
        rows = stage(kept.mutate(time_ms=time_ms(kept, reading)))
        no_time = (has_no_time(rows), ibis.literal("timestamp is missing"))
        checks = [*_item_checks(rows), no_time, *time_checks(rows, reading.least_ms)]
        times_shown = {time: shown_time(rows)}
    shown = {
        item: rows["item"],
        "/".join(paths): rows.category.replace(SEPARATOR, "/"),
        **times_shown,
        **{name: ibis.literal(text) for name, text in rules.where.items()},
    }
    return raw, _judged(rows, checks, shown)


def _read_parents(
    rules: ParentTable, source: LogSource, mapping: Mapping, engine: Engine, progress: Progress
) -> tuple[RawTable, ir.Table]:
    """Give ``category``, ``parent``, ``file``, ``row``, ``reason`` (null in usable rows) and ``text``."""
    files = side_files(rules.file, source, "table of parent categories")
    raw, columns = _read(files, rules.dialect, [rules.category, rules.parent], engine, progress)
    child, parent = (column_id(raw.table, name, mapping.nulls, files[0].name) for name in columns)
    rows = engine.materialise("parent_rows", raw.table.select(**_places(raw.table), category=child, parent=parent))
    checks = [
        (rows.problem.notnull(), rows.problem),
        (rows.category.isnull(), ibis.literal("category is missing")),
    ]
    return raw, _judged(rows, checks, dict(zip(columns, (rows.category, rows.parent), strict=True)))


def _places(table: ir.Table) -> dict[str, ir.Value]:
    return {"file": table.hup_file, "row": table.hup_row, "problem": table.hup_problem, "raw_text": table.hup_text}


def _item_checks(rows: ir.Table) -> Iterator[Check]:
    yield rows.problem.notnull(), rows.problem
    yield rows["item"].isnull(), ibis.literal("item is missing")


def _judged(rows: ir.Table, checks: Sequence[Check], shown: AnyMapping[str, ir.StringValue]) -> ir.Table:
    """Add what is wrong with each row, and what it holds."""
    return stage(rows.mutate(reason=ibis.cases(*checks, else_=None), text=row_text(rows, shown)))


def _rejects(kept: str, what: str, raw: RawTable, rows: ir.Table, engine: Engine) -> SideRejects:
    """Keep the bad ones of `rows`, which the engine keeps as `kept`."""
    bad = rows.filter(_.reason.notnull())
    reason = ibis.literal(f"row of the {what} cannot be used: ") + bad.reason
    return SideRejects(raw.files, engine.materialise(f"bad_{kept}", bad.select("file", "row", "text", reason=reason)))


def _last(rows: ir.Table) -> ir.Table:
    """Give each item the category of its last row that has one, for all times."""
    has_category = rows.category.notnull().cast("int8")
    order = [ibis.desc(has_category), ibis.desc("file"), ibis.desc("row"), ibis.desc("category")]
    numbered = stage(rows.mutate(number=ibis.row_number().over(group_by="item", order_by=order)))
    return numbered.filter(_.number == 0).select(
        "item", "category", since_ms=ibis.literal(ALWAYS, "int64"), until_ms=ibis.literal(NEVER, "int64")
    )


def _several(rows: ir.Table, last: ir.Table, engine: Engine) -> tuple[str, ...]:
    """Tell of items that rows without a time give several categories."""
    several = rows.group_by("item").aggregate(n=_.category.nunique()).filter(_.n > 1)
    count = engine.collect(several.aggregate(n=_.count()))["n"][0].as_py()
    if not count:
        return ()
    shown = several.inner_join(last, "item").select("item", "n", "category").order_by("item").limit(_EXAMPLES)
    examples = (
        f"{row['item']} ({row['n']:,} categories, the last is {shown_path(row['category'])})"
        for row in engine.collect(shown).to_pylist()
    )
    return (f"Items in several categories; the last row counts: {count:,}, such as {'; '.join(examples)}.",)


def _spans(rows: ir.Table) -> ir.Table:
    """From when until when an item was in a category; the first counts from the beginning, of one time the last row."""
    by_time = ibis.window(group_by="item", order_by=["time_ms", "file", "row", "category"])
    compared = stage(
        rows.mutate(before=_.category.lag().over(by_time), number=ibis.row_number().over(by_time), place=_.time_ms)
    )
    changes = compared.filter((_.number == 0) | (_.before.fill_null("") != _.category.fill_null("")))
    changes = changes.select("item", "category", "place", "number")
    in_order = ibis.window(group_by="item", order_by="number")
    return changes.select(
        "item",
        "category",
        since_ms=ibis.ifelse(_.number == 0, ibis.literal(ALWAYS, "int64"), _.place),
        until_ms=_.place.lead().over(in_order).fill_null(ibis.literal(NEVER, "int64")),
    )


def _tree(rows: ir.Table, engine: Engine) -> CategoryTree:
    good = rows.filter(_.reason.isnull())
    found = engine.collect(good.select("category", "parent", "file", "row").order_by("file", "row"))
    return build_tree(found["category"].to_pylist(), found["parent"].to_pylist())
