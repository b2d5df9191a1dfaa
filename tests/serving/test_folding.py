"""Events in any order make the state that they make in order; what is kept stays small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.models.hup.live.state import ProfileState
from hup.serving.folding import fold, rebuilt
from hup.serving.posted import Posted
from hup.serving.record import KEPT, STRIDE, Record, read_record, record_bytes
from hup.serving.served import Served
from hup.serving.sessions import SessionRule
from hup.sessions.events import Event

NOW, LATE = 1_000_000.0, 3600.0


def visits(n: int, seed: int = 0, pause: float = 20, **keys: object) -> list[Posted]:
    rng = np.random.default_rng(seed)
    clock = np.cumsum(rng.uniform(0, pause, n))
    return [
        Posted("ann", Event(f"i{item}", "view", float(at), (f"c{item % 3}", f"c{item % 9}")), f"e{number}", **keys)
        for number, (at, item) in enumerate(zip(clock, rng.integers(0, 35, n), strict=True))
    ]


def post(served: Served, *parts: list[Posted], record: Record | None = None, stored: bool = False) -> Record:
    for part in parts:
        record, verdicts = fold(record, part, served, NOW, LATE)
        assert {verdict.status for verdict in verdicts} == {"accepted"}
        assert record is not None
        if stored:
            record = read_record(as_bytes(record, served))
    assert record is not None
    return record


def as_bytes(record: Record, served: Served) -> bytes:
    return record_bytes(record, tuple(served.stored(one.state) for one in (record.base, record.middle, record.now)))


def assert_same(served: Served, one: Record, other: Record | ProfileState) -> None:
    ours = served.opened(one.now.state)
    theirs = served.opened(other.now.state) if isinstance(other, Record) else other
    assert ours is not None
    assert theirs is not None
    for mine, same in zip(ours.ended, theirs.ended, strict=True):
        np.testing.assert_allclose(mine.hidden, same.hidden, atol=1e-5)
        np.testing.assert_allclose(mine.cell, same.cell, atol=1e-5)
    assert (ours.open_run, ours.runs, ours.items, ours.began, ours.latest) == (
        *(theirs.open_run, theirs.runs, theirs.items, theirs.began, theirs.latest),
    )
    if isinstance(other, Record):
        assert one.events == other.events
        assert vars(one.now.session) == vars(other.now.session)


def test_it_is_what_the_model_makes_of_the_session(served):
    posted = visits(40)
    assert_same(served, post(served, posted), served.hup.state([one.event for one in posted]))


@settings(max_examples=25)
@given(st.data(), st.integers(1, 60), st.integers(0, 5))
def test_any_order_within_the_window_is_the_same(served, data, n, seed):
    """In requests of any size, and with what is kept read from bytes between them."""
    posted = visits(n, seed, pause=2500)  # of some sessions
    order = data.draw(st.permutations(posted))
    size = data.draw(st.integers(1, 7))
    parts = [order[low : low + size] for low in range(0, n, size)]
    record: Record | None = None
    for part in parts:
        record, verdicts = fold(record, part, served, NOW, 1e9)
        assert {verdict.status for verdict in verdicts} == {"accepted"}
        assert record is not None
        record = read_record(as_bytes(record, served))
    assert record is not None
    assert_same(served, record, post(served, posted))


@pytest.mark.slow
def test_events_come_late_after_many(served):
    """Back to the older snapshot, and over what has left the record meanwhile."""
    posted = visits(700, pause=3)
    for back in (1, 60, STRIDE - 1):
        late = [posted[-back]]
        others = [one for one in posted if one is not late[0]]
        record = post(served, *(others[low : low + 10] for low in range(0, len(others), 10)), stored=True)
        assert_same(served, post(served, late, record=record), post(served, *([one] for one in posted)))


def test_duplicates_are_told(served):
    posted = visits(5)
    record = post(served, posted)
    again, verdicts = fold(record, [*posted, posted[0]], served, NOW, LATE)
    assert again is record
    assert [verdict.status for verdict in verdicts] == ["duplicate"] * 6
    made, verdicts = fold(None, [posted[0], posted[0]], served, NOW, LATE)
    assert sorted(verdict.status for verdict in verdicts) == ["accepted", "duplicate"]
    assert made is not None
    assert len(made.events) == 1


def test_without_an_id_the_same_event_is_another_one(served):
    one = Posted("ann", Event("i1", "view", 5.0))
    assert len(post(served, [one], [one]).events) == 2


def test_what_is_older_than_the_window_is_late(served):
    record = post(served, [Posted("ann", Event("i1", "view", 10_000.0))])
    for timestamp, status in ((10_000 - LATE, "accepted"), (10_000 - LATE - 1, "late")):
        made, verdicts = fold(record, [Posted("ann", Event("i2", "view", timestamp), "x")], served, NOW, LATE)
        assert (verdicts[0].status, verdicts[0].event_id) == (status, "x")
        assert (made is record) is (status == "late")
    assert "3,601 s older" in str(verdicts[0].reason)


def test_what_is_older_than_the_snapshots_is_late(served):
    record = post(served, *([one] for one in visits(400, pause=1)))
    _, verdicts = fold(record, [Posted("ann", Event("i2", "view", 1.0))], served, NOW, LATE)
    assert verdicts[0].status == "late"
    assert f"latest {STRIDE} events" in str(verdicts[0].reason)
    _, verdicts = fold(rebuilt(record, served), [Posted("ann", Event("i2", "view", 1.0))], served, NOW, LATE)
    assert verdicts[0].status == "late", "what was before the events that are kept is gone"


def test_the_server_s_clock_never_goes_back(served):
    record = post(served, [Posted("ann", Event("i1", "view"))])
    record, _ = fold(record, [Posted("ann", Event("i2", "view"))], served, NOW - 500, LATE)
    assert record is not None
    assert [one.timestamp for one in record.events] == [NOW, NOW]


def test_what_is_kept_stays_as_large(served):
    posted = visits(1_000, pause=3)
    sizes, record = [], None
    for low in range(0, 1_000, 25):
        record = post(served, posted[low : low + 25], record=record)
        assert len(record.events) <= KEPT
        assert record.now.folded - record.base.folded < KEPT
        sizes.append(len(as_bytes(record, served)))
    assert record is not None
    assert record.now.folded == 1_000
    assert max(sizes[20:]) < 1.1 * max(sizes[10:20])
    assert max(sizes) < 64 * 1024


# ---------------------------------------------------------------------- sessions


def sessions_of(rule: SessionRule, *events: tuple[float, str | None]) -> list[int]:
    numbers, number, name, latest = [], 0, None, None
    for at, named in events:
        if latest is None or rule.begins(named, name, at - latest):
            number, name = number + 1, named
        latest = at
        numbers.append(number)
    return numbers


def test_names_and_pauses_cut():
    rule = SessionRule(idle_gap=60)
    assert sessions_of(rule, (0, None), (60, None), (121, None)) == [1, 1, 2]
    assert sessions_of(rule, (0, "a"), (1, "b"), (2, None), (3, "b"), (900, "b"), (1000, None)) == [1, 2, 2, 2, 2, 3]
    assert sessions_of(SessionRule(None, by_name=False), (0, "a"), (1e6, "b")) == [1, 1]


class Made:
    def __init__(self, **sequence: object) -> None:
        self.sequence = sequence


@pytest.mark.parametrize(
    ("made", "given", "rule"),
    [
        (None, None, SessionRule(1800)),
        (Made(by="session", idle_gap_minutes=5), None, SessionRule(1800)),
        (Made(by="gap", idle_gap_minutes=5), None, SessionRule(300)),
        (Made(by="user"), None, SessionRule(None, by_name=False)),
        (Made(by="user"), 2, SessionRule(120)),
    ],
)
def test_the_rule_is_that_of_the_log(made, given, rule):
    assert SessionRule.of(made, given) == rule


def test_a_new_session_begins_with_a_new_state(served):
    first, second = visits(6, session="a"), visits(9, 3, session="b")
    moved = [
        Posted("ann", Event(one.event.item, "view", one.event.timestamp + 500, one.event.categories), None, "b")
        for one in second
    ]
    record = post(served, first, moved)
    assert (record.now.session.number, record.now.session.first, record.now.session.name) == (2, 6, "b")
    assert record.session_events == [one.event for one in moved]
    assert_same(served, record, served.hup.state(record.session_events))


# ---------------------------------------------------------------------- another model


def test_a_record_is_made_anew_for_another_model(served):
    posted = visits(300, pause=2500)
    record = post(served, *(posted[low : low + 9] for low in range(0, 300, 9)))
    assert record.now.session.number > 10
    again = rebuilt(record, served)
    assert again.events == record.events
    assert vars(again.now.session) == vars(record.now.session)
    assert again.now.folded == record.now.folded
    assert_same(served, again, record)
