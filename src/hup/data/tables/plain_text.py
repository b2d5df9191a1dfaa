"""Values of any column as text, the same on every engine: engines write floats and decimals in ways of their own."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from hup.errors import HupError

_INTEGERS = 9.2e18  # what int64 holds


def id_text(column: ir.Column, nulls: Sequence[str], name: str) -> ir.StringValue:
    """Give ids, names and behaviors as text; null where they are missing.

    Whole floats become integers, as a column of integers with gaps turns into floats in pandas. Blank text and the
    texts in `nulls` are missing; nothing else is changed.

    Parameters
    ----------
    column : Column
        Text, integers, floats, decimals or UUIDs.
    nulls : sequence of str
    name : str
        Of the column, for errors.

    Raises
    ------
    HupError
        If the column holds something else.
    """
    kind = column.type()
    if kind.is_string():
        return ibis.ifelse(_stripped(column).isin(["", *nulls]), ibis.null("string"), column)
    if is_nothing(kind):
        return ibis.null("string")
    if kind.is_integer() or kind.is_uuid():
        return column.cast("string")
    if kind.is_floating() or kind.is_decimal():
        return number_text(column)
    raise HupError(
        f"Column {name!r} holds {plain_type(kind)}; expected text or numbers. Map another column, or cast this one."
    )


def present(column: ir.Column, nulls: Sequence[str]) -> ir.Column:
    """Give text without blanks at its ends, and null where it is missing; other types as they are."""
    if not column.type().is_string():
        return column
    text = _stripped(column)
    return ibis.ifelse(text.isin(["", *nulls]), ibis.null("string"), text)


def _stripped(text: ir.StringValue) -> ir.StringValue:
    """Strip blanks; DuckDB takes ten times as long for that as for seeing that there are none."""
    has_blanks = (text.substr(0, 1) <= " ") | (text.right(1) <= " ")
    return ibis.ifelse(has_blanks, text.strip(), text)


def number_text(column: ir.Column) -> ir.StringValue:
    """Give numbers as text: whole ones without a point, others rounded to six decimals; null for NaN and infinity."""
    kind = column.type()
    if kind.is_integer():
        return column.cast("string")
    if kind.is_decimal():
        text = column.cast("string")
        return ibis.ifelse(text.re_search("^[^.]*[.]0*$"), text.re_replace("[.]0*$", ""), text)
    size = column.cast("float64").abs()
    known = ibis.ifelse(size < _INTEGERS, size, ibis.null("float64"))
    rounded = ((known - known.floor()) * 1e6 + 0.5).floor().cast("int64")
    whole = known.floor().cast("int64") + rounded // 1_000_000
    fraction = (rounded % 1_000_000).cast("string").lpad(6, "0").re_replace("0*$", "")
    sign = ibis.ifelse((column < 0) & ((whole > 0) | (fraction != "")), "-", "")
    return sign + whole.cast("string") + ibis.ifelse(fraction == "", "", ".") + fraction


def is_nothing(kind: dt.DataType) -> bool:
    """Tell whether a column has no type because it has no values; Ibis does not know what DuckDB calls it."""
    return kind.is_null() or (kind.is_unknown() and "NULL" in str(kind))


def plain_type(kind: dt.DataType) -> str:
    """Name a type for people."""
    names = (
        (kind.is_boolean(), "true and false"),
        (kind.is_timestamp(), "timestamps"),
        (kind.is_date(), "dates"),
        (kind.is_time(), "times of day"),
        (kind.is_interval(), "time spans"),
        (kind.is_array(), "lists"),
        (kind.is_struct() or kind.is_map(), "nested records"),
        (kind.is_binary(), "bytes"),
        (kind.is_string(), "text"),
        (kind.is_numeric(), "numbers"),
    )
    return next((name for holds, name in names if holds), f"values of type {kind}")
