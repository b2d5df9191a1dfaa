"""What is kept of a user, and its form as bytes: a head with version and checksum, then MessagePack; no code is in it.

The latest events as they came are the truth; a state of the model, and two older ones from which events that come late
can be put in their place, are there to be quick. All of it is of bounded size.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from hup.errors import HupError
from hup.models.hup.live.state import ProfileState
from hup.sessions.events import Event

VERSION: Final = 1
#: Latest events that are kept of a user.
KEPT: Final = 256
#: Events from one older state to the next.
STRIDE: Final = 128

_HEAD = struct.Struct("<4sBI")  # what it is, version, CRC-32 of the rest
_MAGIC = b"HUPr"


class DamagedRecordError(HupError):
    """What is kept of a user does not read."""


class _Event(msgspec.Struct, array_like=True, frozen=True):
    event_id: str | None
    session: str | None
    item: str
    behavior: str
    timestamp: float
    categories: tuple[str, ...]
    interval: float | None
    dwell: float | None


class _Snapshot(msgspec.Struct, array_like=True, frozen=True):
    folded: int
    session: tuple[int, int, str | None]
    latest: float | None
    state: bytes


class _Record(msgspec.Struct, array_like=True, frozen=True):
    model: str
    events: list[_Event]
    base: _Snapshot
    middle: _Snapshot
    now: _Snapshot


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


@dataclass(frozen=True)
class KeptEvent:
    """An event of a user; its timestamp is always known.

    Attributes
    ----------
    event : Event
    event_id, session : str or None
        As posted.
    """

    event: Event
    event_id: str | None = None
    session: str | None = None

    @property
    def timestamp(self) -> float:
        """Seconds on the events' clock."""
        assert self.event.timestamp is not None, "an event without one gets the server's clock"
        return self.event.timestamp

    @cached_property
    def packed(self) -> msgspec.Raw:
        """As MessagePack; of an event that is kept for long it is made once."""
        event = self.event
        packed = _Event(
            self.event_id,
            self.session,
            event.item,
            event.behavior,
            self.timestamp,
            event.categories,
            event.interval,
            event.dwell,
        )
        return msgspec.Raw(_encode(packed))


@dataclass(frozen=True)
class Session:
    """A session of a user.

    Attributes
    ----------
    number : int
        The user's first one is 1.
    first : int
        How many events of the user were before it.
    name : str or None
        What the shop calls it.
    """

    number: int = 1
    first: int = 0
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A user as they were after some events.

    Attributes
    ----------
    folded : int
        How many.
    session : Session
        In which they were then.
    latest : float or None
        Timestamp of the last of the events; None before the first one.
    state : ProfileState, bytes or None
        Of the model; None where the model has no states, or nothing has happened yet.
    """

    folded: int = 0
    session: Session = Session()
    latest: float | None = None
    state: ProfileState | bytes | None = None


@dataclass(frozen=True, eq=False)
class Record:
    """All that is kept of a user.

    Attributes
    ----------
    model : str
        Digest of the model whose states these are.
    events : tuple of KeptEvent
        The latest ones, oldest first, at most :data:`KEPT`.
    base, middle : Snapshot
        Older states; events after ``base`` are all there. ``middle`` is not older than it.
    now : Snapshot
        After all events.
    """

    model: str
    events: tuple[KeptEvent, ...] = ()
    base: Snapshot = Snapshot()
    middle: Snapshot = Snapshot()
    now: Snapshot = Snapshot()

    @property
    def offset(self) -> int:
        """How many events of the user are not kept any more."""
        return self.now.folded - len(self.events)

    @property
    def session_events(self) -> list[Event]:
        """Events of the session, as far as they are kept."""
        first = max(self.now.session.first - self.offset, 0)
        return [kept.event for kept in self.events[first:]]


def record_bytes(record: Record, states: tuple[bytes, bytes, bytes]) -> bytes:
    """Give a record as bytes; ``states`` are those of its snapshots, empty where there is none."""
    snapshots = [
        _packed(one, state) for one, state in zip((record.base, record.middle, record.now), states, strict=True)
    ]
    data = _encode([record.model, [kept.packed for kept in record.events], *snapshots])
    return _HEAD.pack(_MAGIC, VERSION, zlib.crc32(data)) + data


def _packed(of: Snapshot, state: bytes) -> _Snapshot:
    session = of.session
    return _Snapshot(of.folded, (session.number, session.first, session.name), of.latest, state)


def read_record(data: bytes) -> Record:
    """Take a record out of bytes; its states stay bytes until they are asked for.

    Raises
    ------
    DamagedRecordError
        It is none, of another version, or damaged.
    """
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        raise DamagedRecordError("What is kept of the user is no record of this service.")
    _, version, checksum = _HEAD.unpack_from(data)
    if version != VERSION:
        raise DamagedRecordError(f"What is kept of the user is of version {version}; this service reads {VERSION}.")
    body = memoryview(data)[_HEAD.size :]
    if zlib.crc32(body) != checksum:
        raise DamagedRecordError("What is kept of the user is damaged: its checksum is another one.")
    try:
        made = _decode(body)
        events = tuple(map(_event, made.events))
        base, middle, now = map(_snapshot, (made.base, made.middle, made.now))
    except (msgspec.MsgspecError, HupError) as error:
        raise DamagedRecordError(f"What is kept of the user is damaged ({error}).") from None
    record = Record(made.model, events, base, middle, now)
    if not record.offset <= base.folded <= middle.folded <= now.folded or record.offset < 0:
        raise DamagedRecordError("What is kept of the user is damaged: its counts do not fit together.")
    return record


def _event(of: _Event) -> KeptEvent:
    event = Event(of.item, of.behavior, of.timestamp, of.categories, of.interval, of.dwell)
    return KeptEvent(event, of.event_id, of.session)


def _snapshot(of: _Snapshot) -> Snapshot:
    return Snapshot(of.folded, Session(*of.session), of.latest, of.state or None)
