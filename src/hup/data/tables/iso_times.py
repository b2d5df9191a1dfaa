"""Dates and times written as text, and back, with integer arithmetic alone, so that every engine reads them alike."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from hup.data.tables.stages import stage

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000
_ZONE = "(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)"
_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?"
#: A date, a date with time, the latter with or without zone; for text without blanks at its ends.
SHAPE = f"{_DATE}({_CLOCK}( ?{_ZONE})?)?$"
ZONED_SHAPE = f"{_DATE}{_CLOCK} ?{_ZONE}$"
_MOST_ZONE_HOURS = 15
_DAYS_TO_MARCH_OF_0 = 719_468  # from 0000-03-01 to 1970-01-01
_DAYS_OF_400_YEARS = 146_097


def with_iso_times(table: ir.Table, column: str, wall: str, zone_ms: str) -> ir.Table:
    """Read text such as ``2019-10-01 12:30:00.5 +02:00``.

    Parameters
    ----------
    table : Table
    column : str
        Text without blanks at its ends.
    wall : str
        New column: milliseconds that a clock set to UTC at that reading would show since 1970; null where the text is
        no time, 30 February and 25 o'clock included. Decimals beyond the third are cut off.
    zone_ms : str
        New column: milliseconds by which the text's own zone is ahead of UTC; null where it names none.
    """
    text = table[column]

    def digits(start: int, length: int = 2) -> ir.IntegerValue:
        return text.substr(start, length).try_cast("int64")

    shaped = text.re_search(SHAPE)
    zone = text.substr(10).re_extract(f"{_ZONE}$", 1)
    # Of "+0200" and "+02:00" the digits are 0200; those of "Z" and "UTC" are none.
    zone_digits = zone.re_replace("[^0-9]", "")
    decimals = text.re_extract("[.,]([0-9]{1,3})", 1)
    parts = stage(
        table.mutate(
            iso_year=ibis.ifelse(shaped, digits(0, 4), ibis.null("int64")),
            iso_month=digits(5),
            iso_day=digits(8),
            iso_hour=ibis.coalesce(digits(11), 0),
            iso_minute=ibis.coalesce(digits(14), 0),
            iso_second=ibis.ifelse(text.substr(16, 1) == ":", digits(17), 0),
            iso_ms=ibis.coalesce(decimals.rpad(3, "0").try_cast("int64"), 0),
            iso_sign=ibis.cases((zone.substr(0, 1) == "-", -1), (zone != "", 1), else_=ibis.null("int64")),
            iso_zone_hours=ibis.coalesce(zone_digits.substr(0, 2).try_cast("int64"), 0),
            iso_zone_minutes=ibis.coalesce(zone_digits.substr(2, 2).try_cast("int64"), 0),
        )
    )
    return parts.mutate(
        **{
            wall: ibis.ifelse(
                _is_valid(parts),
                days_from_civil(parts.iso_year, parts.iso_month, parts.iso_day) * DAY_MS
                + parts.iso_hour * _HOUR_MS
                + parts.iso_minute * _MINUTE_MS
                + parts.iso_second * 1000
                + parts.iso_ms,
                ibis.null("int64"),
            ),
            zone_ms: parts.iso_sign * (parts.iso_zone_hours * _HOUR_MS + parts.iso_zone_minutes * _MINUTE_MS),
        }
    ).drop(*(name for name in parts.columns if name.startswith("iso_")))


def _is_valid(parts: ir.Table) -> ir.BooleanValue:
    year, month = parts.iso_year, parts.iso_month
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = ibis.cases(
        (month == 2, ibis.ifelse(is_leap, 29, 28)),
        (month.isin([4, 6, 9, 11]), 30),
        else_=31,
    )
    return (
        year.notnull()
        & month.between(1, 12)
        & parts.iso_day.between(1, days)
        & (parts.iso_hour < 24)
        & (parts.iso_minute < 60)
        & (parts.iso_second < 60)
        & (parts.iso_zone_hours <= _MOST_ZONE_HOURS)
        & (parts.iso_zone_minutes < 60)
    )


def days_from_civil(year: ir.IntegerValue, month: ir.IntegerValue, day: ir.IntegerValue) -> ir.IntegerValue:
    """Count the days from 1970-01-01 to a date of the years 0 to 9999 in the Gregorian calendar."""
    # Years that begin in March have their leap day at the end; 400 years more keep the year 0 from being negative.
    march_year = year + 400 - ibis.ifelse(month <= 2, 1, 0)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    leap_days = march_year // 4 - march_year // 100 + march_year // 400
    return march_year * 365 + leap_days + day_of_year - (_DAYS_TO_MARCH_OF_0 + _DAYS_OF_400_YEARS)


def iso_text(ms: ir.IntegerValue) -> ir.StringValue:
    """Write milliseconds since 1970 UTC as ``2019-10-01 12:30:00.500 UTC``."""
    days = ms // DAY_MS
    rest = ms - days * DAY_MS
    date = (ibis.date("1970-01-01") + ibis.interval(days=1) * days.cast("int32")).cast("string").substr(0, 10)

    def two(value: ir.IntegerValue, width: int = 2) -> ir.StringValue:
        return value.cast("string").lpad(width, "0")

    clock = two(rest // _HOUR_MS) + ":" + two(rest // _MINUTE_MS % 60) + ":" + two(rest // 1000 % 60)
    return date + " " + clock + "." + two(rest % 1000, 3) + " UTC"
