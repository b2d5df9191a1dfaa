"""Which category each event's item was in: as the event says, or as a table of items says for its time."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis import _

from hup.data.engines.engine import Dialect, Engine, RawTable, TableSource
from hup.data.log_source import LogSource
from hup.data.progress import Progress
from hup.data.sources import SourceFile, find_sources
from hup.data.tables.category_paths import SEPARATOR, ResolvedPaths, resolve_paths
from hup.data.tables.category_tree import CategoryTree, build_tree
from hup.data.tables.mapping import ItemTable, Mapping, ParentTable, find_column
from hup.data.tables.plain_text import id_text
from hup.data.tables.timestamps import time_column
from hup.errors import HupError

ALWAYS = -(2**62)
NEVER = 2**62


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
    """

    assigned: ir.Table | None
    tree: CategoryTree | None
    notes: tuple[str, ...] = ()

    def resolve(self, raw: Sequence[str | None], mapping: Mapping, levels: int | None) -> ResolvedPaths:
        """Give each raw category its path of K names."""
        return resolve_paths(raw, mapping.categories, levels, self.tree)

    def of_events(self, good: ir.Table) -> ir.Table:
        """Give ``item``, ``time_ms`` and raw ``category`` (null: none) of usable rows."""
        if self.assigned is None:
            return good.select("item", "time_ms", "category")
        table = self.assigned
        held = good.left_join(
            table,
            [good["item"] == table["item"], good.time_ms >= table.since_ms, good.time_ms < table.until_ms],
        )
        return held.select(item=good["item"], time_ms=good.time_ms, category=table.category)


def category_source(
    source: LogSource, mapping: Mapping, engine: Engine, progress: Progress, now_ms: int
) -> CategorySource:
    """Read the tables of items and of parents that the mapping names.

    Raises
    ------
    HupError
        If one is not found, or does not have the columns.
    """
    rules = mapping.categories
    tree = None
    if rules.parents is not None:
        tree = _read_tree(rules.parents, source, mapping, engine, progress)
    assigned = None
    if rules.items is not None:
        assigned = engine.materialise("assigned", _read_items(rules.items, source, mapping, engine, progress, now_ms))
    return CategorySource(assigned, tree, tree.notes if tree is not None else ())


def side_files(patterns: Sequence[str], source: LogSource, what: str) -> tuple[SourceFile, ...]:
    """Find the files of a table that the mapping names: beside the events, else beside the mapping.

    Raises
    ------
    HupError
        If there are none.
    """
    for folder in source.near:
        for pattern in patterns:
            found = [path for path in glob.glob(str(folder / pattern)) if Path(path).is_file()]  # noqa: PTH207
            if found:
                return tuple(find_sources(sorted(found), folder / "-", lambda _message: None))
    places = ", ".join(str(folder) for folder in source.near) or "no folder: put the mapping beside them"
    raise HupError(f"The {what} {' or '.join(patterns)} is not there; looked in {places}.")


def _read(
    files: tuple[SourceFile, ...], dialect: Dialect, wanted: Sequence[Sequence[str]], engine: Engine, progress: Progress
) -> tuple[RawTable, list[str]]:
    source = TableSource(files=files)
    there = list(engine.columns(source, dialect))
    columns = [find_column(names, there, files[0].name) for names in wanted]
    return engine.read(source, dialect, columns, progress), columns


def _read_items(
    rules: ItemTable, source: LogSource, mapping: Mapping, engine: Engine, progress: Progress, now_ms: int
) -> ir.Table:
    files = side_files(rules.file, source, "table of items")
    wanted = [rules.item, *([rules.category] if rules.category else [(name,) for name in rules.columns])]
    times = [rules.timestamp.column] if rules.timestamp is not None else []
    raw, columns = _read(files, rules.dialect, [*wanted, *times, *((name,) for name in rules.where)], engine, progress)
    parts = columns[1 : len(wanted)]
    table = raw.table.filter(_.hup_problem.isnull())
    for name, text in rules.where.items():
        table = table.filter(id_text(table[name], (), name) == text)
    kept = engine.materialise("item_rows", table.select(*dict.fromkeys(columns), "hup_file", "hup_row"))
    names = [id_text(kept[part], mapping.nulls, part) for part in parts]
    category = names[0] if len(names) == 1 else ibis.literal(SEPARATOR).join([name.fill_null("") for name in names])
    rows = kept.mutate(hup_item=id_text(kept[columns[0]], mapping.nulls, columns[0]), hup_category=category)
    if rules.timestamp is None:
        first = rows.filter(_.hup_item.notnull()).group_by("hup_item").aggregate(category=_.hup_category.min())
        return first.select(
            "category", item=_.hup_item, since_ms=ibis.literal(ALWAYS, "int64"), until_ms=ibis.literal(NEVER, "int64")
        )
    timed = time_column(rows, columns[len(wanted)], rules.timestamp, engine, now_ms, files[0].name)
    return _spans(timed.filter(_.hup_item.notnull() & _.time_ms.notnull()))


def _spans(rows: ir.Table) -> ir.Table:
    """From when until when an item was in a category; the first counts from the beginning."""
    by_time = ibis.window(group_by="hup_item", order_by=["time_ms", "hup_category"])
    compared = rows.mutate(
        before=_.hup_category.lag().over(by_time), number=ibis.row_number().over(by_time), place=_.time_ms
    )
    changes = compared.filter((_.number == 0) | (_.before.fill_null("") != _.hup_category.fill_null("")))
    changes = changes.select("hup_item", "hup_category", "place", "number")
    in_order = ibis.window(group_by="hup_item", order_by=["place", "hup_category"])
    return changes.select(
        item=_.hup_item,
        category=_.hup_category,
        since_ms=ibis.ifelse(_.number == 0, ibis.literal(ALWAYS, "int64"), _.place),
        until_ms=_.place.lead().over(in_order).fill_null(ibis.literal(NEVER, "int64")),
    )


def _read_tree(
    rules: ParentTable, source: LogSource, mapping: Mapping, engine: Engine, progress: Progress
) -> CategoryTree:
    files = side_files(rules.file, source, "table of parent categories")
    raw, columns = _read(files, rules.dialect, [rules.category, rules.parent], engine, progress)
    child, parent = columns
    table = raw.table.filter(_.hup_problem.isnull())
    rows = engine.collect(
        table.select(
            category=id_text(table[child], mapping.nulls, child),
            parent=id_text(table[parent], mapping.nulls, parent),
            file=_.hup_file,
            row=_.hup_row,
        ).order_by("file", "row")
    )
    return build_tree(rows["category"].to_pylist(), rows["parent"].to_pylist())
