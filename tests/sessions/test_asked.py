"""Sessions of users: the newest one, by name, what users were on in any of theirs, and a session as events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import hup
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.recommender.vocabulary import SessionReader, Vocabulary
from hup.sessions.asked import asked, newest_sessions
from hup.sessions.batches import whole_sessions
from hup.sessions.dataset_events import dataset_events
from hup.sessions.ever import EverSeen

from ..helpers.returning_users import returning_users


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Dataset:
    return returning_users(tmp_path_factory.mktemp("returning"))


@pytest.fixture(scope="module")
def nameless(shops) -> Dataset:
    """Its log names no users."""
    return shops[1]


def names_by_session(dataset: Dataset) -> list[tuple[str | None, int]]:
    return [(dataset.session_user(index), dataset.session_times(index)[0]) for index in range(len(dataset))]


def test_the_newest_session_of_each_user(log):
    newest: dict[str, tuple[int, int]] = {}
    for index, (user, start) in enumerate(names_by_session(log)):
        newest[user] = max(newest.get(user, (-1, -1)), (start, index))
    found = asked(log)
    assert found.key == "user"
    assert dict(zip(found.names.to_pylist(), found.sessions.tolist(), strict=True)) == {
        user: index for user, (_, index) in newest.items()
    }
    everyone = asked(log, users="all")
    assert everyone.names.equals(found.names)
    some = asked(log, users=["u7", "u2", "u7"])
    assert some.names.to_pylist() == ["u7", "u2", "u7"]
    assert some.sessions.tolist() == [newest[user][1] for user in ("u7", "u2", "u7")]
    assert some.part(1, 3).names.to_pylist() == ["u2", "u7"]
    assert len(some.part(1, 9)) == 2


def test_without_times_the_last_session_of_the_dataset_is_the_newest(log):
    rows = log._sessions.num_rows
    none = pa.nulls(rows, pa.int64())
    columns = {name: log._sessions.column(name) for name in log._sessions.schema.names}
    timeless = replace(log, _sessions=pa.record_batch({**columns, "start": none, "end": none}))
    users = [log.session_user(index) for index in range(rows)]
    assert newest_sessions(timeless).tolist() == [
        max(index for index in range(rows) if users[index] == user) for user in dict.fromkeys(users)
    ]


def test_sessions_by_name(log, nameless):
    found = asked(log, sessions=["u3-2", "u0-0"])
    assert found.key == "session"
    assert [log.session_name(int(index)) for index in found.sessions] == ["u3-2", "u0-0"]
    assert asked(nameless, sessions="all").sessions.tolist() == list(range(len(nameless)))


def test_what_is_not_there_is_told(log, nameless, tmp_path):
    with pytest.raises(HupError, match="has no user 'bob', nor 1 others that are asked for"):
        asked(log, users=["u1", "bob", "ann"])
    with pytest.raises(HupError, match="has no session 'x'"):
        asked(log, sessions=["x"])
    with pytest.raises(HupError, match="names no users; ask for sessions instead"):
        asked(nameless)
    with pytest.raises(HupError, match="Both users and sessions are given"):
        asked(log, users="all", sessions="all")
    with pytest.raises(HupError, match="users is 'u1', expected 'all' or a list of names"):
        asked(log, users="u1")
    rows = ["user,session,timestamp,item,behavior,category_1"]
    rows += [f"{user},s,{1_700_000_000 + at},i{at},view,c" for user in "ab" for at in (1, 2, 3)]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    twice = hup.prepare(tmp_path / "log.csv", format="events", out=tmp_path / "dataset", max_reject_share=1)
    with pytest.raises(HupError, match="has 2 sessions that are called 's'; ask for users"):
        asked(twice, sessions=["s"])


@pytest.mark.parametrize("level", ["item", "category_1", "category_2"])
def test_what_users_were_on_in_any_session(log, level):
    some = np.asarray([3, 40, 11])
    row, code = EverSeen(log).pairs(whole_sessions(log, some), level)
    for place, index in enumerate(some.tolist()):
        expected = set()
        for other in range(len(log)):
            if log.session_user(other) == log.session_user(index):
                items = log.item[log.offsets[other] : log.offsets[other + 1]]
                paths = log.taxonomy.paths
                expected |= set((items if level == "item" else paths[items, int(level[-1]) - 1]).tolist())
        assert set(code[row == place].tolist()) == expected


def test_of_who_is_not_known_the_session_counts(nameless):
    given = whole_sessions(nameless, np.asarray([5, 2]))
    row, code = EverSeen(nameless).pairs(given, "item")
    assert row.tolist() == given.session().tolist()
    assert code.tolist() == given.item.tolist()


@pytest.mark.parametrize("name", ["log", "nameless"])
def test_a_session_as_events_reads_as_the_session(name, request):
    dataset = request.getfixturevalue(name)
    for session in dataset.sessions("test"):
        read = SessionReader(Vocabulary.of(dataset)).histories([dataset_events(dataset, session)])
        given = whole_sessions(dataset, np.asarray([session]), "mask")
        known = given.item < dataset.n_train_items
        assert (read.item[known] == given.item[known]).all()
        assert (read.item[~known] >= dataset.n_train_items).all()
        assert read.behavior.equal(given.behavior)
        for times in ("interval", "dwell"):
            np.testing.assert_allclose(getattr(read, times), getattr(given, times), atol=1e-3)


def test_events_of_a_session_have_the_times_of_the_log(log):
    index = int(asked(log, sessions=["u3-2"]).sessions[0])
    events = dataset_events(log, index)
    start, end = log.session_times(index)
    assert events[0].timestamp == start / 1000
    assert events[-1].timestamp == pytest.approx(end / 1000)
