"""What unit and zone the times of a table are in, guessed or held against what is there; then they become int64 ms."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from hup.data.engines.engine import Engine
from hup.data.tables.iso_times import DAY_MS
from hup.data.tables.mapping_rules import TimestampRule
from hup.data.tables.zones import zone_offset
from hup.errors import HupError

#: Events before 1973-03-03 are taken for missing or misread times. It is where the magnitudes of units part, too.
LEAST_MS = 10**11
#: The end of the year 9999.
MOST_MS = 253_402_300_799_999
_SMALLEST_SECONDS = 10**8  # a unit's numbers begin in 1973 and end before 1000 times that, in 5138
NumberUnit = Literal["s", "ms", "us", "ns"]
_PER_SECOND: dict[NumberUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True)
class TimeReading:
    """How the times of one column are read.

    Attributes
    ----------
    unit : {"s", "ms", "us", "ns"} or None
        Of numbers; None: they are no times.
    reads_walls : bool
        Whether timestamps, dates and text of such are times.
    zone : str
        IANA zone of those that name none.
    first_wall, last_wall : int
        Bounds of those, milliseconds.
    least_ms : int
        Earlier times are not believed.
    guesses : tuple of str
        Sentences for people: what was taken for what.
    """

    unit: NumberUnit | None
    reads_walls: bool
    zone: str = "UTC"
    first_wall: int = 0
    last_wall: int = 0
    least_ms: int = LEAST_MS
    guesses: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What one aggregation counted in a column.

    `size` has, by unit, the number of times that have its magnitude, the first and last of them, and how many of them
    lie in the future; for walls `zoned` are those that name a zone.
    """

    numbers: int
    walls: int
    zoned: int
    first_wall: int | None
    last_wall: int | None
    future_walls: int
    size: dict[NumberUnit, tuple[int, int | None, int | None, int]] = field(default_factory=dict)


def decide_reading(
    parts: ir.Table, rule: TimestampRule, column: str, engine: Engine, now_ms: int, where: str
) -> TimeReading:
    """Look at all times of a column once and decide how they are read.

    Parameters
    ----------
    parts : Table
        As `with_time_parts` makes it; it can be read again afterwards only if the engine keeps it.
    rule : TimestampRule
    column : str
        The column's name, for sentences.
    engine : Engine
        Runs one aggregation.
    now_ms : int
        Times later than a day after it are in the future.
    where : str
        Of the table, for errors.

    Raises
    ------
    HupError
        If the stated unit makes nonsense of most numbers, or they are too small to guess a unit.
    """
    found = _look(parts, engine, now_ms)
    if "time_number" in parts.columns:
        _check_kind(rule, found, column, where)
    guesses: list[str] = []
    least_ms = LEAST_MS
    unit: NumberUnit | None = None if rule.unit == "auto" or rule.unit == "iso" else rule.unit
    if found.numbers and rule.unit != "iso":
        likely = max(_PER_SECOND, key=lambda unit: found.size[unit][0])
        if found.size[likely][0] * 2 >= found.numbers:
            _check_unit(likely, rule, found, column, where)
            unit = likely
            guesses += _unit_guesses(likely, found, column)
        elif unit is None and found.walls >= found.numbers:
            guesses.append(f"{column}: {found.numbers:,} numbers among dates are times of no unit; not used.")
        elif unit is None:
            raise HupError(
                f"{where}: most numbers in {column!r} are in no unit a time after 1973, so that none can be guessed. "
                'Set unit to "s", "ms", "us" or "ns", or map another column.'
            )
        else:
            least_ms = 0
            guesses.append(f"{column}: most numbers are shortly after 1970 when read as {_NAMES[unit]}, as stated.")
    reads_walls = rule.unit in ("auto", "iso") or "time_number" not in parts.columns
    if found.walls and reads_walls:
        guesses += _wall_guesses(found, rule, column)
    return TimeReading(
        unit=unit,
        reads_walls=reads_walls,
        zone=rule.zone,
        # What lies outside is refused for its year, whatever its zone; 9999-12-31 often means "never".
        first_wall=max(found.first_wall or 0, LEAST_MS - 2 * DAY_MS),
        last_wall=min(found.last_wall or 0, now_ms + 2 * DAY_MS),
        least_ms=least_ms,
        guesses=tuple(guesses),
    )


