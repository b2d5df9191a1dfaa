"""Values of columns as SQL: ids and numbers as text, lengths of time as seconds, times as integers of some unit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hup.data.engines.reader import quoted_text
from hup.data.tables.mapping_rules import SecondsRule
from hup.errors import HupError

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
_FITS_INT64 = 9.2e18
_MOST_WHOLE = 9 * 10**18
#: Of text that is a number of seconds or a time; DuckDB's patterns are RE2's.
_DECIMAL_NUMBER = "[0-9]{1,19}([.][0-9]*)?"
_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?"
#: Said besides a bound: DuckDB takes that for granted where Parquet says so, whose bounds leave out NaN.
_IS_FINITE = "isfinite({}::DOUBLE)"
_LARGEST_FLOAT32 = 3.4e38
DAY_MS = 86_400_000
_ZONE = "(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)"
#: A date, a date with time, the latter with or without zone; for text without blanks at its ends.
_ISO = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.,][0-9]+)?)?( ?{_ZONE})?)?"
_MOST_ZONE_HOURS = 15


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


def present(column: str, kind: str, nulls: Sequence[str]) -> str:
    """Give text without blanks at its ends, and null where it is missing; other types as they are."""
    if not is_text(kind):
        return column
    text = _stripped(_as_text(column, kind))
    return f"CASE WHEN {_is_missing(text, nulls)} THEN NULL ELSE {text} END"


def _as_text(column: str, kind: str) -> str:
    return column if kind == "VARCHAR" else f"{column}::VARCHAR"


def _is_missing(text: str, nulls: Sequence[str]) -> str:
    return f"{text} IN ({', '.join(quoted_text(null) for null in ('', *nulls))})"


def _stripped(text: str) -> str:
    """Strip blanks; DuckDB takes ten times as long for that as for seeing that there are none."""
    has_blanks = f"left({text}, 1) <= ' ' OR right({text}, 1) <= ' '"
    return f"CASE WHEN {has_blanks} THEN trim({text}, {quoted_text(_BLANKS)}) ELSE {text} END"


def number_text(number: str, kind: str) -> str:
    """Give numbers as text: whole ones without a point, others rounded to six decimals; null for NaN and infinity."""
    if is_integer(kind):
        return f"{number}::VARCHAR"
    if _is_decimal(kind):
        return f"regexp_replace({number}::VARCHAR, '[.]0*$', '')"
    size = f"abs({number}::DOUBLE)"
    known = f"CASE WHEN {_IS_FINITE.format(number)} AND {size} < {_FITS_INT64!r} THEN {size} END"
    millionths = f"floor(({known} - floor({known})) * 1e6 + 0.5)::BIGINT"
    whole = f"floor({known})::BIGINT + {millionths} // 1000000"
    fraction = f"rtrim(lpad(({millionths} % 1000000)::VARCHAR, 6, '0'), '0')"
    sign = f"CASE WHEN {number} < 0 AND ({whole} > 0 OR {fraction} <> '') THEN '-' ELSE '' END"
    return f"({sign} || ({whole})::VARCHAR || CASE WHEN {fraction} = '' THEN '' ELSE '.' END || {fraction})"


def whole_number(number: str, kind: str) -> str:
    """Give the part of numbers, or text of such, before the point; null for those below zero or beyond int64."""
    if is_integer(kind):
        return f"CASE WHEN {number} BETWEEN 0 AND {_MOST_WHOLE} THEN {number} END::BIGINT"
    if kind in _FLOATS:
        return f"floor({_measurable(number)})::BIGINT"
    text = f"{number}::VARCHAR"
    return f"TRY_CAST(CASE WHEN {_is_decimal_text(text)} THEN split_part({text}, '.', 1) END AS BIGINT)"


def thousandths(number: str, kind: str) -> str:
    """Give the thousandths of what numbers, or text of such, have after the point; null where there is no number."""
    if is_integer(kind):
        return f"CASE WHEN {number} IS NOT NULL THEN 0 END::BIGINT"
    if kind in _FLOATS:
        value = _measurable(number)
        return f"floor(({value} - floor({value})) * 1000 + 0.5)::BIGINT"
    text = f"{number}::VARCHAR"
    digits = f"rpad(left(split_part({text}, '.', 2), 3), 3, '0')"
    return f"TRY_CAST(CASE WHEN {_is_decimal_text(text)} THEN {digits} END AS BIGINT)"


def _is_decimal_text(text: str) -> str:
    return f"regexp_full_match({text}, '{_DECIMAL_NUMBER}')"


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
        "offset_fraction": thousandths(value, kind),
        "offset_text": value if is_text(kind) else number_text(value, kind),
    }


def _check_number(kind: str, where: str) -> None:
    if not is_text(kind) and not is_number(kind):
        raise HupError(f"{where} holds {plain_type(kind)}; expected numbers of seconds or milliseconds.")


# Times


def time_columns(kind: str) -> tuple[str, ...]:
    """List the columns that `with_time_parts` makes of values of the SQL type `kind`."""
    if is_text(kind):
        return ("time_wall", "time_zone", "time_number", "time_fraction", "time_text")
    if is_number(kind):
        return ("time_number", *(() if is_integer(kind) else ("time_fraction",)), "time_text")
    return ("time_wall", *(("time_zone",) if _is_zoned(kind) else ()), "time_text")


def with_time_parts(rows: str, kind: str, name: str, where: str) -> str:
    """Read a column of times as integers.

    Parameters
    ----------
    rows : str
        A SELECT with the column ``told_time``: timestamps, dates, numbers, or text of either without blanks at its
        ends; null where missing.
    kind : str
        The SQL type of ``told_time``.
    name, where : str
        Of the column and the table, for errors.

    Returns
    -------
    str
        A SELECT with some of these int64 columns in place of ``told_time``, null where a value has none of the kind:
        ``time_number``, the whole part of a number that is not negative; ``time_fraction``, thousandths of its rest;
        ``time_wall``, the milliseconds since 1970 that a clock showed; ``time_zone``, the milliseconds by which that
        clock was ahead of UTC, where the value says so. And ``time_text``, string: values that are no times, and of
        numbers all. Which these are, `time_columns` tells.

    Raises
    ------
    HupError
        If the column's type tells no time.
    """
    if is_text(kind):
        return _text_parts(rows)
    if is_number(kind):
        parts = {
            "time_number": whole_number("told_time", kind),
            "time_fraction": thousandths("told_time", kind),
            "time_text": f"CASE WHEN time_number IS NULL THEN {number_text('told_time', kind)} END",
        }
    elif kind == NULL_TYPE or kind == "DATE" or kind.startswith("TIMESTAMP"):
        parts = {"time_wall": _wall(kind), "time_zone": "0::BIGINT", "time_text": "NULL::VARCHAR"}
    else:
        raise HupError(f"{where}: column {name!r} holds {plain_type(kind)}; expected timestamps, numbers or text.")
    chosen = ", ".join(f"{parts[part]} AS {part}" for part in time_columns(kind))
    return f"SELECT * EXCLUDE (told_time), {chosen} FROM ({rows})"


def _is_zoned(kind: str) -> bool:
    return kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")


def _wall(kind: str) -> str:
    """Read a date or a timestamp; what is below milliseconds is cut off."""
    if kind == NULL_TYPE:
        return "NULL::BIGINT"
    if kind == "DATE":
        return f"(told_time - DATE '1970-01-01') * {DAY_MS}"
    if kind == "TIMESTAMP_NS":
        return _whole_times("epoch_ns(told_time)", 10**6)
    return _whole_times(f"epoch_us(told_time::{'TIMESTAMPTZ' if _is_zoned(kind) else 'TIMESTAMP'})", 10**3)


def _whole_times(value: str, unit: int) -> str:
    """Divide integers and round down, also where they are negative."""
    return f"({value} - ({value} % {unit} + {unit}) % {unit}) // {unit}"


def _text_parts(rows: str) -> str:
    """Read text such as ``2019-10-01 12:30:00.5 +02:00`` or ``1569888000.25``.

    A time is null where the text is none, 30 February and 25 o'clock included. Decimals beyond the third are cut off.
    """
    shaped = f"""
        SELECT *,
            CASE WHEN regexp_full_match(told_time, '{_ISO}') THEN told_time END AS iso_text,
            CASE WHEN regexp_full_match(told_time, '{_DECIMAL_NUMBER}') THEN told_time END AS told_number
        FROM ({rows})"""
    # Of "+0200" and "+02:00" the digits are 0200; those of "Z" and "UTC" are none.
    zone = f"regexp_extract(iso_text[11:], '{_ZONE}$', 1)"
    zone_digits = f"replace(ltrim({zone}, '+-ZUTCGM'), ':', '')"
    parts = f"""
        SELECT * EXCLUDE (iso_text),
            TRY_CAST(iso_text[:10] AS DATE) AS iso_date,
            {_digits("iso_text[12:13]")} AS iso_hour,
            {_digits("iso_text[15:16]")} AS iso_minute,
            CASE WHEN iso_text[17] = ':' THEN {_digits("iso_text[18:19]")} ELSE 0 END AS iso_second,
            {_digits("rpad(regexp_extract(iso_text, '[.,]([0-9]{1,3})', 1), 3, '0')")} AS iso_ms,
            CASE WHEN left({zone}, 1) = '-' THEN -1 WHEN {zone} <> '' THEN 1 END AS iso_sign,
            {_digits(f"left({zone_digits}, 2)")} AS iso_zone_hours,
            {_digits(f"{zone_digits}[3:4]")} AS iso_zone_minutes
        FROM ({shaped})"""
    return f"""
        SELECT * EXCLUDE (told_time, told_number, iso_date, iso_hour, iso_minute, iso_second, iso_ms, iso_sign,
                          iso_zone_hours, iso_zone_minutes),
            CASE
                WHEN iso_hour < 24 AND iso_minute < 60 AND iso_second < 60 AND iso_zone_hours <= {_MOST_ZONE_HOURS}
                    AND iso_zone_minutes < 60
                THEN (iso_date - DATE '1970-01-01') * {DAY_MS} + iso_hour * 3600000 + iso_minute * 60000
                    + iso_second * 1000 + iso_ms
            END AS time_wall,
            iso_sign * (iso_zone_hours * 3600000 + iso_zone_minutes * 60000) AS time_zone,
            {whole_number("told_number", "VARCHAR")} AS time_number,
            {thousandths("told_number", "VARCHAR")} AS time_fraction,
            CASE WHEN time_number IS NULL AND time_wall IS NULL THEN told_time END AS time_text
        FROM ({parts})"""


def _digits(text: str) -> str:
    """Read digits as a number; none are 0."""
    return f"coalesce(TRY_CAST({text} AS BIGINT), 0)"


def has_no_time(parts: Collection[str]) -> str:
    """Tell of rows made by `with_time_parts`, with the columns `parts`, where the value is missing."""
    return " AND ".join(f"{part} IS NULL" for part in ("time_text", "time_wall", "time_number") if part in parts)


def shown_time(parts: Collection[str]) -> str:
    """Write the times of rows made by `with_time_parts`, with the columns `parts`, for people."""
    shown = ["time_text"]
    if "time_wall" in parts:
        shown.append(iso_text("time_wall"))
    if "time_number" in parts:
        shown.append("time_number::VARCHAR")
    return f"coalesce({', '.join(shown)})"


def iso_text(ms: str) -> str:
    """Write milliseconds since 1970 as ``2019-10-01 12:30:00.500``."""
    days = f"floor({ms} / {DAY_MS})::BIGINT"
    rest = f"({ms} - {days} * {DAY_MS})"
    date = f"left((DATE '1970-01-01' + ({days})::INTEGER)::VARCHAR, 10)"
    return f"({date} || strftime(make_timestamp({rest} * 1000), ' %H:%M:%S.%g'))"
