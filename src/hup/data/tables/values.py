"""Values of columns as SQL: ids and numbers as text, lengths of time as seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hup.data.engines.reader import quoted_text
from hup.errors import HupError

if TYPE_CHECKING:
    from hup.data.tables.mapping_rules import SecondsRule

NULL_TYPE = '"NULL"'
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FLOATS = ("FLOAT", "DOUBLE")
#: Integers beyond 64 bits are written and read as decimals are.
_DECIMALS = ("DECIMAL", "HUGEINT", "UHUGEINT")
_NAMES = (
    ("BOOLEAN", "true and false"),
    ("TIMESTAMP", "timestamps"),
    ("DATE", "dates"),
    ("TIME", "times of day"),
    ("INTERVAL", "time spans"),
    ("STRUCT", "nested records"),
    ("MAP", "nested records"),
    ("BLOB", "bytes"),
)
_BLANKS = " \t\n\r\v\f"
_WHOLE_ID = "0|[1-9][0-9]{0,18}"
_MOST_INT64 = 2**63 - 1
_FITS_INT64 = 9.2e18
_MOST_WHOLE = 9 * 10**18
#: Of text that is a number of seconds or a time; DuckDB's patterns are RE2's.
DECIMAL_NUMBER = "[0-9]{1,19}([.][0-9]*)?"
_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?"
#: Said besides a bound: DuckDB takes that for granted where Parquet says so, whose bounds leave out NaN.
_IS_FINITE = "isfinite({}::DOUBLE)"
_LARGEST_FLOAT32 = 3.4e38


def is_text(kind: str) -> bool:
    """Tell whether values of the SQL type `kind` are text."""
    return kind == "VARCHAR" or kind.startswith("ENUM(")


def is_integer(kind: str) -> bool:
    """Tell whether values of the SQL type `kind` are whole numbers of at most 64 bits."""
    return kind in _INTEGERS


def is_number(kind: str) -> bool:
    """Tell whether values of the SQL type `kind` are numbers."""
    return is_integer(kind) or kind in _FLOATS or _is_decimal(kind)


def _is_decimal(kind: str) -> bool:
    return kind.startswith(_DECIMALS)


def plain_type(kind: str) -> str:
    """Name an SQL type for people."""
    if kind.endswith("]"):
        return "lists"
    if is_text(kind):
        return "text"
    if is_number(kind):
        return "numbers"
    return next((name for begin, name in _NAMES if kind.startswith(begin)), f"values of type {kind.lower()}")


def id_text(column: str, kind: str, nulls: Sequence[str], name: str) -> str:
    """Give ids, names and behaviors as text; null where they are missing.

    Whole floats become integers, as a column of integers with gaps turns into floats in pandas. Blank text and the
    texts in `nulls` are missing; nothing else is changed.

    Parameters
    ----------
    column : str
        SQL of a value.
    kind : str
        Its SQL type: text, integers, floats, decimals or UUIDs.
    nulls : sequence of str
    name : str
        Of the column, for errors.

    Raises
    ------
    HupError
        If the column holds something else.
    """
    if is_text(kind):
        text = _as_text(column, kind)
        return f"CASE WHEN {_is_missing(_stripped(text), nulls)} THEN NULL ELSE {text} END"
    if kind == NULL_TYPE:
        return "NULL::VARCHAR"
    if kind == "UUID":
        return f"{column}::VARCHAR"
    if is_number(kind):
        return number_text(column, kind)
    raise HupError(
        f"Column {name!r} holds {plain_type(kind)}; expected text or numbers. Map another column, or cast this one."
    )


def id_number(value: str, kind: str) -> str:
    """Give ids that are whole numbers, in a column or as text, as int64; null where they are none, or do not fit."""
    if is_integer(kind):
        return f"CASE WHEN {value} BETWEEN 0 AND {_MOST_INT64} THEN {value} END::BIGINT"
    return f"TRY_CAST(CASE WHEN regexp_full_match({value}, '{_WHOLE_ID}') THEN {value} END AS BIGINT)"


def whole_id(text: str) -> str:
    """Give ids that are text as they are, but for 13085.0, which is 13085."""
    return f"CASE WHEN regexp_full_match({text}, '-?[0-9]+[.]0+') THEN split_part({text}, '.', 1) ELSE {text} END"


def present(column: str, kind: str, nulls: Sequence[str]) -> str:
    """Give text without blanks at its ends, and null where it is missing; other types as they are."""
    if not is_text(kind):
        return column
    text = _stripped(_as_text(column, kind))
    return f"CASE WHEN {_is_missing(text, nulls)} THEN NULL ELSE {text} END"


def _as_text(column: str, kind: str) -> str:
    return column if kind == "VARCHAR" else f"{column}::VARCHAR"


def _is_missing(text: str, nulls: Sequence[str]) -> str:
    # Written out, as DuckDB makes a join of a long list; and most texts are longer than any of these.
    alike = " OR ".join(f"{text} = {quoted_text(null)}" for null in nulls)
    short = f"strlen({text}) <= {max((len(null.encode()) for null in nulls), default=0)}"
    return f"({text} = '' OR ({short} AND ({alike})))" if nulls else f"({text} = '')"


def _stripped(text: str) -> str:
    """Strip blanks; DuckDB takes ten times as long for that as for seeing that there are none."""
    # What begins with a blank comes before "!", and these comparisons make no text.
    ends = " OR ".join(f"suffix({text}, {quoted_text(blank)})" for blank in _BLANKS)
    return f"CASE WHEN {text} < '!' OR {ends} THEN trim({text}, {quoted_text(_BLANKS)}) ELSE {text} END"


def number_text(number: str, kind: str) -> str:
    """Give numbers as text: whole ones without a point, others rounded to six decimals; null for NaN and infinity."""
    if is_integer(kind):
        return f"{number}::VARCHAR"
    if _is_decimal(kind):
        return f"regexp_replace({number}::VARCHAR, '[.]0*$', '')"
    size = f"abs({number}::DOUBLE)"
    known = f"CASE WHEN {_IS_FINITE.format(number)} AND {size} < {_FITS_INT64!r} THEN {size} END"
    # Tried: that a value is finite does not keep the cast from what DuckDB has not filtered.
    millionths = f"TRY_CAST(floor(({known} - floor({known})) * 1e6 + 0.5) AS BIGINT)"
    whole = f"TRY_CAST(floor({known}) AS BIGINT) + {millionths} // 1000000"
    fraction = f"rtrim(lpad(({millionths} % 1000000)::VARCHAR, 6, '0'), '0')"
    sign = f"CASE WHEN {number} < 0 AND ({whole} > 0 OR {fraction} <> '') THEN '-' ELSE '' END"
    return f"({sign} || ({whole})::VARCHAR || CASE WHEN {fraction} = '' THEN '' ELSE '.' END || {fraction})"


def whole_number(number: str, kind: str) -> str:
    """Give the part of numbers, or text of such, before the point; null for those below zero or beyond int64."""
    if is_integer(kind):
        return f"CASE WHEN {number} BETWEEN 0 AND {_MOST_WHOLE} THEN {number} END::BIGINT"
    if kind in _FLOATS:
        return f"TRY_CAST(floor({_measurable(number)}) AS BIGINT)"
    text = f"{number}::VARCHAR"
    return f"TRY_CAST(CASE WHEN {_is_decimal_text(text)} THEN split_part({text}, '.', 1) END AS BIGINT)"


def billionths(number: str, kind: str) -> str:
    """Give the billionths of what numbers, or text of such, have after the point; null where there is no number.

    Floats are rounded to millionths, so that 0.3, which is a little less in binary, has no fewer than 0.3.
    """
    if is_integer(kind):
        return f"CASE WHEN {number} IS NOT NULL THEN 0 END::BIGINT"
    if kind in _FLOATS:
        value = _measurable(number)
        return f"TRY_CAST(floor(({value} - floor({value})) * 1e6 + 0.5) AS BIGINT) * 1000"
    text = f"{number}::VARCHAR"
    digits = f"rpad(left(split_part({text}, '.', 2), 9), 9, '0')"
    return f"TRY_CAST(CASE WHEN {_is_decimal_text(text)} THEN {digits} END AS BIGINT)"


def _is_decimal_text(text: str) -> str:
    return f"regexp_full_match({text}, '{DECIMAL_NUMBER}')"


def _measurable(number: str) -> str:
    value = f"{number}::DOUBLE"
    is_finite = _IS_FINITE.format(number)
    return f"CASE WHEN {is_finite} AND {value} >= 0 AND {value} < {float(_MOST_WHOLE)!r} THEN {value} END"


def seconds_columns(
    column: str, kind: str, rule: SecondsRule, nulls: Sequence[str], role: str, where: str
) -> dict[str, str]:
    """Read a length of time.

    Parameters
    ----------
    column : str
        SQL of a number, or text of one.
    kind : str
        Its SQL type.
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
    if kind == NULL_TYPE:
        return {role: "NULL::FLOAT", f"{role}_problem": "NULL::VARCHAR"}
    _check_number(kind, where)
    value = present(column, kind, nulls)
    if is_text(kind):
        shown = value
        number = f"TRY_CAST(CASE WHEN regexp_full_match({value}, '{_NUMBER}') THEN {value} END AS DOUBLE)"
        no_number = f"WHEN {number} IS NULL THEN '{role} is not a number: ' || {shown} "
    else:
        shown = f"coalesce({number_text(column, kind)}, 'a number too large')"
        number = f"CASE WHEN NOT isnan({column}::DOUBLE) THEN {column}::DOUBLE END"
        no_number = ""
    problem = (
        f"CASE {no_number}"
        f"WHEN abs({number}) > {_LARGEST_FLOAT32!r} THEN '{role} is not finite: ' || {shown} "
        f"WHEN {number} < 0 THEN '{role} is negative: ' || {shown} END"
    )
    per_second = 1000 if rule.unit == "ms" else 1
    usable = f"CASE WHEN {number} BETWEEN 0 AND {_LARGEST_FLOAT32!r} THEN {number} / {per_second} END"
    return {role: f"({usable})::FLOAT", f"{role}_problem": problem}


def offset_columns(column: str, kind: str, nulls: Sequence[str], where: str) -> dict[str, str]:
    """Read a time that is added to another: ``offset_number``, ``offset_fraction`` and ``offset_text`` as it stands."""
    if kind == NULL_TYPE:
        return {"offset_number": "NULL::BIGINT", "offset_fraction": "NULL::BIGINT", "offset_text": "NULL::VARCHAR"}
    _check_number(kind, where)
    value = f"({present(column, kind, nulls)})"
    return {
        "offset_number": whole_number(value, kind),
        "offset_fraction": billionths(value, kind),
        "offset_text": value if is_text(kind) else number_text(value, kind),
    }


def _check_number(kind: str, where: str) -> None:
    if not is_text(kind) and not is_number(kind):
        raise HupError(f"{where} holds {plain_type(kind)}; expected numbers of seconds or milliseconds.")
