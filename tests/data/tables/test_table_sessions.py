"""The stored order of sessions against `sorted`, and the gathered events against slices."""

from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.tables import table_sessions as module
from hup.data.tables.histories import HistoryRules
from hup.data.tables.table_sessions import batches as stored_batches
from hup.data.tables.table_sessions import stored_order, write_histories

NAMES = ("item_id", "behavior", "interval", "dwell")


def histories(folder, lengths, hours):
    """Cut histories of one or two sessions of the given lengths; the hours tell when each ends."""
    rows = []
    for number, (length, hour) in enumerate(zip(lengths, hours, strict=True)):
        key = number // 2
        end = hour if number % 2 == 0 else hours[number - 1] + 20 + hour
        rows += [
            (key, 0, place % 3, number % 5, end * 3_600_000 - (length - 1 - place) * 1_200_000)
            for place in range(length)
        ]
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    types = {"key": np.int64, "file": np.int32, "item_id": np.int32, "behavior": np.uint8, "time_ms": np.int64}
    batch = {name: values.astype(dtype) for (name, dtype), values in zip(types.items(), columns, strict=True)}
    return write_histories(folder, [pa.record_batch(batch)], HistoryRules("gap"), 1)


@pytest.fixture
def cut(tmp_path):
    rng = np.random.default_rng(2)
    return histories(tmp_path, rng.integers(2, 40, 300).tolist(), rng.integers(0, 6, 300).tolist())


def plainly_sorted(sessions):
    names = ("end_ms", "start_ms", "key", "part")
    return sorted(range(len(sessions)), key=lambda number: [int(getattr(sessions, name)[number]) for name in names])


def gathered(batches):
    """Rows of each session, by place."""
    rows = [row for batch in batches for row in batch.to_pylist()]
    return {place: list(group) for place, group in groupby(rows, lambda row: row["session"])}


@given(
    lengths=st.lists(st.integers(2, 4), max_size=12),
    hours=st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_order_against_sorted(tmp_path_factory, lengths, hours):
    sessions = histories(tmp_path_factory.mktemp("order"), lengths, hours[: len(lengths)]).sessions
    assert len(sessions) == len(lengths)
    assert stored_order(sessions).tolist() == plainly_sorted(sessions)


def test_times_tie_here(cut):
    both = list(zip(cut.sessions.end_ms.tolist(), cut.sessions.start_ms.tolist(), strict=True))
    assert len({end for end, _start in both}) < len(set(both)) < len(both)
    assert stored_order(cut.sessions).tolist() == plainly_sorted(cut.sessions)


def test_seed_permutes(cut):
    order, one, other = (stored_order(cut.sessions, seed).tolist() for seed in (None, 1, 2))
    assert one == stored_order(cut.sessions, 1).tolist()
    assert len({tuple(order), tuple(one), tuple(other)}) == 3
    assert sorted(one) == sorted(other) == sorted(order)


@pytest.mark.parametrize("batch_rows", [1, 7, 50, 10**6])
@pytest.mark.parametrize(("seed", "chunk"), [(None, 10**6), (5, 10**6), (5, 9)])
def test_events_come_in_order(cut, seed, chunk, batch_rows, monkeypatch):
    monkeypatch.setattr(module, "BATCH_ROWS", batch_rows)
    monkeypatch.setattr(module, "CHUNK_SESSIONS", chunk)
    order = stored_order(cut.sessions, seed)
    batches = list(stored_batches(cut, order))
    columns = cut.events()
    rows = gathered(batches)
    assert list(rows) == list(range(len(order)))
    begins, lengths = cut.sessions.offset[order], cut.sessions.length[order]
    assert [len(rows[place]) for place in range(len(order))] == lengths.tolist()
    events = np.concatenate([np.arange(begin, begin + n) for begin, n in zip(begins, lengths, strict=True)])
    for name in NAMES:
        found = [row[name] for place in range(len(order)) for row in rows[place]]
        np.testing.assert_array_equal(found, columns[name][events])


@pytest.mark.parametrize("batch_rows", [1, 7, 50, 10**6])
def test_batches_hold_whole_sessions_unless_one_is_longer(cut, batch_rows, monkeypatch):
    monkeypatch.setattr(module, "BATCH_ROWS", batch_rows)
    order = stored_order(cut.sessions)
    batches = list(stored_batches(cut, order))
    assert min(batch.num_rows for batch in batches) > 0
    assert max(batch.num_rows for batch in batches) <= batch_rows
    for before, after in pairwise(batches):
        last, first = before["session"][-1].as_py(), after["session"][0].as_py()
        length = cut.sessions.length[order[first]]
        assert last != first or length > batch_rows
        assert last == first or before.num_rows + length > batch_rows or cut.sessions.length[order[last]] > batch_rows
    assert [field.type for field in batches[0].schema] == [
        pa.int64(),
        pa.int32(),
        pa.uint8(),
        pa.float32(),
        pa.float32(),
    ]


def test_no_sessions(tmp_path):
    cut = histories(tmp_path, [], [])
    assert list(stored_batches(cut, stored_order(cut.sessions))) == []
