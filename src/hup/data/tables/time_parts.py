"""Times of any type as SQL: integers of some unit, whose reading is decided once all of them are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hup.data.engines.reader import quoted_name, quoted_text
from hup.data.tables.values import (
    DECIMAL_NUMBER,
    NULL_TYPE,
    billionths,
    is_integer,
    is_number,
    is_text,
    number_text,
    plain_type,
    present,
    whole_number,
)
from hup.errors import HupError

DAY_MS = 86_400_000
_ZONE = "(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)"
#: A date, a date with time, the latter with or without zone; for text without blanks at its ends.
_ISO = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.,][0-9]+)?)?( ?{_ZONE})?)?"
_MOST_ZONE_HOURS = 15
_MIDNIGHT = "[T ]0?0:00(:00([.,]0*)?)?"
#: Types of times that have no digits beyond milliseconds.
_WHOLE_MS = (NULL_TYPE, "DATE", "TIMESTAMP_S", "TIMESTAMP_MS")
_PARTS = ("time_wall", "time_rest", "time_zone", "time_number", "time_fraction", "time_text")


def time_columns(*kinds: str) -> tuple[str, ...]:
    """List the columns that `with_time_parts` makes of values of any of the SQL types `kinds`."""
    made = {part for kind in kinds for part in _columns_of(kind)}
    return tuple(part for part in _PARTS if part in made)


def told_kind(kind: str, format: str | None) -> str:
    """Give the SQL type of what `told_time` gives of values of type `kind`, from one column."""
    return "VARCHAR" if format is not None and is_number(kind) else kind


def told_time(
    types: Mapping[str, str],
    column: str,
    time_of_day: str | None,
    nulls: Sequence[str],
    where: str,
    format: str | None = None,
) -> tuple[str, str]:
    """Give what a row says of its time, null where that is missing, and its SQL type; of two columns joined, text.

    Parameters
    ----------
    types : mapping of str to str
        SQL types of the columns.
    column, time_of_day : str
        Column of the time, or of the date and of the time of that day.
    nulls : sequence of str
        Text that means missing.
    where : str
        Of the table, for errors.
    format : str, optional
        Of text; a number such as 20240501 is text then, too.

    Raises
    ------
    HupError
        If there are two columns, and one holds no dates or the other no times of day.
    """
    kind = types[column]
    value = present(quoted_name(column), kind, nulls)
    if told_kind(kind, format) != kind:
        value, kind = number_text(value, kind), "VARCHAR"
    if time_of_day is None:
        return value, kind
    time_kind = types[time_of_day]
    if not (is_text(kind) or is_clock(kind) or kind == NULL_TYPE):
        raise HupError(f"{where}: column {column!r} holds {plain_type(kind)}; expected dates, as time is mapped, too.")
    if not (is_text(time_kind) or (time_kind.startswith("TIME") and not is_clock(time_kind)) or time_kind == NULL_TYPE):
        raise HupError(
            f"{where}: column {time_of_day!r} holds {plain_type(time_kind)}; expected times of day, such as 12:30:05."
        )
    # A date alone is often written with midnight behind it.
    date = f"regexp_replace({value}, '{_MIDNIGHT}$', '')" if is_text(kind) else f"{value}::DATE::VARCHAR"
    time = present(quoted_name(time_of_day), time_kind, nulls)
    if not is_text(time_kind):
        time = f"{time}::TIME::VARCHAR"
    return f"({date}) || ' ' || (CASE WHEN ({time})[2] = ':' THEN '0' ELSE '' END) || ({time})", "VARCHAR"


def _columns_of(kind: str) -> tuple[str, ...]:
    if is_text(kind):
        return _PARTS
    if is_number(kind):
        return ("time_number", *(() if is_integer(kind) else ("time_fraction",)), "time_text")
    rest = ("time_rest",) if kind not in _WHOLE_MS else ()
    return ("time_wall", *rest, *(("time_zone",) if _is_zoned(kind) else ()), "time_text")


def is_clock(kind: str) -> bool:
    """Tell whether values of the SQL type `kind` are dates or timestamps, which can be nothing but times."""
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def with_time_parts(
    rows: str, kind: str, name: str, where: str, parts: Collection[str] | None = None, format: str | None = None
) -> str:
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
    parts : collection of str, optional
        Columns to make, of `time_columns`; by default those of `kind`. Others than these are null.
    format : str, optional
        How text is written, in the letters of strptime; by default as ISO 8601 has it, or a number.

    Returns
    -------
    str
        A SELECT with some of these int64 columns in place of ``told_time``, null where a value has none of the kind:
        ``time_number``, the whole part of a number that is not negative; ``time_fraction``, billionths of its rest;
        ``time_wall``, the milliseconds since 1970 that a clock showed; ``time_rest``, the nanoseconds that it showed
        beyond these; ``time_zone``, the milliseconds by which that
        clock was ahead of UTC, where the value says so. And ``time_text``, string: values that are no times, and of
        numbers all. Which these are, `time_columns` tells.

    Raises
    ------
    HupError
        If the column's type tells no time.
    """
    if is_text(kind):
        return _text_parts(rows) if format is None else _formatted_parts(rows, format)
    if is_number(kind):
        made = {
            "time_number": whole_number("told_time", kind),
            "time_fraction": billionths("told_time", kind),
            "time_text": f"CASE WHEN time_number IS NULL THEN {number_text('told_time', kind)} END",
        }
    elif kind == NULL_TYPE or is_clock(kind):
        made = {"time_wall": _wall(kind), "time_rest": _rest(kind), "time_text": "NULL::VARCHAR"}
        if _is_zoned(kind):
            made["time_zone"] = "0::BIGINT"
    else:
        raise HupError(f"{where}: column {name!r} holds {plain_type(kind)}; expected timestamps, numbers or text.")
    wanted = time_columns(kind) if parts is None else parts
    chosen = ", ".join(f"{made.get(part, 'NULL::BIGINT')} AS {part}" for part in wanted)
    return f"SELECT * EXCLUDE (told_time), {chosen} FROM ({rows})"


