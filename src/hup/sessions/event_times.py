"""Intervals and dwells of live events: what the log says of them, else the difference of their timestamps.

All times are whole milliseconds, -1 = not known, as everywhere in :mod:`hup.sessions.steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hup.errors import HupError
from hup.sessions.events import Event, seconds
from hup.sessions.steps import milliseconds


def between(earlier: Event, later: float | None) -> int:
    """Time from an event to a moment, never negative."""
    if later is None or earlier.timestamp is None:
        return -1
    return milliseconds(max(later - earlier.timestamp, 0.0))


def interval_until(event: Event, following: Event) -> int:
    """Time to the next event: what the log says of it, else the difference of timestamps."""
    return milliseconds(event.interval) if event.interval is not None else between(event, following.timestamp)


def intervals(run: Sequence[Event], last: int) -> list[int]:
    """Intervals of a run's events; the last one's is given."""
    return [interval_until(event, following) for event, following in pairwise(run)] + [last]


def dwell_until(run: Sequence[Event], following: Event) -> int:
    """Time on an item run that has ended: what the log says, else timestamps, else the sum of the log's intervals."""
    if run[-1].dwell is not None:
        return milliseconds(run[-1].dwell)
    if (elapsed := between(run[0], following.timestamp)) >= 0:
        return elapsed
    parts = intervals(run, interval_until(run[-1], following))
    return -1 if min(parts) < 0 else sum(parts)


def elapsed(run: Sequence[Event], now: float | None) -> int:
    """Time since a run began."""
    return between(run[0], now)


def check_now(now: float | None, last: Event) -> None:
    """Check that a moment is on the events' clock, and not before the last event.

    Raises
    ------
    HupError
        If it is not.
    """
    if now is None:
        return
    seconds(now, "now", signed=True)
    if last.timestamp is None:
        raise HupError("now is given, but the session's events have no timestamps to compare it with.")
    if now < last.timestamp:
        raise HupError(f"now is {now:g}, before the session's last event at {last.timestamp:g}.")
