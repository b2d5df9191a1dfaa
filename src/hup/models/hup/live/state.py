"""What a live profile remembers of a user: a value of bounded size, however long the session is.

The recurrent states of all levels say what is past. Beside them stand the item runs that the mixture may look at, and
the latest events as they came, from which another model can make a state of its own. Models with attention (Eq. 5) look
at the outputs of all ended steps, so theirs grows with the session.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import msgspec
import numpy as np

from hup.nn.single import Ended
from hup.readable import Readable, Summary
from hup.recommender.vocabulary import Seen
from hup.sessions.events import Event, dwell_until, elapsed, interval_until
from hup.sessions.levels import EVENTS_OF_RUN, UNKNOWN

#: Latest events that a state keeps as they came.
EVENTS_KEPT = 256

_Packed = tuple[str, str, float | None, tuple[str, ...], float | None, float | None]
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True)
class ItemRun:
    """An item run that has ended.

    Attributes
    ----------
    item : str
    seen : Seen
    events : int
    dwell : int
        Milliseconds, -1 = not known.
    behaviors : tuple of int
        Events by known behavior.
    """

    item: str
    seen: Seen
    events: int
    dwell: int
    behaviors: tuple[int, ...]


@dataclass(frozen=True)
class EarlierRun:
    """An item run of a session that the user had before, ``ago`` sessions ago, which ended at ``ended`` seconds."""

    run: ItemRun
    ago: int
    ended: float | None


@dataclass(frozen=True)
class OpenRun:
    """The item run that is still going on.

    Attributes
    ----------
    events : tuple of Event
        Its events, the latest :data:`~hup.sessions.levels.EVENTS_OF_RUN` of them.
    first : Event
        Its first event.
    passed : int
        Milliseconds from the first event to the first of ``events`` by what the log says of intervals; -1 = not known.
    n_events : int
        All of its events.
    behaviors : tuple of int
        Events by known behavior.
    """

    events: tuple[Event, ...]
    first: Event
    passed: int
    n_events: int
    behaviors: tuple[int, ...]

    @classmethod
    def of(cls, event: Event, behavior: int, n_behaviors: int) -> OpenRun:
        """Begin a run; ``behavior`` is the event's code, -1 = unknown."""
        return cls((event,), event, 0, 1, tuple(int(code == behavior) for code in range(n_behaviors)))

    def with_event(self, event: Event, behavior: int) -> OpenRun:
        """Go on by one event."""
        counts = list(self.behaviors)
        if behavior >= 0:
            counts[behavior] += 1
        events, passed = (*self.events, event), self.passed
        if len(events) > EVENTS_OF_RUN:
            lasted = interval_until(events[0], events[1])
            passed = UNKNOWN if UNKNOWN in (passed, lasted) else passed + lasted
            events = events[1:]
        return OpenRun(events, self.first, passed, self.n_events + 1, tuple(counts))

    def dwell_until(self, following: Event) -> int:
        """Milliseconds on the run, when ``following`` ends it; -1 = not known."""
        return dwell_until(self.events, following, self.first, self.passed)

    def elapsed(self, now: float | None) -> int:
        """Milliseconds since the run began; -1 = not known."""
        return elapsed((self.first,), now)


@dataclass(frozen=True, eq=False, repr=False)
class ProfileState(Readable):
    """All that a live profile remembers of a user; immutable, made by :meth:`HUP.update`.

    Attributes
    ----------
    model : str
        Digest of the model that made it; another one cannot read it.
    ended : tuple of Ended
        For every level of the network, bottom first: the state after its last ended step. With attention the outputs
        of all ended steps.
    steps : tuple of tuple of str
        For micro, item, category_K … category_1: the item of every step in ``ended``.
    run_dwell : tuple of int
        For category_K … category_1: milliseconds spent on the ended item runs of the category run still going on.
    open_run : OpenRun or None
        None before the first event.
    runs : tuple of ItemRun
        Item runs that have ended, the latest ones that may be looked at.
    items : dict of str to Seen
        Items of these runs and of the open one by name, in order of their last run. With attention all of the session.
    earlier : tuple of EarlierRun
        What the user did in sessions before, oldest first.
    began, latest : float or None
        Timestamp of the first event, and the last timestamp that is known.
    log : tuple of bytes
        The latest :data:`EVENTS_KEPT` events, packed; see :attr:`events`.
    """

    model: str
    ended: tuple[Ended, ...]
    steps: tuple[tuple[str, ...], ...]
    run_dwell: tuple[int, ...]
    open_run: OpenRun | None = None
    runs: tuple[ItemRun, ...] = ()
    items: dict[str, Seen] = field(default_factory=dict)
    earlier: tuple[EarlierRun, ...] = ()
    began: float | None = None
    latest: float | None = None
    log: tuple[bytes, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same model, with the same events."""
        if not isinstance(other, ProfileState):
            return NotImplemented
        mine, theirs = ({of.name: getattr(one, of.name) for of in fields(one)} for one in (self, other))
        ended = zip(mine.pop("ended"), theirs.pop("ended"), strict=True)
        return mine == theirs and all(all(map(np.array_equal, one, same)) for one, same in ended)

    __hash__ = None  # type: ignore[assignment]  # as of every value that is compared by what is in it

    def _summary(self) -> Summary:
        run = self.open_run
        n_events = sum(ended.events for ended in self.runs) + (0 if run is None else run.n_events)
        on = "nothing yet" if run is None else run.first.item
        before = [name for name in reversed(self.items) if name != on]
        rows = [("on", on), ("before", ", ".join(before[:5]) + (" …" if len(before) > 5 else ""))]
        if self.began is not None and self.latest is not None:
            rows.append(("time", f"{self.latest - self.began:,g} s from the first event to the last"))
        if self.earlier:
            rows.append(("earlier", f"sessions before, with visits to items: {len(self.earlier):,}"))
        title = f"Live profile: {n_events:,} events on {len(self.items):,} items remembered, of model {self.model[:12]}"
        return Summary(title, [row for row in rows if row[1]])

    @property
    def current(self) -> str:
        """Item that the user is on."""
        return self.begun.first.item

    @property
    def begun(self) -> OpenRun:
        """The open run of a state that is not empty."""
        assert self.open_run is not None, "nothing has happened yet"
        return self.open_run

    @property
    def met(self) -> dict[str, Seen]:
        """Every item that is remembered by name, of the session and of earlier ones."""
        return {one.run.item: one.run.seen for one in self.earlier} | self.items

    @property
    def events(self) -> list[Event]:
        """The latest :data:`EVENTS_KEPT` events, oldest first: another model can be asked for a state of them."""
        return [unpacked(packed) for packed in self.log]

    def visited(self, layout: int) -> tuple[str, ...]:
        """Items of the steps (0 = micro) or runs (1 = item, 2 = category_K …) of a level, the open ones last."""
        events = self.begun.events
        return (*self.steps[layout], *(event.item for event in (events if layout == 0 else events[-1:])))


def packed(event: Event) -> bytes:
    """Pack an event as it came."""
    return _encoder.encode((event.item, event.behavior, event.timestamp, event.categories, event.interval, event.dwell))


def unpacked(data: bytes) -> Event:
    """Unpack what :func:`packed` gave.

    Raises
    ------
    HupError, msgspec.MsgspecError
        It is no event.
    """
    return Event(*msgspec.msgpack.decode(data, type=_Packed))
