"""What is kept of a user: bytes and back, damaged bytes, and never code."""

from __future__ import annotations

import math
import struct
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.serving.record import (
    DamagedRecordError,
    KeptEvent,
    Record,
    Session,
    Snapshot,
    read_record,
    record_bytes,
)
from hup.sessions.events import Event

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
times = st.floats(-1e12, 1e12)
events = st.builds(
    Event,
    names,
    names,
    times,
    st.lists(names, max_size=3).map(tuple),
    st.none() | st.floats(0, 1e6),
    st.none() | st.floats(0, 1e6),
)
kept = st.builds(KeptEvent, events, st.none() | names, st.none() | names)


def record_of(made: list[KeptEvent], state: bytes | None = b"state") -> Record:
    n = len(made)
    latest = made[-1].timestamp if made else None
    now = Snapshot(n, Session(2, min(1, n), "s"), latest, state)
    return Record("digest", tuple(made), Snapshot(), Snapshot(), now)


@settings(max_examples=30)
@given(st.lists(kept, max_size=4), st.binary(max_size=40))
def test_bytes_and_back(made, state):
    record = record_of(made, state or None)
    again = read_record(record_bytes(record, (b"", b"", state)))
    assert (again.model, again.events) == (record.model, record.events)
    assert vars(again.now) == vars(record.now)
    assert vars(again.base) == vars(record.base)


@given(st.binary(max_size=200))
def test_what_is_no_record_is_refused(data):
    with pytest.raises(DamagedRecordError):
        read_record(data)


@given(st.data())
def test_every_changed_byte_is_noticed(data):
    whole = record_bytes(record_of([KeptEvent(Event("lamp", "view", 1.0), "a")]), (b"", b"", b"state"))
    at = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    with pytest.raises(DamagedRecordError):
        read_record(whole[:at] + bytes([value]) + whole[at + 1 :])


@given(st.recursive(st.none() | st.integers(-5, 5) | st.text(max_size=3), lambda part: st.lists(part, max_size=6)))
def test_what_has_a_checksum_and_is_something_else_is_refused(content):
    """Somebody who can write into the store can do no more than break a record."""
    body = msgspec.msgpack.encode(content)
    with pytest.raises(DamagedRecordError):
        read_record(struct.pack("<4sBI", b"HUPr", 1, zlib.crc32(body)) + body)


@pytest.mark.parametrize("timestamp", [math.nan, math.inf, 1e300])
def test_moments_that_are_none_are_refused(timestamp):
    event = [None, None, "lamp", "view", timestamp, [], None, None]
    snapshot = [0, [1, 0, None], None, b""]
    body = msgspec.msgpack.encode(["digest", [event], snapshot, snapshot, [1, [1, 0, None], 0.0, b""]])
    with pytest.raises(DamagedRecordError, match="timestamp"):
        read_record(struct.pack("<4sBI", b"HUPr", 1, zlib.crc32(body)) + body)


@pytest.mark.parametrize("folded", [(0, 0, 0), (0, 2, 1), (1, 0, 1), (-1, 0, 1)])
def test_counts_that_do_not_fit_are_refused(folded):
    """Two events are there; the snapshots are at other counts."""
    event = [None, None, "lamp", "view", 1.0, [], None, None]
    parts = [[n, [1, 0, None], None, b""] for n in folded]
    body = msgspec.msgpack.encode(["digest", [event, event], *parts])
    with pytest.raises(DamagedRecordError, match="counts"):
        read_record(struct.pack("<4sBI", b"HUPr", 1, zlib.crc32(body)) + body)


def test_another_version_is_named():
    whole = bytearray(record_bytes(record_of([]), (b"", b"", b"")))
    whole[4] = 9
    with pytest.raises(DamagedRecordError, match="version 9"):
        read_record(bytes(whole))
