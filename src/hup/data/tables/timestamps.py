"""What unit and zone the times of a table are in, guessed or held against what is there; then they become int64 ms."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.tables.mapping_rules import TimestampRule
from hup.data.tables.values import DAY_MS
from hup.errors import HupError

#: Events before 1973-03-03 are taken for missing or misread times. It is where the magnitudes of units part, too.
LEAST_MS = 10**11
#: The end of the year 9999.
MOST_MS = 253_402_300_799_999
_SMALLEST_SECONDS = 10**8  # a unit's numbers begin in 1973 and end before 1000 times that, in 5138
NumberUnit = Literal["s", "ms", "us", "ns"]
_PER_SECOND: dict[NumberUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = datetime.timedelta(days=1)
_MS = datetime.timedelta(milliseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1)
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
class _Counted:
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
    rows: str,
    parts: Collection[str],
    rule: TimestampRule,
    column: str,
    engine: DuckDBEngine,
    now_ms: int,
    where: str,
) -> TimeReading:
    """Look at all times of a column once and decide how they are read.

    Parameters
    ----------
    rows : str
        Name of a table that the engine keeps, with the columns of `with_time_parts`.
    parts : collection of str
        Which these are.
    rule : TimestampRule
    column : str
        The column's name, for sentences.
    engine : DuckDBEngine
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
    counted = _look(rows, parts, engine, now_ms)
    if "time_number" in parts:
        _check_kind(rule, counted, column, where)
    guesses: list[str] = []
    least_ms = LEAST_MS
    unit: NumberUnit | None = None if rule.unit == "auto" or rule.unit == "iso" else rule.unit
    if counted.numbers and rule.unit != "iso":
        likely = max(_PER_SECOND, key=lambda unit: counted.size[unit][0])
        if counted.size[likely][0] * 2 >= counted.numbers:
            _check_unit(likely, rule, counted, column, where)
            unit = likely
            guesses += _unit_guesses(likely, counted, column)
        elif unit is None and counted.walls >= counted.numbers:
            guesses.append(f"{column}: {counted.numbers:,} numbers among dates are times of no unit; not used.")
        elif unit is None:
            raise HupError(
                f"{where}: most numbers in {column!r} are in no unit a time after 1973, so that none can be guessed. "
                'Set unit to "s", "ms", "us" or "ns", or map another column.'
            )
        else:
            least_ms = 0
            guesses.append(f"{column}: most numbers are shortly after 1970 when read as {_NAMES[unit]}, as stated.")
    reads_walls = rule.unit in ("auto", "iso") or "time_number" not in parts
    if counted.walls and reads_walls:
        guesses += _wall_guesses(counted, rule, column)
    return TimeReading(
        unit=unit,
        reads_walls=reads_walls,
        zone=rule.zone,
        # What lies outside is refused for its year, whatever its zone; 9999-12-31 often means "never".
        first_wall=max(counted.first_wall or 0, LEAST_MS - 2 * DAY_MS),
        last_wall=min(counted.last_wall or 0, now_ms + 2 * DAY_MS),
        least_ms=least_ms,
        guesses=tuple(guesses),
    )


