"""Single micro-behaviors as they arrive, live or from a small file, before any vocabulary has seen them; their times.

Times between events are whole milliseconds, -1 = not known, as everywhere in :mod:`hup.sessions.levels`: what the log
says of them, else the difference of timestamps.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from numbers import Integral
from typing import Any

from hup.errors import HupError
from hup.sessions.levels import milliseconds

#: Times beyond are no seconds but milliseconds since 1970 or less; whole milliseconds of these fit 64 bits with ease.
MOST_SECONDS = 1e12

_CATEGORY = re.compile(r"category_[1-9][0-9]*")


@dataclass(frozen=True)
class Event:
    """One micro-behavior of a user.

    Attributes
    ----------
    item : str
        Name of the item, as the log has it.
    behavior : str
        Code or name of the behavior type.
    timestamp : float, optional
        Seconds since any fixed moment.
    categories : tuple of str
        The item's path, coarsest first. One that stops early stands for itself at the finer levels, and none at all
        means that the item has no category, as in `hup prepare`. Items of the training vocabulary keep their path.
    interval, dwell : float, optional
        Seconds to the next event, and on the item run, where the log has them itself. They are facts about the time
        after the event: a live profile uses them only once the next event, or the next item run, has begun. Without
        them both come from timestamps.
    """

    item: str
    behavior: str
    timestamp: float | None = None
    categories: tuple[str, ...] = ()
    interval: float | None = None
    dwell: float | None = None

    def __post_init__(self) -> None:
        def put(key: str, value: object) -> None:
            object.__setattr__(self, key, value)  # the way for a frozen class to tidy what it was given

        # Nearly always there is nothing to tidy, and events are made again whenever what is kept of a user is read.
        for key, name in (("item", self.item), ("behavior", self.behavior)):
            if type(name) is not str or not name:
                put(key, _name(name, key, "event"))
        if self.categories != ():
            if not isinstance(self.categories, (list, tuple)):
                raise HupError(f"event: key 'categories' is {self.categories!r}, expected names, coarsest first.")
            put("categories", tuple(_name(name, "categories", "event") for name in self.categories))
        for key, value in (("timestamp", self.timestamp), ("interval", self.interval), ("dwell", self.dwell)):
            if value is not None:
                put(key, seconds(value, f"event: key {key!r}", signed=key == "timestamp"))

    @classmethod
    def of(cls, event: Event | Mapping[str, Any], where: str = "event") -> Event:
        """Take an event or a mapping with its keys; ``category_1`` … ``category_K`` stand for ``categories``, too.

        Raises
        ------
        HupError
            If a key is missing, unknown or of the wrong kind; the message begins with ``where``.
        """
        if isinstance(event, Event):
            return event
        if not isinstance(event, Mapping):
            raise HupError(f"{where}: expected an object with item and behavior, found {event!r}.")
        values = dict(event)
        path = _category_path(values, where)
        known = {f.name for f in fields(cls)} | {"user", "session", "event_id"}
        if unknown := sorted(set(values) - known, key=str):
            raise HupError(f"{where}: unknown key {unknown[0]!r}. Keys: {', '.join(sorted(known))}, category_1 …")
        for key in ("item", "behavior"):
            if values.get(key) is None or (isinstance(values[key], str) and not values[key]):
                raise HupError(f"{where}: key {key!r} is missing or empty.")
        return cls(
            item=_name(values["item"], "item", where),
            behavior=_name(values["behavior"], "behavior", where),
            timestamp=_optional_seconds(values, "timestamp", where, signed=True),
            categories=path,
            interval=_optional_seconds(values, "interval", where),
            dwell=_optional_seconds(values, "dwell", where),
        )


def seconds(value: object, what: str, *, signed: bool = False) -> float:
    """Check that something is a time that one can compute with.

    Parameters
    ----------
    value : object
        A number, or text that is one.
    what : str
        Its name; the message begins with it.
    signed : bool
        Whether it may be negative, as a moment may and a stretch of time may not.

    Raises
    ------
    HupError
        If it is no number, not finite, or of another unit than seconds.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # whatever it is, float says whether it will do
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (number < 0 and not signed):
        expected = "a number of seconds" if signed else "seconds, 0 or more"
        raise HupError(f"{what} is {value!r}, expected {expected}.")
    if abs(number) > MOST_SECONDS:
        raise HupError(f"{what} is {value!r}, expected seconds. Divide if these are milliseconds or less.")
    return number


def _optional_seconds(values: Mapping[str, Any], key: str, where: str, *, signed: bool = False) -> float | None:
    value = values.get(key)
    return None if value is None else seconds(value, f"{where}: key {key!r}", signed=signed)


