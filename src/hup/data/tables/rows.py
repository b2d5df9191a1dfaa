"""Rows of event tables, checked and typed the same way on every engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from hup.data.engines.engine import PLACE_COLUMNS, Engine, RawTable
from hup.data.tables.category_paths import SEPARATOR
from hup.data.tables.iso_times import DAY_MS
from hup.data.tables.mapping import Mapping
from hup.data.tables.mapping_rules import BoundColumns, TableMapping
from hup.data.tables.plain_text import id_text, present
from hup.data.tables.seconds import offset_columns, seconds_columns
from hup.data.tables.stages import stage
from hup.data.tables.times import has_no_time, shown_time, with_time_parts
from hup.data.tables.timestamps import TimeReading, decide_reading, number_ms, time_ms
from hup.errors import HupError

COLUMNS = (
    *("user", "session", "event_id", "time_ms", "item", "category", "behavior", "interval", "dwell"),
    *("file", "row", "reason", "text", "left_out"),
)
EVENT_ID_DIGITS = 19
#: Not $, which for Java, and thus Spark, is also before a line break at the end.
_WHOLE = r"^(0|[1-9][0-9]{0,18})\z"
_TEXT_CHARACTERS = 1000
_MOST_OFFSET = 10**14


@dataclass(frozen=True)
class TypedRows:
    """Rows of one table, typed.

    Attributes
    ----------
    table : Table
        A row for each row of the source:

        - ``user``, ``session``, ``event_id``: string, null where missing. Event ids that are whole numbers are filled
          up with zeros in front, so that they sort as numbers.
        - ``time_ms``: int64 milliseconds since 1970 UTC.
        - ``item``, ``behavior``: string; behaviors under the names that the mapping gives them.
        - ``category``: string, the path as the table has it: text parted by the mapping's delimiter, or its columns
          joined by `SEPARATOR`; null where there is none, and where categories come from an item table.
        - ``interval``, ``dwell``: float32 seconds, null where the table states none.
        - ``file`` int32, ``row`` int64: place.
        - ``reason``: string, why the row cannot be used, null if it can; ``text``: string, such a row's values.
        - ``left_out``: boolean, the behavior is none to keep; such rows have no reason unless they do not even parse.
    guesses : tuple of str
        What was guessed, in sentences for people.
    """

    table: ir.Table
    guesses: tuple[str, ...]


def typed_rows(raw: RawTable, table: TableMapping, mapping: Mapping, engine: Engine, now_ms: int) -> TypedRows:
    """Check and type the rows of one table; they are read once, and kept by the engine.

    The table that is returned is a cheap expression over the rows kept.

    Parameters
    ----------
    raw : RawTable
        Rows as the files have them.
    table : TableMapping
        What their columns mean.
    mapping : Mapping
        It belongs to.
    engine : Engine
        Keeps the rows under `kept_name`, and looks over their times.
    now_ms : int
        The present, milliseconds since 1970 UTC; times more than a day later are in the future.

    Raises
    ------
    HupError
        If a column is missing or of a type that does not fit its role, or the times make no sense in the stated unit.
    """
    where = raw.files[0] if len(raw.files) == 1 else f"{len(raw.files)} files ({raw.files[0]}, …)"
    there = [name for name in raw.table.columns if name not in PLACE_COLUMNS]
    bound = table.bind(there, mapping.categories, where)
    parsed = _parsed(raw.table, bound, table, mapping, where)
    kept = engine.materialise(kept_name(table, mapping), parsed)
    reading = decide_reading(kept, table.timestamp, bound.timestamp, engine, now_ms, where)
    return TypedRows(_judged(kept, bound, table, mapping, reading, now_ms), reading.guesses)


def kept_name(table: TableMapping, mapping: Mapping) -> str:
    """Name under which `typed_rows` has the engine keep the rows of a table."""
    return f"table_{mapping.tables.index(table)}"


def _parsed(raw: ir.Table, bound: BoundColumns, table: TableMapping, mapping: Mapping, where: str) -> ir.Table:
    """Type all that can be typed row by row; times remain in parts."""

    def ids(name: str | None) -> ir.StringValue:
        return ibis.null("string") if name is None else column_id(raw, name, mapping.nulls, where)

    columns: dict[str, ir.Value] = {
        "file": raw.hup_file,
        "row": raw.hup_row,
        "problem": raw.hup_problem,
        "raw_text": raw.hup_text,
        "user": ids(bound.user),
        "session": ids(bound.session),
        "event_id": ids(bound.event_id),
        "item": ids(bound.item),
        "category": category_text(raw, bound.categories, mapping.nulls, where),
        "told_behavior": ids(bound.behavior) if bound.behavior else ibis.literal(table.behavior.value),
        "told_time": present(raw[bound.timestamp], mapping.nulls),
    }
    for role, rule, name in (("interval", table.interval, bound.interval), ("dwell", table.dwell, bound.dwell)):
        if rule is not None and name is not None:
            columns |= seconds_columns(raw[name], rule, mapping.nulls, role, f"{where}: column {name!r}")
    if bound.offset is not None:
        columns |= offset_columns(raw[bound.offset], mapping.nulls, f"{where}: column {bound.offset!r}")
    timed = with_time_parts(stage(raw.select(**columns)), "told_time", f"{where}, column {bound.timestamp!r}")
    return timed.drop("told_time")


def column_id(raw: ir.Table, name: str, nulls: Sequence[str], where: str) -> ir.StringValue:
    """Give a column of ids as text, or tell where it is that its type is none of ids."""
    try:
        return id_text(raw[name], nulls, name)
    except HupError as error:
        raise HupError(f"{where}: {error}") from None


def category_text(raw: ir.Table, names: Sequence[str], nulls: Sequence[str], where: str) -> ir.StringValue:
    """Give the category path as the table has it: one column, or several joined by `SEPARATOR`; null where missing."""
    if not names:
        return ibis.null("string")
    parts = [column_id(raw, name, nulls, where) for name in names]
    if len(parts) == 1:
        return parts[0]
    joined = ibis.literal(SEPARATOR).join([part.fill_null("") for part in parts])
    return ibis.ifelse(ibis.and_(*(part.isnull() for part in parts)), ibis.null("string"), joined)


def _judged(
    kept: ir.Table, bound: BoundColumns, table: TableMapping, mapping: Mapping, reading: TimeReading, now_ms: int
) -> ir.Table:
    """Put times together, give every bad row its reason, and write out what such rows hold."""
    time = time_ms(kept, reading)
    if bound.offset is not None:
        time = time + number_ms(kept, table.timestamp.offset_unit, prefix="offset")
    timed = stage(kept.mutate(time_ms=time))
    keep = mapping.behaviors.keep
    told = timed.told_behavior
    is_left_out = ibis.literal(False) if keep is None else (told.notnull() & ~told.isin(keep)).fill_null(False)
    checks = _checks(timed, mapping.sequence_by, bound.offset is not None, reading.least_ms, now_ms)
    judged = stage(timed.mutate(left_out=is_left_out, reason=ibis.cases(*checks, else_=None)))
    reason = ibis.ifelse(judged.left_out, ibis.null("string"), judged.reason)
    nothing = ibis.null("float32")
    return judged.select(
        "user",
        "session",
        "time_ms",
        "item",
        "category",
        "file",
        "row",
        "left_out",
        event_id=_sortable(judged.event_id),
        behavior=_renamed(judged.told_behavior, mapping.behaviors.names),
        interval=judged.interval if bound.interval else nothing,
        dwell=judged.dwell if bound.dwell else nothing,
        reason=reason,
        text=ibis.ifelse(reason.isnull(), ibis.null("string"), row_text(judged, _values(judged, bound))),
    ).select(*COLUMNS)


def _checks(
    rows: ir.Table, sequence_by: str, has_offset: bool, least_ms: int, now_ms: int
) -> Iterator[tuple[ir.BooleanValue, ir.StringValue]]:
    """List what can be wrong with a row: condition and reason, most basic first."""
    owner = "session" if sequence_by == "session" else "user"
    yield rows.problem.notnull(), rows.problem
    for role in ("item", owner):
        yield rows[role].isnull(), ibis.literal(f"{role} is missing")
    yield has_no_time(rows), ibis.literal("timestamp is missing")
    if has_offset:
        yield rows.offset_text.isnull(), ibis.literal("timestamp offset is missing")
        wrong_offset = rows.offset_number.isnull() | (rows.offset_number > _MOST_OFFSET)
        yield wrong_offset, ibis.literal("timestamp offset is not a length of time: ") + rows.offset_text
    yield from time_checks(rows, least_ms)
    yield rows.time_ms > now_ms + DAY_MS, ibis.literal("timestamp is in the future: ") + shown_time(rows)
    yield rows.told_behavior.isnull(), ibis.literal("behavior is missing")
    for role in ("interval", "dwell"):
        if f"{role}_problem" in rows.columns:
            problem = rows[f"{role}_problem"]
            yield problem.notnull(), problem


def time_checks(rows: ir.Table, least_ms: int) -> Iterator[tuple[ir.BooleanValue, ir.StringValue]]:
    """List why a time that is there cannot be used: condition and reason.

    Parameters
    ----------
    rows : Table
        Made by `with_time_parts`, with ``time_ms``.
    least_ms : int
        Earlier times are not believed.
    """
    # Not a column of its own: written out for every row it would take longer than all else.
    shown = shown_time(rows)
    yield rows.time_ms.isnull(), ibis.literal("timestamp is not a time: ") + shown
    early = "timestamp is before 1973: " if least_ms else "timestamp is before 1970: "
    yield rows.time_ms < least_ms, ibis.literal(early) + shown


def row_text(rows: ir.Table, values: AnyMapping[str, ir.StringValue]) -> ir.StringValue:
    """Write a row as ``column=value, column=value``; one that did not parse (``problem``) as its ``raw_text``."""
    parts = [ibis.literal(f"{name}=") + value.fill_null("") for name, value in values.items()]
    written = ibis.literal(", ").join(parts)
    return ibis.ifelse(rows.problem.notnull(), rows.raw_text, written).substr(0, _TEXT_CHARACTERS)


def _values(rows: ir.Table, bound: BoundColumns) -> dict[str, ir.StringValue]:
    """Give the mapped values of a row by column."""
    shown: dict[str, ir.StringValue] = {}
    for name, column in (
        (bound.user, rows.user),
        (bound.session, rows.session),
        (bound.event_id, rows.event_id),
        (bound.timestamp, shown_time(rows)),
        (bound.item, rows["item"]),
        (bound.behavior, rows.told_behavior),
        ("/".join(bound.categories), rows.category.replace(SEPARATOR, "/")),
    ):
        if name:
            shown.setdefault(name, column)
    return shown


def _sortable(event_id: ir.StringValue) -> ir.StringValue:
    """Write whole numbers with as many digits as the largest, so that 9 comes before 10."""
    return ibis.ifelse(event_id.re_search(_WHOLE), event_id.lpad(EVENT_ID_DIGITS, "0"), event_id)


def _renamed(behavior: ir.StringValue, names: AnyMapping[str, str]) -> ir.StringValue:
    return behavior.cases(*names.items(), else_=behavior) if names else behavior
