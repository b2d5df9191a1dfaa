"""Single micro-behaviors as they arrive, live or from a small file, before any vocabulary has seen them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from hup.errors import HupError


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
        The item's path, coarsest first. May be left out for items of the training vocabulary.
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
        levels = sorted((k for k in values if k.startswith("category_") and k[9:].isdigit()), key=lambda k: int(k[9:]))
        path = [values.pop(key) for key in levels] or values.pop("categories", None) or []
        if isinstance(path, str):
            path = [path]
        known = {f.name for f in fields(cls)} | {"user", "session", "event_id"}
        if unknown := sorted(set(values) - known):
            raise HupError(f"{where}: unknown key {unknown[0]!r}. Keys: {', '.join(sorted(known))}, category_1 …")
        for key in ("item", "behavior"):
            if values.get(key) in (None, ""):
                raise HupError(f"{where}: key {key!r} is missing or empty.")
        return cls(
            item=str(values["item"]),
            behavior=str(values["behavior"]),
            timestamp=_seconds(values, "timestamp", where, signed=True),
            categories=tuple(str(name) for name in path),
            interval=_seconds(values, "interval", where),
            dwell=_seconds(values, "dwell", where),
        )


def _seconds(values: Mapping[str, Any], key: str, where: str, *, signed: bool = False) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (number < 0 and not signed):
        expected = "a number of seconds" if signed else "seconds, 0 or more"
        raise HupError(f"{where}: key {key!r} is {value!r}, expected {expected}.")
    return number


def events_from_jd(text: str, source: str = "session") -> list[Event]:
    """Read one session from a JD line, ``item+behavior+category+interval+dwell`` tokens set apart by spaces.

    Raises
    ------
    HupError
        For more than one line that holds something, or a token that does not read; it names source, line and token.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > 1:
        raise HupError(f"{source}: expected one session, so one line; line {lines[1][0]} holds another one.")
    events = []
    for number, line in lines:
        for token in line.split():
            parts = token.split("+")
            where = f"{source}, line {number}, token {token!r}"
            if len(parts) != 5:
                raise HupError(f"{where}: {len(parts)} fields, expected item+behavior+category+interval+dwell.")
            item, behavior, category, interval, dwell = parts
            values = {"item": item, "behavior": behavior, "interval": interval, "dwell": dwell}
            events.append(Event.of({**values, "categories": [c for c in category.split("/") if c]}, where))
    return events


def events_from_jsonl(text: str, source: str = "session") -> list[Event]:
    """Read one session from JSON lines, one event each, oldest first.

    Raises
    ------
    HupError
        For a line that is no JSON object or no event; it names source and line.
    """
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{source}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise HupError(f"{where}: not JSON ({error}).") from None
        events.append(Event.of(value, where))
    return in_time_order(events, source)


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
