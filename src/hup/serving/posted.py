"""Events as a shop posts them: whose, in which session, by which id, and the event itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from hup.errors import HupError
from hup.serving.names import checked_id, checked_name, checked_user
from hup.sessions.events import Event

#: Most names of a category path; no shop's tree is as deep.
_DEEPEST: Final = 32

Status = Literal["accepted", "duplicate", "late", "refused"]


@dataclass(frozen=True)
class Posted:
    """An event that reads.

    Attributes
    ----------
    user : str
    event : Event
    event_id : str or None
        By which a second post of it is known.
    session : str or None
        What the shop calls the session.
    """

    user: str
    event: Event
    event_id: str | None = None
    session: str | None = None

    @classmethod
    def of(cls, values: object) -> Posted:
        """Read an event of a request.

        Raises
        ------
        HupError
            It is none; the message says which key, and what was expected.
        """
        if not isinstance(values, Mapping):
            raise HupError(f"event: expected an object with user, item and behavior, found {values!r:.80}.")
        if values.get("user") is None:
            raise HupError("event: key 'user' is missing.")
        event = checked_event(values)
        return cls(checked_user(values["user"]), event, _optional(values, "event_id"), _optional(values, "session"))


@dataclass(frozen=True)
class Verdict:
    """What became of a posted event.

    Attributes
    ----------
    status : str
        accepted, and durable; duplicate: one of the same id was accepted before; late: older than what can be put in
        order; refused: no event.
    event_id : str or None
    reason : str or None
        Of those that are late or refused.
    """

    status: Status
    event_id: str | None = None
    reason: str | None = None


def checked_event(values: Mapping[str, Any]) -> Event:
    """Read an event whose names are such as can be kept.

    Raises
    ------
    HupError
        It is none.
    """
    event = Event.of(values)
    checked_name(event.item, "key 'item'")
    checked_name(event.behavior, "key 'behavior'")
    if len(event.categories) > _DEEPEST:
        raise HupError(f"key 'categories' has {len(event.categories):,} names, expected {_DEEPEST} at most.")
    for name in event.categories:
        checked_name(name, "key 'categories'")
    return event


def _optional(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return None if value is None else checked_id(value, f"key {key!r}")
