"""The table of items that a shop gives along with its log: read, checked, one row an item, with those known before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa

from hup.data.engines.csv_stream import csv_head
from hup.data.engines.duckdb_engine import DuckDBEngine, EngineName
from hup.data.engines.duckdb_reader import DuckDBReader
from hup.data.engines.frames import Frame, is_frame
from hup.data.engines.reader import EMPTY_LINE, Dialect, RawTable, TableSource, is_uri, quoted_name, quoted_text, select
from hup.data.engines.table_files import check_columns, check_wanted, table_format
from hup.data.item_columns import KEY, ItemColumns, write_item_columns
from hup.data.log_source import Sources, find_sources, given_paths, refuse_databases
from hup.data.manifest import ItemColumnsInfo
from hup.data.progress import Progress
from hup.data.rejects import NOTED, FileReject
from hup.data.tables.item_values import common_type, value_sql, value_type
from hup.data.tables.mapping import NULLS, Mapping
from hup.data.tables.read import bad_rows
from hup.data.tables.rows import PLACES, column_id, row_text
from hup.data.tables.values import whole_id
from hup.errors import HupError

#: What a column of items' ids may be called besides what the log calls it; capitals and underscores do not matter.
_KEYS = ("item", "itemid", "sku", "productid", "articleid", "itemnumber", "productnumber", "asin", "id")
_DELIMITERS = ",;\t|"
_READ, _BAD, _BEFORE, _SORTED = "item_rows_given", "bad_items_given", "item_columns_before", "item_columns_now"
_CONTRADICTED = "row of the items is not used: a later one says otherwise of its item"


@dataclass(frozen=True)
class ItemsSource:
    """A table of items to read.

    Attributes
    ----------
    tables : TableSource
        Files, URIs, or a table in memory.
    key : str or None
        The column with the ids; None: found by its name.
    """

    tables: TableSource
    key: str | None


@dataclass(frozen=True)
class GivenItems:
    """Item columns in the folder that is being made, and what was wrong with the rows given.

    Attributes
    ----------
    info : ItemColumnsInfo
        For the manifest.
    key : str
        The column that the ids were taken from.
    notes : tuple of str
        What is to be known, in sentences.
    rejects : callable
        Yields rows of `rejects.SCHEMA`.
    file_rejects : tuple of FileReject
        Whole files that could not be used, or not to their end.
    """

    info: ItemColumnsInfo
    key: str
    notes: tuple[str, ...]
    rejects: Callable[[], Iterator[pa.RecordBatch]]
    file_rejects: tuple[FileReject, ...]


def find_items(
    items: Sources | None, key: str | None, out: Path, engine: EngineName, note: Callable[[str], None]
) -> ItemsSource | None:
    """Find the files of a table of items; None where there is none.

    Raises
    ------
    HupError
        If they are missing, or a column is named for no table.
    """
    if items is None:
        if key is not None:
            raise HupError(f"--items-key {key} names a column of the table of items; give that, too, by --items TABLE.")
        return None
    if is_frame(items):
        return ItemsSource(TableSource(frame=Frame.of(items)), key)
    given = given_paths(items)
    refuse_databases(given)
    uris = tuple(str(path) for path in given if is_uri(str(path)))
    if uris and (engine != "spark" or len(uris) < len(given)):
        raise HupError(f"{uris[0]} is read by Spark: add --engine spark, and name no files of this machine beside it.")
    return ItemsSource(TableSource(files=() if uris else tuple(find_sources(given, out, note)), uris=uris), key)


def read_items(
    source: ItemsSource,
    mapping: Mapping | None,
    engine: DuckDBEngine,
    folder: Path,
    before: ItemColumns | None,
    progress: Progress,
) -> GivenItems:
    """Read a table of items, and write what is known of items now into `folder`.

    Ids are read as those of the log are. Of several rows of an item the last one counts, as for every table that is
    corrected by adding to it. Text that means missing in the log does here, too.

    Parameters
    ----------
    source : ItemsSource
    mapping : Mapping or None
        Of the log: what its items are called, and which texts mean missing.
    engine : DuckDBEngine
        Sorts; and reads what Spark need not.
    folder : Path
    before : ItemColumns or None
        What was known before; a row that is given takes the place of the item's row there.
    progress : Progress
        Told what is being done.

    Raises
    ------
    HupError
        If the table does not read, no column has the ids, or no row can be used.
    """
    progress.phase("Reading the items", sum(file.bytes for file in source.tables.files) or None, "bytes")
    reader = engine.reader if source.tables.uris else DuckDBReader(engine)
    place = _place(source.tables)
    dialect = _dialect(source.tables)
    frame = source.tables.frame
    there = list(reader.columns(source.tables, dialect)) if frame is None else frame.schema.names
    key = _key_column(there, source.key, mapping, place)
    nameless = any(not name.strip() for name in there)
    columns = [name for name in there if name != key and name.strip()]
    if not columns:
        raise HupError(f"{place} has no column besides {key!r}; what is there to say of the items?")
    check_wanted([key, *columns])
    if KEY in map(str.lower, columns):
        raise HupError(f"{place}: HUP uses the name {KEY!r} itself. Rename the column.")
    raw = reader.read(source.tables, Dialect(dialect.delimiter, nested=tuple(columns)), [key, *columns], progress)
    types = {name: common_type([value_type(kinds[name]) for kinds in raw.types]) for name in columns}
    left_out = [name for name, kind in types.items() if kind is None]
    carried = {name: kind for name, kind in types.items() if kind is not None}
    _read(raw, key, carried, mapping, engine, place)
    rejects = _judge(raw, key, carried, engine)
    if not engine.collect(f"SELECT count(*) AS n FROM {_READ} WHERE last")["n"][0].as_py():
        raise HupError(f"{place}: no row of the table of items can be used. Is {key!r} the column of their ids?")
    now = select({KEY: "item"} | {name: _value(n) for n, name in enumerate(carried)}, f"{_READ} WHERE last")
    notes = (
        [f"{place}: bytes are not carried: {', '.join(left_out)}. Carry links to files instead."] if left_out else []
    )
    notes += [f"{place}: a column without a name is left out."] if nameless else []
    if before is not None:
        engine.register(_BEFORE, before.table)
        known = f"SELECT * FROM {_BEFORE} WHERE {KEY} NOT IN (SELECT item FROM {_READ} WHERE last)"
        now = f"({now}) UNION ALL BY NAME ({known})"
    engine.create_table(_SORTED, now)
    engine.drop(_READ)
    info = write_item_columns(folder, partial(engine.stream, f"SELECT * FROM {_SORTED} ORDER BY {KEY}"))
    engine.drop(_SORTED)
    if before is not None:
        engine.drop(_BEFORE)
        notes += _changed_types(before.info, info)
    return GivenItems(info, key, tuple(notes), rejects, tuple(raw.file_rejects))


def _place(source: TableSource) -> str:
    return source.files[0].name if source.files else source.uris[0] if source.uris else "the table of items"


def _dialect(source: TableSource) -> Dialect:
    """Find the delimiter of text: that which parts the first header most."""
    if not source.files or table_format(source.files) != "csv":
        return Dialect()
    dialects = [Dialect(mark) for mark in _DELIMITERS]
    return max(dialects, key=lambda dialect: len(csv_head(source.files[0], dialect).names))


def _key_column(there: Sequence[str], key: str | None, mapping: Mapping | None, place: str) -> str:
    if key is not None:
        check_columns(place, there, [key])
        return key
    tables = mapping.tables if mapping is not None else ()
    told = [name for table in tables for name in table.item]
    told += [name.rsplit(".", 1)[-1] for name in told]
    by_letters = {_letters(name): name for name in reversed(there)}
    for name in (*told, *_KEYS):
        found = name if name in there else by_letters.get(_letters(name))
        if found is not None:
            return found
    raise HupError(
        f"{place}: which column has the ids of the items? It is not called {told[0] if told else 'item'!r}, as in the "
        f"log. Columns there: {', '.join(there)}. Name it: --items-key COLUMN."
    )


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _value(number: int) -> str:
    return f"value_{number}"


def _read(
    raw: RawTable,
    key: str,
    carried: AnyMapping[str, str],
    mapping: Mapping | None,
    engine: DuckDBEngine,
    place: str,
) -> None:
    """Keep rows: ``file``, ``row``, ``problem``, ``raw_text``, ``item``, ``value_0`` …, and whether one is ``last``."""
    nulls = mapping.nulls if mapping is not None else NULLS
    tables = mapping.tables if mapping is not None else ()
    is_whole = any(name in table.whole_ids for table in tables for name in table.item)

    def typed(types: AnyMapping[str, str]) -> str:
        item = column_id(types, key, nulls, place)
        values = {
            _value(n): value_sql(quoted_name(name), types[name], kind, nulls)
            for n, (name, kind) in enumerate(carried.items())
        }
        return select({**PLACES, "item": whole_id(item) if is_whole else item, **values}, "raw_rows")

    rows = f"SELECT * FROM ({raw.typed(typed)}) WHERE problem IS DISTINCT FROM {quoted_text(EMPTY_LINE)}"
    # Rows that cannot be used are of one item that there is not, none of which is its last.
    place_in_item = 'row_number() OVER (PARTITION BY item ORDER BY file DESC, "row" DESC)'
    engine.create_table(_READ, f"SELECT *, item IS NOT NULL AND {place_in_item} = 1 AS last FROM ({rows})")


def _judge(
    raw: RawTable, key: str, carried: AnyMapping[str, str], engine: DuckDBEngine
) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Keep the rows that are not used and say something else than those that are; give what yields them."""
    reason = "'row of the items cannot be used: ' || coalesce(problem, 'item is missing')"
    shown = {key: "item"} | {name: f"{_value(n)}::VARCHAR" for n, name in enumerate(carried)}
    text = row_text(shown)
    values = ", ".join(_value(n) for n in range(len(carried))) or "0"
    useless = f'SELECT file, "row", {text} AS text, {reason} AS reason FROM {_READ} WHERE item IS NULL'
    of_last = f"SELECT item, row({values}) AS says FROM {_READ} WHERE last"
    several = f"SELECT item FROM {_READ} WHERE item IS NOT NULL GROUP BY item HAVING count(*) > 1"
    other = f"""
        SELECT file, "row", {text} AS text, {quoted_text(_CONTRADICTED)} AS reason
        FROM {_READ} AS given SEMI JOIN ({several}) USING (item) JOIN ({of_last}) AS used USING (item)
        WHERE NOT last AND row({values}) IS DISTINCT FROM used.says"""
    engine.create_table(_BAD, f"({useless}) UNION ALL ({other})")
    return partial(bad_rows, raw.files, _BAD, engine, NOTED)


def _changed_types(before: ItemColumnsInfo, now: ItemColumnsInfo) -> Iterator[str]:
    for name, kind in before.columns.items():
        other = now.columns.get(name, kind)
        if other != kind:
            yield f"Item column {name!r} held {kind} and holds {other} now, as both tables have to fit in."


def joined_rejects(
    rejects: Callable[[], Iterator[pa.RecordBatch]], given: GivenItems
) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Put rejected rows of the items after those of the log."""
    return lambda: chain(rejects(), given.rejects())


def coverage(columns: ItemColumns, items: pa.Array, key: str) -> str:
    """Say how many items of the log have a row, and how many rows are of no such item."""
    known = len(items) - columns.rows(items).null_count
    if not known:
        return (
            f"None of the log's {len(items):,} items is in the table of items, whose ids were taken from {key!r}. Is "
            "another column meant? --items-key names it."
        )
    others = columns.info.rows - known
    spare = f"; rows of items in no session, kept for when they come: {others:,}" if others else ""
    return f"Item columns {', '.join(columns.names)}: for {known:,} of {len(items):,} items{spare}."
