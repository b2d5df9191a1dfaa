"""What unit and zone the times of a table are in, guessed or held against what is there; then they become int64 ms."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import select
from hup.data.tables.mapping_rules import TimestampRule
from hup.data.tables.time_parts import DAY_MS, is_clock, time_columns
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
_MIDNIGHTS = (
    "{column}: all times are at midnight, so events of one day are in the order of their rows. Is the time of day in a "
    'column of its own? Then map it, too: timestamp = {{ column = "{column}", time = "…" }}.'
)


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
    """How many values of a kind a column has, the first and last, how many lie in the future and at midnight (UTC)."""

    n: int
    first: int | None
    last: int | None
    future: int
    midnights: int


@dataclass(frozen=True)
class _Met:
    """What is in a column: numbers, those of each unit's magnitude among them, walls, and those with a zone."""

    numbers: int
    units: dict[NumberUnit, _Counted]
    walls: _Counted
    zoned: int


def decide_reading(
    rows: str,
    kinds: Collection[str],
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
    kinds : collection of str
        SQL types that the column has in any of the files.
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
    parts = time_columns(*kinds)
    met = _look(rows, parts, engine, now_ms + DAY_MS)
    # A unit says how numbers are read, and text: a timestamp is one whatever else there is.
    has_clocks = any(map(is_clock, kinds))
    if "time_number" in parts and not has_clocks:
        _check_kind(rule, met, column, where)
    guesses: list[str] = []
    least_ms = LEAST_MS
    unit: NumberUnit | None = None if rule.unit == "auto" or rule.unit == "iso" else rule.unit
    if met.numbers and rule.unit != "iso":
        likely = max(_PER_SECOND, key=lambda unit: met.units[unit].n)
        if met.units[likely].n * 2 >= met.numbers:
            _check_unit(likely, rule, met.units[likely].first or 0, column, where)
            unit = likely
            guesses += _unit_guesses(likely, met, rule, column)
        elif unit is None and met.walls.n >= met.numbers:
            guesses.append(f"{column}: {met.numbers:,} numbers among dates are times of no unit; not used.")
        elif unit is None:
            raise HupError(
                f"{where}: most numbers in {column!r} are in no unit a time after 1973, so that none can be guessed. "
                'Set unit to "s", "ms", "us" or "ns", or map another column.'
            )
        else:
            least_ms = 0
            guesses.append(f"{column}: most numbers are shortly after 1970 when read as {_NAMES[unit]}, as stated.")
    reads_walls = rule.unit in ("auto", "iso") or has_clocks or "time_number" not in parts
    if met.walls.n and reads_walls:
        guesses += _wall_guesses(met, rule, column)
    return TimeReading(
        unit=unit,
        reads_walls=reads_walls,
        zone=rule.zone,
        # What lies outside is refused for its year, whatever its zone; 9999-12-31 often means "never".
        first_wall=max(met.walls.first or 0, LEAST_MS - 2 * DAY_MS),
        last_wall=min(met.walls.last or 0, now_ms + 2 * DAY_MS),
        least_ms=least_ms,
        guesses=tuple(guesses),
    )


def _look(rows: str, parts: Collection[str], engine: DuckDBEngine, latest_ms: int) -> _Met:
    number, wall, zone = (
        part if part in parts else "NULL::BIGINT" for part in ("time_number", "time_wall", "time_zone")
    )

    def counted(value: str, condition: str, latest: int, day: int) -> str:
        met = f"FILTER (WHERE {condition})"
        bounds = f"n: count({value}) {met}, first: min({value}) {met}, last: max({value}) {met}"
        future = f"count(*) FILTER (WHERE {condition} AND {value} > {latest})"
        midnights = f"count(*) FILTER (WHERE {condition} AND {value} % {day} = 0)"
        return f"{{{bounds}, future: {future}, midnights: {midnights}}}"

    bounds = {"numbers": f"count({number})", "first": f"min({number})", "last": f"max({number})"}
    numbers: dict[str, Any] = engine.collect(select(bounds, rows)).to_pylist()[0]
    counts = {"zoned": f"count({zone}) FILTER (WHERE {wall} IS NOT NULL)"}
    for unit, per_second in _PER_SECOND.items():
        least = _SMALLEST_SECONDS * per_second
        if numbers["numbers"] and numbers["first"] < least * 1000 and numbers["last"] >= least:
            inside = f"{number} >= {least} AND {number} < {least * 1000}"
            counts[unit] = counted(number, inside, latest_ms // 1000 * per_second, DAY_MS // 1000 * per_second)
    counts["walls"] = counted(wall, "true", latest_ms, DAY_MS)
    row: dict[str, Any] = engine.collect(select(counts, rows)).to_pylist()[0]
    units = {unit: _Counted(**row[unit]) if unit in row else _Counted(0, None, None, 0, 0) for unit in _PER_SECOND}
    return _Met(numbers["numbers"], units, _Counted(**row["walls"]), row["zoned"])


def _check_kind(rule: TimestampRule, met: _Met, column: str, where: str) -> None:
    if rule.unit == "iso" and met.numbers > met.walls.n:
        raise HupError(f'{where}: most times in {column!r} are numbers, not dates as text: set unit = "auto".')
    if rule.unit not in ("auto", "iso") and met.walls.n > met.numbers:
        raise HupError(f'{where}: most times in {column!r} are dates as text, not numbers: set unit = "iso".')


def _check_unit(likely: NumberUnit, rule: TimestampRule, first: int, column: str, where: str) -> None:
    if rule.unit in ("auto", likely):
        return
    when = _year_or_month(first // _PER_SECOND[rule.unit])  # type: ignore[index]
    raise HupError(
        f"{where}: times in {column!r} lie in {when} when read as {rule.unit}; they look like {_NAMES[likely]}: "
        f'set unit = "{likely}".'
    )


def _unit_guesses(unit: NumberUnit, met: _Met, rule: TimestampRule, column: str) -> list[str]:
    counted = met.units[unit]
    days = [_day((bound or 0) * 1000 // _PER_SECOND[unit]) for bound in (counted.first, counted.last)]
    guesses = [f"{column}: numbers are {_NAMES[unit]} since 1970, {_span(days)}."]
    if others := met.numbers - counted.n:
        guesses.append(f"{column}: {others:,} of {met.numbers:,} numbers are of another size; not used.")
    guesses += _midnight_guess(counted, met.numbers, rule, column)
    return guesses + _future_guess(column, counted.future, met.numbers)


def _wall_guesses(met: _Met, rule: TimestampRule, column: str) -> list[str]:
    span = _span([_day(bound or 0) for bound in (met.walls.first, met.walls.last)])
    if not met.zoned:
        what = f"times without a zone, read in {rule.zone}, {span}"
    elif met.zoned == met.walls.n:
        what = f"times with a zone, {span}"
    else:
        naive = met.walls.n - met.zoned
        what = f"{met.zoned:,} times name a zone and {naive:,} do not: these are read in {rule.zone}; {span}"
    guesses = [f"{column}: {what}."]
    if met.numbers:
        guesses.append(f"{column}: {met.numbers:,} values are numbers, {met.walls.n:,} are dates.")
    guesses += _midnight_guess(met.walls, met.walls.n + met.numbers, rule, column)
    return guesses + _future_guess(column, met.walls.future, met.walls.n)


def _midnight_guess(counted: _Counted, n: int, rule: TimestampRule, column: str) -> list[str]:
    if not 1 < n == counted.midnights or rule.time is not None or rule.offset is not None:
        return []
    return [_MIDNIGHTS.format(column=column)]


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


def time_ns(parts: Collection[str], reading: TimeReading) -> str:
    """Give the nanoseconds of the same times beyond their milliseconds, 0 where there are none; int64."""
    rests: list[str] = []
    if reading.unit is not None and "time_number" in parts:
        rests.append(number_ns("time", reading.unit, parts))
    if "time_rest" in parts:
        rests.append("time_rest")
    return f"coalesce({', '.join([*rests, '0::BIGINT'])})"


def number_ms(prefix: str, unit: NumberUnit, parts: Collection[str]) -> str:
    """Read numbers, parted into ``{prefix}_number`` and perhaps ``{prefix}_fraction``, as milliseconds."""
    whole = f"{prefix}_number"
    if unit == "s":
        known = f"CASE WHEN {whole} < {9 * 10**15} THEN {whole} END * 1000"  # or the product would not fit
        return f"{known} + {prefix}_fraction // 1000000" if f"{prefix}_fraction" in parts else known
    return whole if unit == "ms" else f"{whole} // {_PER_SECOND[unit] // 1000}"


def number_ns(prefix: str, unit: NumberUnit, parts: Collection[str]) -> str:
    """Read the nanoseconds that `number_ms` cuts off."""
    whole, fraction = f"{prefix}_number", f"{prefix}_fraction"
    if fraction not in parts:
        fraction = f"CASE WHEN {whole} IS NOT NULL THEN 0 END"
    if unit == "s":
        return f"{fraction} % 1000000"
    if unit == "ms":
        return f"{fraction} // 1000"
    return f"{whole} % 1000 * 1000 + {fraction} // 1000000" if unit == "us" else f"{whole} % 1000000"


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