def _is_zoned(kind: str) -> bool:
    return kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")


def _wall(kind: str) -> str:
    """Read a date or a timestamp; what is below milliseconds is cut off, also where it is negative."""
    if kind == NULL_TYPE:
        return "NULL::BIGINT"
    if kind == "DATE":
        return f"(told_time - DATE '1970-01-01') * {DAY_MS}"
    value, unit = _exact(kind)
    return f"({value} - ({value} % {unit} + {unit}) % {unit}) // {unit}"


def _rest(kind: str) -> str:
    """Read the nanoseconds that `_wall` cuts off."""
    if kind in _WHOLE_MS:
        return "0::BIGINT"
    value, unit = _exact(kind)
    return f"({value} % {unit} + {unit}) % {unit} * {10**6 // unit}"


def _exact(kind: str) -> tuple[str, int]:
    """Give timestamps as integers, and how many of these a millisecond has."""
    if kind == "TIMESTAMP_NS":
        return "epoch_ns(told_time)", 10**6
    return f"epoch_us(told_time::{'TIMESTAMPTZ' if _is_zoned(kind) else 'TIMESTAMP'})", 10**3


def _text_parts(rows: str) -> str:
    """Read text such as ``2019-10-01 12:30:00.5 +02:00`` or ``1569888000.25``.

    A time is null where the text is none, 30 February and 25 o'clock included. Decimals beyond the ninth are cut off.
    """
    shaped = f"""
        SELECT *,
            CASE WHEN regexp_full_match(told_time, '{_ISO}') THEN told_time END AS iso_text,
            CASE WHEN regexp_full_match(told_time, '{DECIMAL_NUMBER}') THEN told_time END AS told_number
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
            {_digits("rpad(regexp_extract(iso_text, '[.,]([0-9]{1,9})', 1), 9, '0')")} AS iso_ns,
            CASE WHEN left({zone}, 1) = '-' THEN -1 WHEN {zone} <> '' THEN 1 END AS iso_sign,
            {_digits(f"left({zone_digits}, 2)")} AS iso_zone_hours,
            {_digits(f"{zone_digits}[3:4]")} AS iso_zone_minutes
        FROM ({shaped})"""
    return f"""
        SELECT * EXCLUDE (told_time, told_number, iso_date, iso_hour, iso_minute, iso_second, iso_ns, iso_sign,
                          iso_zone_hours, iso_zone_minutes),
            CASE
                WHEN iso_hour < 24 AND iso_minute < 60 AND iso_second < 60 AND iso_zone_hours <= {_MOST_ZONE_HOURS}
                    AND iso_zone_minutes < 60
                THEN (iso_date - DATE '1970-01-01') * {DAY_MS} + iso_hour * 3600000 + iso_minute * 60000
                    + iso_second * 1000 + iso_ns // 1000000
            END AS time_wall,
            iso_ns % 1000000 AS time_rest,
            iso_sign * (iso_zone_hours * 3600000 + iso_zone_minutes * 60000) AS time_zone,
            {whole_number("told_number", "VARCHAR")} AS time_number,
            {billionths("told_number", "VARCHAR")} AS time_fraction,
            CASE WHEN time_number IS NULL AND time_wall IS NULL THEN told_time END AS time_text
        FROM ({parts})"""


def _formatted_parts(rows: str, format: str) -> str:
    """Read text of a `format`, as `_text_parts` reads ISO 8601."""
    read = f"TRY_STRPTIME(told_time, {quoted_text(format)})"
    zone = "CASE WHEN told_us IS NOT NULL THEN 0 END" if "%z" in format.replace("%%", "") else "NULL"
    return f"""
        SELECT * EXCLUDE (told_time, told_us),
            (told_us - (told_us % 1000 + 1000) % 1000) // 1000 AS time_wall,
            (told_us % 1000 + 1000) % 1000 * 1000 AS time_rest,
            ({zone})::BIGINT AS time_zone,
            NULL::BIGINT AS time_number,
            NULL::BIGINT AS time_fraction,
            CASE WHEN told_us IS NULL THEN told_time END AS time_text
        FROM (SELECT *, epoch_us({read}) AS told_us FROM ({rows}))"""


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