def _name(value: Any, key: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, Integral)):
        raise HupError(f"{where}: key {key!r} is {value!r}, expected text or a whole number.")
    if value == "":
        raise HupError(f"{where}: key {key!r} is empty.")
    return str(value)


def _category_path(values: dict[str, Any], where: str) -> tuple[str, ...]:
    """Take the path out of an event's keys, up to the finest level that is there."""
    given = {int(key[9:]): values.pop(key) for key in list(values) if _CATEGORY.fullmatch(str(key))}
    listed = values.pop("categories", None)
    if listed is not None:
        if given:
            raise HupError(f"{where}: both categories and category_{min(given)} are there, expected one of them.")
        if isinstance(listed, str):
            listed = [listed]
        if not isinstance(listed, (list, tuple)):
            raise HupError(f"{where}: key 'categories' is {listed!r}, expected a list of names, coarsest first.")
        given = dict(enumerate(listed, 1))
    names = {level: name for level, name in given.items() if name not in (None, "")}
    for level in range(1, max(names, default=0)):
        if level not in names:
            raise HupError(f"{where}: category_{level} is missing, but category_{max(names)} is there.")
    return tuple(_name(names[level], f"category_{level}", where) for level in sorted(names))


def events_from_jd(text: str, source: str = "session") -> list[Event]:
    """Read one session from a JD line, ``item+behavior+category+interval+dwell`` tokens set apart by spaces.

    Raises
    ------
    HupError
        For more than one line that holds something, or a token that does not read; it names source, line and token.
    """
    lines = [(number, line) for number, line in enumerate(_lines(text), 1) if line.strip()]
    if len(lines) > 1:
        raise HupError(f"{source}: expected one session, so one line; line {lines[1][0]} holds another one.")
    events = []
    for number, line in lines:
        for token in filter(None, line.split(" ")):
            parts = token.split("+")
            where = f"{source}, line {number}, token {token!r}"
            if len(parts) != 5:
                raise HupError(f"{where}: {len(parts)} fields, expected item+behavior+category+interval+dwell.")
            item, behavior, category, interval, dwell = parts
            path = category.split("/") if category else []
            if "" in path:
                raise HupError(f"{where}: category path {category!r} has an empty part.")
            values = {"item": item, "behavior": behavior, "interval": interval, "dwell": dwell}
            events.append(Event.of({**values, "categories": path}, where))
    return events


def _lines(text: str) -> list[str]:
    """Lines as `hup prepare` and JSON know them; ``str.splitlines`` would also split within names."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def events_from_jsonl(text: str, source: str = "session") -> list[Event]:
    """Read one session from JSON lines, one event each, oldest first.

    Raises
    ------
    HupError
        For a line that is no JSON object or no event; it names source and line.
    """
    events = []
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        where = f"{source}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise HupError(f"{where}: not JSON ({error}).") from None
        events.append(Event.of(value, where))
    return in_time_order(events, source)


def session_events(session: Iterable[Event | Mapping[str, Any]] | None, source: str) -> list[Event]:
    """Take the events of a session, oldest first, or none; see :meth:`Event.of` and :func:`in_time_order`."""
    if session is None:
        return []
    is_one = isinstance(session, (str, bytes, Mapping, Event))
    if is_one or hasattr(session, "columns") or not isinstance(session, Iterable):  # a frame would give its columns
        raise HupError(
            f"The {source} is of type {type(session).__name__}, expected a list of events; of a data frame, its rows "
            "as dictionaries."
        )
    return in_time_order([Event.of(event, f"event {n}") for n, event in enumerate(session, 1)], source)


def in_time_order(events: Iterable[Event], source: str) -> list[Event]:
    """Check that timestamps never fall."""
    ordered = list(events)
    latest: float | None = None
    for number, event in enumerate(ordered, 1):
        if event.timestamp is not None:
            if latest is not None and event.timestamp < latest:
                raise HupError(f"{source}: event {number} is older than the one before it; sort them, oldest first.")
            latest = event.timestamp
    return ordered


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


def dwell_until(run: Sequence[Event], following: Event, first: Event | None = None, passed: int = 0) -> int:
    """Time on an item run that has ended: what the log says, else timestamps, else the sum of the log's intervals.

    Where ``run`` is only its latest events, ``first`` is its first one, and ``passed`` the time between by intervals.
    """
    if run[-1].dwell is not None:
        return milliseconds(run[-1].dwell)
    if (elapsed := between(first or run[0], following.timestamp)) >= 0:
        return elapsed
    parts = [passed, *intervals(run, interval_until(run[-1], following))]
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
    now = seconds(now, "now", signed=True)
    if last.timestamp is None:
        raise HupError("now is given, but the session's events have no timestamps to compare it with.")
    if now < last.timestamp:
        raise HupError(f"now is {now:g}, before the session's last event at {last.timestamp:g}.")