def _look(rows: str, parts: Collection[str], engine: DuckDBEngine, now_ms: int) -> _Counted:
    latest = now_ms + DAY_MS
    counts: dict[str, str] = {}
    if "time_number" in parts:
        counts["numbers"] = "count(time_number)"
        for unit, per_second in _PER_SECOND.items():
            least = _SMALLEST_SECONDS * per_second
            inside = f"time_number >= {least} AND time_number < {least * 1000}"
            future = f"{inside} AND time_number > {latest // 1000 * per_second}"
            counts[f"{unit}_n"] = f"count(*) FILTER (WHERE {inside})"
            counts[f"{unit}_first"] = f"min(time_number) FILTER (WHERE {inside})"
            counts[f"{unit}_last"] = f"max(time_number) FILTER (WHERE {inside})"
            counts[f"{unit}_future"] = f"count(*) FILTER (WHERE {future})"
    if "time_wall" in parts:
        counts |= {"walls": "count(time_wall)", "first_wall": "min(time_wall)", "last_wall": "max(time_wall)"}
        counts["future_walls"] = f"count(*) FILTER (WHERE time_wall > {latest})"
        if "time_zone" in parts:
            counts["zoned"] = "count(*) FILTER (WHERE time_wall IS NOT NULL AND time_zone IS NOT NULL)"
    chosen = ", ".join(f"{count} AS {name}" for name, count in counts.items())
    row: dict[str, Any] = engine.collect(f"SELECT {chosen} FROM {rows}").to_pylist()[0]
    return _Counted(
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


def _check_kind(rule: TimestampRule, counted: _Counted, column: str, where: str) -> None:
    if rule.unit == "iso" and counted.numbers > counted.walls:
        raise HupError(f'{where}: most times in {column!r} are numbers, not dates as text: set unit = "auto".')
    if rule.unit not in ("auto", "iso") and counted.walls > counted.numbers:
        raise HupError(f'{where}: most times in {column!r} are dates as text, not numbers: set unit = "iso".')


def _check_unit(likely: NumberUnit, rule: TimestampRule, counted: _Counted, column: str, where: str) -> None:
    if rule.unit in ("auto", likely):
        return
    first = counted.size[likely][1] or 0
    when = _year_or_month(first // _PER_SECOND[rule.unit])  # type: ignore[index]
    raise HupError(
        f"{where}: times in {column!r} lie in {when} when read as {rule.unit}; they look like {_NAMES[likely]}: "
        f'set unit = "{likely}".'
    )


def _unit_guesses(unit: NumberUnit, counted: _Counted, column: str) -> list[str]:
    n, first, last, future = counted.size[unit]
    days = [_day((bound or 0) * 1000 // _PER_SECOND[unit]) for bound in (first, last)]
    guesses = [f"{column}: numbers are {_NAMES[unit]} since 1970, {_span(days)}."]
    if n < counted.numbers:
        guesses.append(
            f"{column}: {counted.numbers - n:,} of {counted.numbers:,} numbers are of another size; not used."
        )
    return guesses + _future_guess(column, future, counted.numbers)


def _wall_guesses(counted: _Counted, rule: TimestampRule, column: str) -> list[str]:
    span = _span([_day(counted.first_wall or 0), _day(counted.last_wall or 0)])
    zoned, naive = counted.zoned, counted.walls - counted.zoned
    if zoned and naive:
        guesses = [
            f"{column}: {zoned:,} times name a zone and {naive:,} do not: these are read in {rule.zone}; {span}."
        ]
    elif zoned:
        guesses = [f"{column}: times with a zone, {span}."]
    else:
        guesses = [f"{column}: times without a zone, read in {rule.zone}, {span}."]
    if counted.numbers:
        guesses.append(f"{column}: {counted.numbers:,} values are numbers, {counted.walls:,} are dates.")
    return guesses + _future_guess(column, counted.future_walls, counted.walls)


def _future_guess(column: str, future: int, n: int) -> list[str]:
    if future * 2 <= n:
        return []
    return [
        f"{column}: {future:,} of {n:,} times lie in the future; is the unit, the zone or this machine's clock wrong?"
    ]


def time_ms(parts: Collection[str], reading: TimeReading) -> str:
    """Give the times of rows made by `with_time_parts`: int64 milliseconds since 1970 UTC, null where there is none.

    Bounds are the caller's to check: a number of microseconds read as milliseconds is a time in the year 50000.
    """
    times: list[str] = []
    if reading.unit is not None and "time_number" in parts:
        times.append(number_ms("time", reading.unit, parts))
    if reading.reads_walls and "time_wall" in parts:
        first, last = (min(max(bound, 0), MOST_MS - 2 * DAY_MS) for bound in (reading.first_wall, reading.last_wall))
        offset = zone_offset("time_wall", reading.zone, first, last)
        if "time_zone" in parts:
            offset = f"coalesce(time_zone, {offset})"
        times.append(f"time_wall - {offset}")
    return f"coalesce({', '.join(times)})" if times else "NULL::BIGINT"


def number_ms(prefix: str, unit: NumberUnit, parts: Collection[str]) -> str:
    """Read numbers, parted into ``{prefix}_number`` and perhaps ``{prefix}_fraction``, as milliseconds."""
    whole = f"{prefix}_number"
    if unit == "s":
        known = f"CASE WHEN {whole} < {9 * 10**15} THEN {whole} END * 1000"  # or the product would not fit
        return f"{known} + {prefix}_fraction" if f"{prefix}_fraction" in parts else known
    return whole if unit == "ms" else f"{whole} // {_PER_SECOND[unit] // 1000}"


def _year_or_month(seconds: int) -> str:
    year = 1970 + seconds * 10_000 // 315_569_520_000
    return "January 1970" if seconds < 31 * 86_400 else f"the year {year}"


def _span(days: Sequence[str]) -> str:
    return days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def _day(ms: int) -> str:
    if not 0 <= ms <= MOST_MS:
        return "before 1970" if ms < 0 else "after the year 9999"
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)).strftime("%Y-%m-%d")


def zone_offset(wall: str, zone: str, first_ms: int, last_ms: int) -> str:
    """Give the milliseconds by which clocks of `zone` are ahead of UTC when they show `wall`.

    Where clocks show a time twice, the first is meant; where they skip one, the clock is taken for not yet set.

    Parameters
    ----------
    wall : str
        SQL of what the clocks show, as milliseconds since they showed 1970-01-01 00:00.
    zone : str
        IANA name.
    first_ms, last_ms : int
        Bounds of `wall`; outside the nearest offset inside holds.
    """
    offset, changes = zone_changes(zone, first_ms, last_ms)
    branches = []
    for start, after in changes:
        branches.append(f"WHEN {wall} < {start} THEN {offset}")
        offset = after
    return f"CASE {' '.join(branches)} ELSE {offset} END" if branches else f"{offset}"


def zone_changes(zone: str, first_ms: int, last_ms: int) -> tuple[int, list[tuple[int, int]]]:
    """List when clocks are set between two readings of theirs: the offset before, and (reading, new offset) pairs."""
    info = ZoneInfo(zone)
    at = _EPOCH + first_ms * _MS
    end = _EPOCH + last_ms * _MS
    initial = offset = _offset(info, at)
    changes = []
    while at < end:
        later = min(at + _DAY, end)
        if (after := _offset(info, later)) != offset:
            start = _first_with(info, after, at, later)
            changes.append(((start - _EPOCH) // _MS, after // _MS))
            offset = after
        at = later
    return initial // _MS, changes


def _first_with(
    info: ZoneInfo, offset: datetime.timedelta, before: datetime.datetime, after: datetime.datetime
) -> datetime.datetime:
    """Halve the time between two readings down to the first, on the millisecond, that has `offset`."""
    while after - before > _MS:
        middle = before + (after - before) // _MS // 2 * _MS
        before, after = (before, middle) if _offset(info, middle) == offset else (middle, after)
    return after


def _offset(info: ZoneInfo, reading: datetime.datetime) -> datetime.timedelta:
    """Offset at a reading; of two times with the same reading the first, which is what fold=0 means."""
    offset = reading.replace(tzinfo=info).utcoffset()
    assert offset is not None
    return offset
