"""Columns of times, however they are written, as integers: what can be said before the unit of numbers is known."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from hup.data.tables.iso_times import DAY_MS, iso_text, with_iso_times
from hup.data.tables.plain_text import is_nothing, number_text, plain_type
from hup.data.tables.stages import stage
from hup.errors import HupError

_NUMBER = "^[0-9]{1,19}([.][0-9]*)?$"
_MOST = 9 * 10**18
_MICROSECONDS = 6


def with_time_parts(table: ir.Table, column: str, where: str) -> ir.Table:
    """Read a column of times as integers.

    Parameters
    ----------
    table : Table
    column : str
        Timestamps, dates, numbers, or text of either without blanks at its ends; null where missing.
    where : str
        Of the table, for errors.

    Returns
    -------
    Table
        With some of these int64 columns, null where a value has none of the kind: ``time_number``, the whole part of
        a number that is not negative; ``time_fraction``, thousandths of its rest; ``time_wall``, the milliseconds
        since 1970 that a clock showed; ``time_zone``, the milliseconds by which that clock was ahead of UTC, where the
        value says so. And ``time_text``, string: values that are no times, and of numbers all.

    Raises
    ------
    HupError
        If the column's type tells no time.
    """
    kind: dt.DataType = table[column].type()
    if kind.is_timestamp() or kind.is_date():
        return _native(table, column)
    if is_nothing(kind):
        return table.mutate(time_wall=ibis.null("int64"), time_text=ibis.null("string"))
    if kind.is_string():
        return _text(table, column)
    if kind.is_integer() or kind.is_floating() or kind.is_decimal():
        value = table[column]
        parts = {"time_number": whole_number(value)}
        if not kind.is_integer():
            parts["time_fraction"] = thousandths(value)
        no_time = parts["time_number"].isnull()
        return table.mutate(**parts, time_text=ibis.ifelse(no_time, number_text(value), ibis.null("string")))
    raise HupError(f"{where}: column {column!r} holds {plain_type(kind)}; expected timestamps, numbers or text.")


def _native(table: ir.Table, column: str) -> ir.Table:
    value = table[column]
    kind = value.type()
    if kind.is_date():
        return table.mutate(time_wall=value.epoch_days().cast("int64") * DAY_MS, time_text=ibis.null("string"))
    if kind.scale is not None and kind.scale > _MICROSECONDS:
        # DuckDB would round nanoseconds, up to the next second even; what has them as text is cut off.
        spelt = stage(table.mutate(time_spelt=value.cast("string")))
        dated = with_iso_times(spelt, "time_spelt", "time_wall", "time_zone")
        return dated.mutate(time_text=ibis.null("string")).drop("time_spelt", "time_zone")
    # Seconds and milliseconds apart, as engines give seconds with a fraction or without.
    seconds = value.truncate("s").epoch_seconds().cast("int64")
    wall = seconds * 1000 + value.millisecond().cast("int64")
    parts = {"time_wall": wall, "time_text": ibis.null("string")}
    if kind.timezone is not None:
        parts["time_zone"] = ibis.literal(0, "int64")
    return table.mutate(**parts)


def _text(table: ir.Table, column: str) -> ir.Table:
    dated = with_iso_times(table, column, "time_wall", "time_zone")
    value = dated[column]
    number = whole_number(value)
    no_time = number.isnull() & dated.time_wall.isnull()
    return dated.mutate(
        time_number=number,
        time_fraction=thousandths(value),
        time_text=ibis.ifelse(no_time, value, ibis.null("string")),
    )


def has_no_time(table: ir.Table) -> ir.BooleanValue:
    """Tell of a table made by `with_time_parts` where the value is missing."""
    parts = [name for name in ("time_text", "time_wall", "time_number") if name in table.columns]
    return ibis.and_(*(table[name].isnull() for name in parts))


def shown_time(table: ir.Table) -> ir.StringValue:
    """Write the times of a table made by `with_time_parts` for people."""
    shown = [table.time_text]
    if "time_wall" in table.columns:
        shown.append(iso_text(table.time_wall).re_replace(" UTC$", ""))
    if "time_number" in table.columns:
        shown.append(table.time_number.cast("string"))
    return ibis.coalesce(*shown)


def whole_number(column: ir.Column) -> ir.IntegerValue:
    """Give the part of numbers, or text of such, before the point; null for those below zero or beyond int64."""
    kind = column.type()
    if kind.is_integer():
        return ibis.ifelse((column >= 0) & (column <= _MOST), column, ibis.null(kind)).cast("int64")
    if kind.is_floating():
        return _measurable(column).floor().cast("int64")
    text = column.cast("string") if kind.is_decimal() else column
    return ibis.ifelse(text.re_search(_NUMBER), text.re_extract("^[0-9]+", 0), ibis.null("string")).try_cast("int64")


def thousandths(column: ir.Column) -> ir.IntegerValue:
    """Give the thousandths of what numbers, or text of such, have after the point; null where there is no number."""
    kind = column.type()
    if kind.is_integer():
        return ibis.ifelse(column.isnull(), ibis.null("int64"), 0)
    if kind.is_floating():
        value = _measurable(column)
        return ((value - value.floor()) * 1000 + 0.5).floor().cast("int64")
    text = column.cast("string") if kind.is_decimal() else column
    digits = text.re_extract("^[0-9]+[.]?([0-9]{0,3})", 1).rpad(3, "0")
    return ibis.ifelse(text.re_search(_NUMBER), digits, ibis.null("string")).try_cast("int64")


def _measurable(column: ir.Column) -> ir.FloatingValue:
    value = column.cast("float64")
    return ibis.ifelse((value >= 0) & (value < float(_MOST)), value, ibis.null("float64"))
