"""Rows of event tables: one SQL statement types them, another, which knows all times, says what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import RawTable, quoted_name, quoted_text, select
from hup.data.tables.categories import SEPARATOR
from hup.data.tables.mapping import Mapping
from hup.data.tables.mapping_rules import BoundColumns, TableMapping
from hup.data.tables.time_parts import (
    DAY_MS,
    has_no_time,
    shown_time,
    time_columns,
    told_kind,
    told_time,
    with_time_parts,
)
from hup.data.tables.timestamps import TimeReading, decide_reading, number_ms, number_ns, time_ms, time_ns
from hup.data.tables.values import id_number, id_text, is_integer, offset_columns, seconds_columns, whole_id
from hup.errors import HupError

COLUMNS = (
    *("user", "session", "event_text", "event_number", "time_ms", "time_ns", "item", "category", "behavior"),
    *("interval", "dwell", "file", "row", "part", "reason", "text", "left_out"),
)
PLACES = {"file": "hup_file", "row": "hup_row", "problem": "hup_problem", "raw_text": "hup_text"}
NOT_KEPT = "behavior is not one to keep"
NO_ITEM = "row has no item"
NO_ELEMENT = "list of items is empty"
SHOWN_CATEGORY = f"replace(category, {quoted_text(SEPARATOR)}, '/')"
#: What may be wrong with a row: condition and reason, in SQL.
Check = tuple[str, str]
#: Event ids as text, in SQL; whole numbers are filled up with zeros in front, so that they sort as numbers.
EVENT_ID = "coalesce(event_text, lpad(event_number::VARCHAR, 19, '0'))"
_TEXT_CHARACTERS = 1000
_MOST_OFFSET = 10**14
_PART_OF_ID = " || '#' || lpad(part::VARCHAR, 6, '0')"


@dataclass(frozen=True)
class TypedRows:
    """Rows of one table, typed.

    Attributes
    ----------
    sql : str
        A cheap SELECT over the rows kept, with a row for each row of the source, whose columns are `COLUMNS`:

        - ``user``, ``session``: string, null where missing.
        - ``event_number``: int64, an event id that is a whole number; ``event_text``: string, any other. `EVENT_ID` is
          both as text.
        - ``time_ms``: int64 milliseconds since 1970 UTC; ``time_ns``: int32, how many nanoseconds later.
        - ``item``, ``behavior``: string; behaviors under the names that the mapping gives them.
        - ``category``: string, the path as the table has it: text parted by the mapping's delimiter, or its columns
          joined by `SEPARATOR`; null where there is none, and where categories come from an item table.
        - ``interval``, ``dwell``: float32 seconds, null where the table states none.
        - ``file`` int32, ``row`` int64: place; ``part`` int32: number of the element, where a row's list was exploded.
        - ``reason``: string, why the row cannot be used, null if it can; ``text``: string, such a row's values.
        - ``left_out``: string, why the mapping does not want the row, null if it does; such rows have no reason.
    guesses : tuple of str
        What was guessed, in sentences for people.
    """

    sql: str
    guesses: tuple[str, ...]


def typed_rows(raw: RawTable, table: TableMapping, mapping: Mapping, engine: DuckDBEngine, now_ms: int) -> TypedRows:
    """Check and type the rows of one table; they are read once, and kept by the engine.

    Parameters
    ----------
    raw : RawTable
        Rows as the files have them.
    table : TableMapping
        What their columns mean.
    mapping : Mapping
        It belongs to.
    engine : DuckDBEngine
        Keeps the rows under `kept_name`, and looks over their times.
    now_ms : int
        The present, milliseconds since 1970 UTC; times more than a day later are in the future.

    Raises
    ------
    HupError
        If a column is missing or of a type that does not fit its role, or the times make no sense in the stated unit.
    """
    where = raw.files[0] if len(raw.files) == 1 else f"{len(raw.files)} files ({raw.files[0]}, …)"
    bound = table.bind(raw.types[0], mapping.categories, where)
    kept = kept_name(table, mapping)
    rule = table.timestamp
    is_text = bound.time_of_day is not None or bound.timestamp in bound.inner.places
    kinds = ("VARCHAR",) if is_text else tuple(told_kind(kind, rule.format) for kind in raw.kinds(bound.timestamp))
    parts = time_columns(*kinds)
    # Each file in its own types: what is common to numbers and text, or to wide integers and floats, is not exact.
    engine.create_table(kept, raw.typed(lambda types: typing_sql(types, bound, table, mapping, where, parts)))
    reading = decide_reading(kept, kinds, rule, bound.timestamp, engine, now_ms, where)
    return TypedRows(_judging_sql(kept, parts, bound, table, mapping, reading, now_ms), reading.guesses)


def kept_name(table: TableMapping, mapping: Mapping) -> str:
    """Name under which `typed_rows` has the engine keep the rows of a table."""
    return f"table_{mapping.tables.index(table)}"


def typing_sql(
    types: AnyMapping[str, str],
    bound: BoundColumns,
    table: TableMapping,
    mapping: Mapping,
    where: str,
    parts: Collection[str] | None = None,
) -> str:
    """Write the SELECT over ``raw_rows`` that types all that can be typed row by row; times remain in parts.

    Parameters
    ----------
    types : mapping of str to str
        SQL types of the columns of ``raw_rows`` besides those of places.
    bound : BoundColumns
        What they are.
    table : TableMapping
        How they are written.
    mapping : Mapping
        It belongs to.
    where : str
        Of the table, for errors.
    parts : collection of str, optional
        Columns of times to make, as for `with_time_parts`.

    Returns
    -------
    str
        Its columns: ``file``, ``row``, ``problem`` and ``raw_text`` as in ``raw_rows``; ``part``; text ids ``user``,
        ``session``, ``item``, ``category`` and ``told_behavior``; ``event_number`` int64, and ``event_text`` where
        an event id is no such number; those of `with_time_parts`; and where the table has them those of
        `seconds_columns` and `offset_columns`.

    Raises
    ------
    HupError
        If a column is of a type that does not fit its role.
    """
    rows, types = bound.inner.rows(types, mapping.nulls, where)

    def ids(name: str | None) -> str:
        if name is None:
            return "NULL::VARCHAR"
        text = column_id(types, name, mapping.nulls, where)
        return whole_id(text) if name in table.whole_ids else text

    event_kind = types.get(bound.event_id or "", "")
    event_is_number = is_integer(event_kind)
    event_id = quoted_name(str(bound.event_id)) if event_is_number else ids(bound.event_id)
    parts_of_category = category_parts(types, bound.categories, mapping, where, table.whole_ids)
    named = {f"hup_category_{place}": part for place, part in enumerate(parts_of_category)}
    if named:
        rows = f"(SELECT *, {', '.join(f'{part} AS {name}' for name, part in named.items())} FROM {rows})"
    format = table.timestamp.format
    time, time_kind = told_time(types, bound.timestamp, bound.time_of_day, mapping.nulls, where, format)
    columns = {
        **PLACES,
        "part": "hup_part",
        "user": ids(bound.user),
        "session": ids(bound.session),
        "told_event_id": event_id,
        "item": ids(bound.item),
        "category": joined_category(list(named)),
        "told_behavior": ids(bound.behavior) if bound.behavior else quoted_text(str(table.behavior.value)),
        "told_time": time,
    }
    for role, rule, name in (("interval", table.interval, bound.interval), ("dwell", table.dwell, bound.dwell)):
        if rule is not None and name is not None:
            place = f"{where}: column {name!r}"
            columns |= seconds_columns(quoted_name(name), types[name], rule, mapping.nulls, role, place)
    if bound.offset is not None:
        place = f"{where}: column {bound.offset!r}"
        columns |= offset_columns(quoted_name(bound.offset), types[bound.offset], mapping.nulls, place)
    numbered = f"""
        SELECT * EXCLUDE (told_event_id), {id_number("told_event_id", event_kind)} AS event_number,
            CASE WHEN event_number IS NULL THEN told_event_id END::VARCHAR AS event_text
        FROM ({select(columns, rows)})"""
    return with_time_parts(numbered, time_kind, bound.timestamp, where, parts, format)


def column_id(types: AnyMapping[str, str], name: str, nulls: Sequence[str], where: str) -> str:
    """Give a column of ids as text, or tell where it is that its type is none of ids."""
    try:
        return id_text(quoted_name(name), types[name], nulls, name)
    except HupError as error:
        raise HupError(f"{where}: {error}") from None


def category_parts(
    types: AnyMapping[str, str], names: Sequence[str], mapping: Mapping, where: str, whole: Collection[str] = ()
) -> list[str]:
    """Give the columns that a category path is written in, as text; null where missing."""
    parts = [column_id(types, name, mapping.nulls, where) for name in names]
    parts = [whole_id(part) if name in whole else part for name, part in zip(names, parts, strict=True)]
    if mapping.categories.delimiter is None:
        # What parts names here is a control character in a name, which would become a blank later.
        mark = quoted_text(SEPARATOR)
        parts = [
            f"CASE WHEN contains({part}, {mark}) THEN replace({part}, {mark}, ' ') ELSE {part} END" for part in parts
        ]
    return parts


def joined_category(parts: Sequence[str]) -> str:
    """Give the category path of one column, or of several joined by `SEPARATOR`; null where all are."""
    if len(parts) < 2:
        return parts[0] if parts else "NULL::VARCHAR"
    joined = f", {quoted_text(SEPARATOR)}, ".join(parts)
    return f"CASE WHEN coalesce({', '.join(parts)}) IS NOT NULL THEN concat({joined}) END"


def _judging_sql(
    kept: str,
    parts: Collection[str],
    bound: BoundColumns,
    table: TableMapping,
    mapping: Mapping,
    reading: TimeReading,
    now_ms: int,
) -> str:
    """Put times together, give every bad row its reason, and write out what such rows hold."""
    time, rest = time_ms(parts, reading), time_ns(parts, reading)
    if bound.offset is not None:
        offset = "offset", table.timestamp.offset_unit, ("offset_fraction",)
        both = f"({rest} + {number_ns(*offset)})"
        time, rest = f"{time} + ({number_ms(*offset)}) + {both} // 1000000", f"{both} % 1000000"
    checks = _checks(parts, bound, mapping.sequence_by, reading.least_ms, now_ms)
    shared = _is_shared(bound)
    columns = {name: quoted_name(name) for name in COLUMNS} | {
        **({"event_text": EVENT_ID + _PART_OF_ID, "event_number": "NULL::BIGINT"} if shared else {}),
        "behavior": _renamed(mapping.behaviors.names),
        "text": f"CASE WHEN reason IS NOT NULL THEN {row_text(_values(bound, parts))} END",
        **({} if bound.interval else {"interval": "NULL::FLOAT"}),
        **({} if bound.dwell else {"dwell": "NULL::FLOAT"}),
    }
    unwanted = first_reason(_unwanted(bound, table, mapping))
    left_out = f"(CASE WHEN problem IS NOT NULL THEN NULL {unwanted} END)::VARCHAR"
    timed = f"SELECT *, {time} AS time_ms, ({rest})::INTEGER AS time_ns, {left_out} AS left_out FROM {kept}"
    judged = f"SELECT *, CASE WHEN left_out IS NOT NULL THEN NULL {first_reason(checks)} END AS reason FROM ({timed})"
    return select(columns, f"({judged})")


def _is_shared(bound: BoundColumns) -> bool:
    """Tell whether the elements of a list have one event id, which is that of their row."""
    explode, place = bound.inner.explode, bound.inner.places.get(bound.event_id or "")
    return explode is not None and (place is None or place.column != explode.column)


def _unwanted(bound: BoundColumns, table: TableMapping, mapping: Mapping) -> Iterator[Check]:
    """List which rows the mapping does not want: condition and reason."""
    keep = mapping.behaviors.keep
    if keep is not None:
        yield f"coalesce(told_behavior NOT IN ({_listed(('', *keep))}), false)", quoted_text(NOT_KEPT)
    if bound.inner.explode is not None:
        yield "part = 0", quoted_text(NO_ELEMENT)
    if table.item_optional:
        yield "item IS NULL", quoted_text(NO_ITEM)


def first_reason(checks: Iterable[Check]) -> str:
    """Write `checks`, most basic first, as the branches of a CASE."""
    return " ".join(f"WHEN {condition} THEN {reason}" for condition, reason in checks)


def _checks(
    parts: Collection[str], bound: BoundColumns, sequence_by: str, least_ms: int, now_ms: int
) -> Iterator[Check]:
    """List what can be wrong with a row: condition and reason, most basic first."""
    yield "problem IS NOT NULL", "problem"
    for role in ("item", "session" if sequence_by == "session" else "user"):
        yield f"{quoted_name(role)} IS NULL", f"'{role} is missing'"
    yield has_no_time(parts), "'timestamp is missing'"
    if bound.offset is not None:
        yield "offset_text IS NULL", "'timestamp offset is missing'"
        wrong_offset = f"offset_number IS NULL OR offset_number > {_MOST_OFFSET}"
        yield wrong_offset, "'timestamp offset is not a length of time: ' || offset_text"
    yield from time_checks(parts, least_ms)
    yield f"time_ms > {now_ms + DAY_MS}", f"'timestamp is in the future: ' || {shown_time(parts)}"
    yield "told_behavior IS NULL", "'behavior is missing'"
    for role, name in (("interval", bound.interval), ("dwell", bound.dwell)):
        if name is not None:
            yield f"{role}_problem IS NOT NULL", f"{role}_problem"


def time_checks(parts: Collection[str], least_ms: int) -> Iterator[Check]:
    """List why a time that is there cannot be used: condition and reason.

    Parameters
    ----------
    parts : collection of str
        Columns of `with_time_parts`, which the rows have beside ``time_ms``.
    least_ms : int
        Earlier times are not believed.
    """
    # Not a column of its own: written out for every row it would take longer than all else.
    shown = shown_time(parts)
    yield "time_ms IS NULL", f"'timestamp is not a time: ' || {shown}"
    yield f"time_ms < {least_ms}", f"'timestamp is before {1973 if least_ms else 1970}: ' || {shown}"


def row_text(values: AnyMapping[str, str]) -> str:
    """Write a row as ``column=value, column=value``; one that did not parse (``problem``) as its ``raw_text``."""
    written = " || ', ' || ".join(
        f"{quoted_text(f'{name}=')} || coalesce({value}, '')" for name, value in values.items()
    )
    return f"left(CASE WHEN problem IS NOT NULL THEN raw_text ELSE {written} END, {_TEXT_CHARACTERS})"


def _values(bound: BoundColumns, parts: Collection[str]) -> dict[str, str]:
    """Give the mapped values of a row by column."""
    shown: dict[str, str] = {}
    for name, column in (
        (bound.user, '"user"'),
        (bound.session, "session"),
        (bound.event_id, "coalesce(event_text, event_number::VARCHAR)"),
        (bound.timestamp, shown_time(parts)),
        (bound.item, "item"),
        (bound.behavior, "told_behavior"),
        ("/".join(bound.categories), SHOWN_CATEGORY),
    ):
        if name:
            shown.setdefault(name, column)
    return shown


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(quoted_text, texts))


def _renamed(names: AnyMapping[str, str]) -> str:
    branches = " ".join(f"WHEN {quoted_text(told)} THEN {quoted_text(name)}" for told, name in names.items())
    return f"CASE told_behavior {branches} ELSE told_behavior END" if names else "told_behavior"
