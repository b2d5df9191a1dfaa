"""How far clocks of a time zone are ahead of UTC, as an expression."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

_DAY = datetime.timedelta(days=1)
_MS = datetime.timedelta(milliseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1)


def zone_offset(wall: ir.IntegerValue, zone: str, first_ms: int, last_ms: int) -> ir.IntegerValue:
    """Give the milliseconds by which clocks of `zone` are ahead of UTC when they show `wall`.

    Where clocks show a time twice, the first is meant; where they skip one, the clock is taken for not yet set.

    Parameters
    ----------
    wall : IntegerValue
        What the clocks show, as milliseconds since they showed 1970-01-01 00:00.
    zone : str
        IANA name.
    first_ms, last_ms : int
        Bounds of `wall`; outside the nearest offset inside holds.
    """
    initial, changes = zone_changes(zone, first_ms, last_ms)
    if not changes:
        return ibis.literal(initial, "int64")
    offsets = [initial, *(offset for _, offset in changes)]
    branches = [
        (wall < start, ibis.literal(offset, "int64")) for (start, _), offset in zip(changes, offsets, strict=False)
    ]
    return ibis.cases(*branches, else_=ibis.literal(offsets[-1], "int64"))


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
