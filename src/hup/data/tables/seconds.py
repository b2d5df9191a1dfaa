"""Columns of lengths of time as float32 seconds, with what is wrong with a value beside it."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from hup.data.tables.mapping_rules import SecondsRule
from hup.data.tables.plain_text import is_nothing, number_text, plain_type, present
from hup.data.tables.times import thousandths, whole_number
from hup.errors import HupError

_NUMBER = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$"
_LARGEST_FLOAT32 = 3.4e38


def seconds_columns(
    column: ir.Column, rule: SecondsRule, nulls: Sequence[str], role: str, where: str
) -> dict[str, ir.Value]:
    """Read a length of time.

    Parameters
    ----------
    column : Column
        Numbers, or text of such.
    rule : SecondsRule
    nulls : sequence of str
        Text that means missing.
    role : str
        What it is: names the results and begins the sentences about wrong values.
    where : str
        The column's place, for errors.

    Returns
    -------
    dict
        ``{role}``: float32 seconds, null where missing or wrong; ``{role}_problem``: string, null where all is well.

    Raises
    ------
    HupError
        If the column is of another type.
    """
    kind = column.type()
    if is_nothing(kind):
        return {role: ibis.null("float32"), f"{role}_problem": ibis.null("string")}
    value = present(_number_column(column, where), nulls)
    if kind.is_string():
        shown = value
        number = ibis.ifelse(value.re_search(_NUMBER), value, ibis.null("string")).try_cast("float64")
    else:
        shown = ibis.coalesce(number_text(value), "a number too large")
        number = value.cast("float64")
        number = ibis.ifelse(number.isnan(), ibis.null("float64"), number)
    problem = ibis.cases(
        (number.isnull() & kind.is_string(), ibis.literal(f"{role} is not a number: ") + shown),
        (number.abs() > _LARGEST_FLOAT32, ibis.literal(f"{role} is not finite: ") + shown),
        (number < 0, ibis.literal(f"{role} is negative: ") + shown),
        else_=None,
    )
    usable = ibis.ifelse(number.between(0, _LARGEST_FLOAT32), number, ibis.null("float64"))
    per_second = 1000.0 if rule.unit == "ms" else 1.0
    return {role: (usable / per_second).cast("float32"), f"{role}_problem": problem}


def offset_columns(column: ir.Column, nulls: Sequence[str], where: str) -> dict[str, ir.Value]:
    """Read a time that is added to another: ``offset_number``, ``offset_fraction`` and ``offset_text`` as it stands."""
    if is_nothing(column.type()):
        nothing = ibis.null("int64")
        return {"offset_number": nothing, "offset_fraction": nothing, "offset_text": ibis.null("string")}
    value = present(_number_column(column, where), nulls)
    return {
        "offset_number": whole_number(value),
        "offset_fraction": thousandths(value),
        "offset_text": value if column.type().is_string() else number_text(value),
    }


def _number_column(column: ir.Column, where: str) -> ir.Column:
    kind = column.type()
    if kind.is_string() or (kind.is_numeric() and not kind.is_boolean()):
        return column
    raise HupError(f"{where} holds {plain_type(kind)}; expected numbers of seconds or milliseconds.")