def _look(parts: ir.Table, engine: Engine, now_ms: int) -> _Found:
    latest = now_ms + DAY_MS
    counts: dict[str, ir.Scalar] = {}
    if "time_number" in parts.columns:
        number = parts.time_number
        counts["numbers"] = number.count()
        for unit, per_second in _PER_SECOND.items():
            least = _SMALLEST_SECONDS * per_second
            # As a product the upper bound of nanoseconds would be beyond int64.
            inside = (number >= least) & ((number < least * 1000) if unit != "ns" else ibis.literal(True))
            counts[f"{unit}_n"] = number.count(where=inside)
            counts[f"{unit}_first"] = number.min(where=inside)
            counts[f"{unit}_last"] = number.max(where=inside)
            counts[f"{unit}_future"] = number.count(where=inside & (number > latest // 1000 * per_second))
    if "time_wall" in parts.columns:
        wall = parts.time_wall
        counts |= {"walls": wall.count(), "first_wall": wall.min(), "last_wall": wall.max()}
        counts["future_walls"] = wall.count(where=wall > latest)
        if "time_zone" in parts.columns:
            counts["zoned"] = wall.count(where=parts.time_zone.notnull())
    row: dict[str, Any] = engine.collect(parts.aggregate(**counts)).to_pylist()[0]
    return _Found(
        numbers=row.get("numbers", 0),
        walls=row.get("walls", 0),
        zoned=row.get("zoned", 0),
        first_wall=row.get("first_wall"),
        last_wall=row.get("last_wall"),
        future_walls=row.get("future_walls", 0),
        size={
            unit: (row[f"{unit}_n"], row[f"{unit}_first"], row[f"{unit}_last"], row[f"{unit}_future"])
            for unit in _PER_SECOND
            if f"{unit}_n" in row
        },
    )


def _check_kind(rule: TimestampRule, found: _Found, column: str, where: str) -> None:
    if rule.unit == "iso" and found.numbers > found.walls:
        raise HupError(f'{where}: most times in {column!r} are numbers, not dates as text: set unit = "auto".')
    if rule.unit not in ("auto", "iso") and found.walls > found.numbers:
        raise HupError(f'{where}: most times in {column!r} are dates as text, not numbers: set unit = "iso".')


def _check_unit(likely: NumberUnit, rule: TimestampRule, found: _Found, column: str, where: str) -> None:
    if rule.unit in ("auto", likely):
        return
    first = found.size[likely][1] or 0
    when = _year_or_month(first // _PER_SECOND[rule.unit])  # type: ignore[index]
    raise HupError(
        f"{where}: times in {column!r} lie in {when} when read as {rule.unit}; they look like {_NAMES[likely]}: "
        f'set unit = "{likely}".'
    )


def _unit_guesses(unit: NumberUnit, found: _Found, column: str) -> list[str]:
    n, first, last, future = found.size[unit]
    days = [_day((bound or 0) * 1000 // _PER_SECOND[unit]) for bound in (first, last)]
    guesses = [f"{column}: numbers are {_NAMES[unit]} since 1970, {_span(days)}."]
    if n < found.numbers:
        guesses.append(f"{column}: {found.numbers - n:,} of {found.numbers:,} numbers are of another size; not used.")
    return guesses + _future_guess(column, future, found.numbers)


def _wall_guesses(found: _Found, rule: TimestampRule, column: str) -> list[str]:
    span = _span([_day(found.first_wall or 0), _day(found.last_wall or 0)])
    zoned, naive = found.zoned, found.walls - found.zoned
    if zoned and naive:
        guesses = [
            f"{column}: {zoned:,} times name a zone and {naive:,} do not: these are read in {rule.zone}; {span}."
        ]
    elif zoned:
        guesses = [f"{column}: times with a zone, {span}."]
    else:
        guesses = [f"{column}: times without a zone, read in {rule.zone}, {span}."]
    if found.numbers:
        guesses.append(f"{column}: {found.numbers:,} values are numbers, {found.walls:,} are dates.")
    return guesses + _future_guess(column, found.future_walls, found.walls)


def _future_guess(column: str, future: int, n: int) -> list[str]:
    if future * 2 <= n:
        return []
    return [
        f"{column}: {future:,} of {n:,} times lie in the future; is the unit, the zone or this machine's clock wrong?"
    ]


def time_ms(parts: ir.Table, reading: TimeReading) -> ir.IntegerValue:
    """Give the times of a table made by `with_time_parts`: int64 milliseconds since 1970 UTC, null where there is none.

    Bounds are the caller's to check: a number of microseconds read as milliseconds is a time in the year 50000.
    """
    times: list[ir.IntegerValue] = []
    if reading.unit is not None and "time_number" in parts.columns:
        times.append(number_ms(parts, reading.unit))
    if reading.reads_walls and "time_wall" in parts.columns:
        first, last = (min(max(bound, 0), MOST_MS - 2 * DAY_MS) for bound in (reading.first_wall, reading.last_wall))
        offset = zone_offset(parts.time_wall, reading.zone, first, last)
        if "time_zone" in parts.columns:
            offset = ibis.coalesce(parts.time_zone, offset)
        times.append(parts.time_wall - offset)
    if not times:
        return ibis.null("int64")
    return times[0] if len(times) == 1 else ibis.coalesce(*times)


def number_ms(parts: ir.Table, unit: str, prefix: str = "time") -> ir.IntegerValue:
    """Read numbers, parted into ``{prefix}_number`` and ``{prefix}_fraction``, as milliseconds."""
    whole = parts[f"{prefix}_number"]
    if unit == "s":
        known = ibis.ifelse(whole < 9 * 10**15, whole, ibis.null("int64")) * 1000  # or the product would not fit
        return known + parts[f"{prefix}_fraction"] if f"{prefix}_fraction" in parts.columns else known
    if unit == "ms":
        return whole
    divisor = {"us": 10**3, "ns": 10**6}[unit]
    # Ibis divides integers as floats; a multiple of the divisor comes out right after rounding even above 2**53.
    return ((whole - whole % divisor) / divisor + 0.5).floor().cast("int64")


def _year_or_month(seconds: int) -> str:
    year = 1970 + seconds * 10_000 // 315_569_520_000
    return "January 1970" if seconds < 31 * 86_400 else f"the year {year}"


def _span(days: Sequence[str]) -> str:
    return days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def _day(ms: int) -> str:
    if not 0 <= ms <= MOST_MS:
        return "before 1970" if ms < 0 else "after the year 9999"
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)).strftime("%Y-%m-%d")
