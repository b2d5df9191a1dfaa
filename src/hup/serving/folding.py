"""Folds events into what is kept of a user; those that come late are put in their place.

A state has no way back. So two older ones are kept, and an event that comes late is folded, with all after it, onto the
newest state before its place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hup.serving.posted import Posted, Verdict
from hup.serving.record import KEPT, STRIDE, KeptEvent, Record, Session, Snapshot
from hup.serving.served import Served
from hup.sessions.events import Event


def fold(
    record: Record | None, posted: Sequence[Posted], served: Served, now: float, late_seconds: float
) -> tuple[Record | None, list[Verdict]]:
    """Fold events of one user in.

    Parameters
    ----------
    record : Record or None
        Of this model; None = nothing is kept of the user.
    posted : sequence of Posted
        In any order.
    served : Served
    now : float
        What events without a timestamp get, unless the user's newest event is later.
    late_seconds : float
        An event that is older than the newest one by more than this is late.

    Returns
    -------
    Record or None
        The same object where nothing has changed.
    list of Verdict
        In the order of ``posted``.
    """
    made = record or Record(served.state_digest)
    events = list(made.events)
    ids = {kept.event_id for kept in events}
    times = [kept.timestamp for kept in events]
    offset, first_new = made.offset, len(events)
    verdicts: list[Verdict] = [Verdict("accepted", one.event_id) for one in posted]
    for place in sorted(range(len(posted)), key=lambda place: _moment(posted[place].event, now)):
        one = posted[place]
        if one.event_id is not None and one.event_id in ids:
            verdicts[place] = Verdict("duplicate", one.event_id)
            continue
        event = one.event if one.event.timestamp is not None else _stamped(one.event, now, times)
        kept = KeptEvent(event, one.event_id, one.session)
        reason = _late(kept.timestamp, times, made, late_seconds)
        if reason:
            verdicts[place] = Verdict("late", one.event_id, reason)
            continue
        at = bisect_right(times, kept.timestamp)
        first_new = min(first_new, at)
        times.insert(at, kept.timestamp)
        events.insert(at, kept)
        if one.event_id is not None:
            ids.add(one.event_id)
    if len(events) == len(made.events):
        return record, verdicts
    return _folded(made, events, offset, offset + first_new, served), verdicts


def rebuilt(record: Record, served: Served) -> Record:
    """Make the record of another model from the events that are kept."""
    offset, n_sessions = record.offset, sum(1 for _ in _sessions(record.events, served))
    number = max(1, record.now.session.number - n_sessions + 1)
    start = Snapshot(offset, Session(number, offset, None), None, None)
    empty = Record(served.state_digest, (), start, start, start)
    return _folded(empty, list(record.events), offset, offset, served)


def _moment(event: Event, now: float) -> float:
    return now if event.timestamp is None else event.timestamp


def _stamped(event: Event, now: float, times: Sequence[float]) -> Event:
    """Give an event the server's clock, never earlier than the newest one: that clock may go backwards."""
    return replace(event, timestamp=max(now, times[-1]) if times else now)


def _late(timestamp: float, times: Sequence[float], record: Record, late_seconds: float) -> str:
    """Say why an event is too late to be put in order; empty = it is not."""
    if not times:
        return ""
    if timestamp < times[-1] - late_seconds:
        return f"{times[-1] - timestamp:,.0f} s older than the user's newest event; {late_seconds:,.0f} s are taken."
    first = record.base.latest
    if first is None and record.offset:  # what was before the events that are kept is not known any more
        first = times[0]
    if first is not None and timestamp < first:
        return f"older than the latest {STRIDE} events of the user, before which none can be put in order."
    return ""


def _folded(record: Record, events: list[KeptEvent], offset: int, start: int, served: Served) -> Record:
    """Fold all events from number ``start`` on; those before are folded already.

    Parameters
    ----------
    record : Record
        Without the new events.
    events : list of KeptEvent
        With them.
    offset : int
        Events of the user before the first of ``events``.
    start : int
        Number of the first one that is new.
    served : Served
    """
    base, middle, now = record.base, record.middle, record.now
    if start < now.folded:
        middle = middle if middle.folded <= start else base
        now = middle
    for kept in events[now.folded - offset :]:
        now = _step(now, kept, events, offset, served)
        if now.folded - middle.folded >= STRIDE:
            base, middle = middle, replace(now, state=served.stored(now.state))
    return Record(record.model, tuple(events[-KEPT:]), base, middle, now)


def _step(now: Snapshot, kept: KeptEvent, events: list[KeptEvent], offset: int, served: Served) -> Snapshot:
    session, state = now.session, now.state
    if _begins(served, kept, now.latest, session.name):
        number = session.number + (now.folded > session.first)
        session = Session(number, now.folded, kept.session)
        before = events[: now.folded - offset] if served.looks_back else []
        state = served.begin(list(_sessions(before, served)))
    return Snapshot(now.folded + 1, session, kept.timestamp, served.fold(state, kept.event))


def _begins(served: Served, kept: KeptEvent, latest: float | None, name: str | None) -> bool:
    """Tell whether an event begins a session; a user's first one does."""
    return latest is None or served.rule.begins(kept.session, name, kept.timestamp - latest)


def _sessions(events: Sequence[KeptEvent], served: Served) -> Iterator[list[Event]]:
    """Cut events into sessions."""
    part: list[Event] = []
    name, latest = None, None
    for kept in events:
        if part and _begins(served, kept, latest, name):
            yield part
            part, name = [], kept.session
        name = kept.session if not part else name
        part.append(kept.event)
        latest = kept.timestamp
    if part:
        yield part
