"""Histories, targets and batches against plain loops over tiny logs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.sessions.batches import Histories, batches, forget_items, histories_and_targets, open_item_run
from hup.sessions.levels import ragged_arange

N_ITEMS = 6
PATHS = np.array([[0, 0], [0, 1], [1, 2], [1, 2], [1, 3], [2, 4]], dtype=np.int32)


@dataclass(frozen=True)
class Log:
    """What batches read of a dataset, and the same as lists of sessions."""

    item: np.ndarray
    behavior: np.ndarray
    interval: np.ndarray
    dwell: np.ndarray
    offsets: np.ndarray
    taxonomy: SimpleNamespace

    @property
    def user_codes(self) -> np.ndarray:
        """Two sessions a user, and the first of nobody known."""
        return np.arange(len(self.offsets) - 1) // 2 - 1

    @classmethod
    def of(cls, sessions: list[list[int]]) -> Log:
        """Every event has times and a behavior of its own, so that none can take another's place unseen."""
        n = sum(map(len, sessions))
        columns = (
            np.array([item for session in sessions for item in session], dtype=np.int32),
            np.arange(n).astype(np.uint8) % 10,
            np.arange(n, dtype=np.float32),
            1000 + np.arange(n, dtype=np.float32),
        )
        for column in columns:
            column.flags.writeable = False  # as the memory maps of a dataset
        offsets = np.concatenate([[0], np.cumsum([len(session) for session in sessions])]).astype(np.int64)
        return cls(*columns, offsets, SimpleNamespace(paths=PATHS))


def with_two_runs(session: list[int]) -> bool:
    return len(set(session)) > 1


sessions_of_two_runs = st.lists(st.integers(0, N_ITEMS - 1), min_size=2, max_size=9).filter(with_two_runs)
logs = st.lists(sessions_of_two_runs, min_size=1, max_size=6)


def reference(
    log: Log, sessions: list[int], last_interval: str, max_events: int | None
) -> tuple[list[dict], list[int]]:
    """One dictionary of lists a history, and the target items, event by event."""
    histories, targets = [], []
    for session in sessions:
        events = list(range(log.offsets[session], log.offsets[session + 1]))[:max_events]
        target = log.item[events[-1]]
        while events and log.item[events[-1]] == target:
            events.pop()
        if not events:
            continue
        history = {name: [float(getattr(log, name)[event]) for event in events] for name in COLUMNS}
        if last_interval == "mask":
            history["interval"][-1] = np.nan
            for place in reversed(range(len(events))):
                if log.item[events[place]] != log.item[events[-1]]:
                    break
                history["dwell"][place] = np.nan
        histories.append(history)
        targets.append(int(target))
    return histories, targets


COLUMNS = ("item", "behavior", "interval", "dwell")


def assert_same(histories: Histories, expected: list[dict]) -> None:
    assert len(histories) == len(expected)
    assert histories.offsets.tolist() == np.cumsum([0, *(len(row["item"]) for row in expected)]).tolist()
    for name in COLUMNS:
        wanted = np.array([value for row in expected for value in row[name]])
        np.testing.assert_array_equal(getattr(histories, name).numpy(), wanted, err_msg=name)
    np.testing.assert_array_equal(histories.categories.numpy(), PATHS[histories.item.numpy()])


@given(
    sessions=logs,
    last_interval=st.sampled_from(["mask", "keep"]),
    max_events=st.none() | st.integers(1, 10),
    data=st.data(),
)
def test_histories_and_targets_are_those_of_a_plain_loop(sessions, last_interval, max_events, data):
    log = Log.of(sessions)
    asked = data.draw(st.lists(st.integers(0, len(sessions) - 1), max_size=8))
    histories, targets = histories_and_targets(log, np.array(asked), last_interval, max_events=max_events)
    expected, expected_targets = reference(log, asked, last_interval, max_events)
    assert_same(histories, expected)
    assert (
        targets.item.tolist() == targets.codes("item").tolist() == targets.codes("micro").tolist() == expected_targets
    )
    np.testing.assert_array_equal(targets.categories.numpy(), PATHS[expected_targets].reshape(-1, 2))
    assert targets.codes("category_2").tolist() == PATHS[expected_targets, 1].tolist()


def test_kinds_of_tensors():
    histories, targets = histories_and_targets(Log.of([[0, 1], [2, 2, 3]]), np.array([0, 1]))
    kinds = {name: getattr(histories, name).dtype for name in ("offsets", "categories", *COLUMNS)}
    assert kinds.pop("interval") == kinds.pop("dwell") == torch.float32
    assert set(kinds.values()) == {torch.int64}
    assert targets.item.dtype == targets.categories.dtype == torch.int64
    assert histories.levels == 2


def test_whose_sessions_and_which_ones_is_told():
    log = Log.of([[0, 1], [2, 2, 3], [4, 4], [1, 0]])  # the third has no target
    histories, _ = histories_and_targets(log, np.array([3, 2, 0]))
    assert histories.index.tolist() == [3, 0]
    assert histories.user.tolist() == [0, -1]


def test_the_time_to_the_target_is_hidden_by_default():
    log = Log.of([[0, 1, 1, 2]])
    masked, _ = histories_and_targets(log, np.array([0]))
    assert masked.interval.isnan().tolist() == [False, False, True]
    assert masked.dwell.isnan().tolist() == [False, True, True]
    kept, _ = histories_and_targets(log, np.array([0]), "keep")
    assert not kept.interval.isnan().any()
    assert not kept.dwell.isnan().any()
    assert not np.isnan(log.interval).any(), "the dataset itself was masked"


@given(rows=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=5))
def test_open_item_run(rows):
    expected = []
    for row in rows:
        run = next((n for n, item in enumerate(reversed(row)) if item != row[-1]), len(row))
        expected += [False] * (len(row) - run) + [True] * run
    marked = open_item_run(np.concatenate(rows), np.cumsum([len(row) for row in rows]))
    assert marked.tolist() == expected


@given(pairs=st.lists(st.tuples(st.integers(-5, 50), st.integers(0, 6)), max_size=6))
def test_ragged_arange(pairs):
    starts, lengths = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = [n for start, length in pairs for n in range(start, start + length)]
    assert ragged_arange(starts, lengths).tolist() == expected


# ---------------------------------------------------------------------- batches


def sessions_seen(log: Log, **options) -> list[list[int]]:
    """Sessions of each batch; the first interval of a history names its session (first events are never masked)."""
    first = {float(log.interval[start]): n for n, start in enumerate(log.offsets[:-1].tolist())}
    return [
        [first[histories.interval[start].item()] for start in histories.offsets[:-1].tolist()]
        for histories, _ in batches(log, last_interval="keep", **options)
    ]


@given(
    lengths=st.lists(st.integers(2, 7), min_size=1, max_size=30),
    batch_size=st.integers(1, 7),
    seed=st.none() | st.tuples(st.integers(0, 5), st.integers(1, 3)),
    data=st.data(),
)
def test_every_session_is_in_one_batch(lengths, batch_size, seed, data):
    log = Log.of([[0] * (length - 1) + [1] for length in lengths])
    asked = data.draw(st.lists(st.integers(0, len(lengths) - 1), unique=True))
    seen = sessions_seen(log, sessions=np.array(asked), batch_size=batch_size, shuffle_seed=seed)
    assert sorted(chain.from_iterable(seen)) == sorted(asked)
    assert all(len(batch) <= batch_size for batch in seen)
    assert len(seen) == -(-len(asked) // batch_size), "more batches than needed"
    if seed is None:
        assert list(chain.from_iterable(seen)) == asked


def test_the_seed_gives_the_order():
    log = Log.of([[0, *[1] * (n % 5 + 1)] for n in range(200)])
    options = {"sessions": np.arange(200), "batch_size": 4}
    once = sessions_seen(log, shuffle_seed=(1, 1), **options)
    assert once == sessions_seen(log, shuffle_seed=(1, 1), **options)
    assert once != sessions_seen(log, shuffle_seed=(1, 2), **options)
    assert once != sessions_seen(log, shuffle_seed=(2, 1), **options)
    assert list(chain.from_iterable(once)) != list(range(200))


def test_batches_hold_sessions_of_like_length_in_no_order_of_length():
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 60, size=300)
    log = Log.of([[0] * (length - 1) + [1] for length in lengths.tolist()])
    seen = sessions_seen(log, sessions=np.arange(300), batch_size=10, shuffle_seed=(0, 1))
    widest = max(np.ptp(lengths[batch]) for batch in seen)
    assert widest < 20
    means = [lengths[batch].mean() for batch in seen]
    assert means != sorted(means)


def test_a_batch_that_the_cut_empties_is_passed_over():
    log = Log.of([[0, 0, 1], [0, 1, 0], [0, 0, 2]])
    options = {"sessions": np.arange(3), "batch_size": 1}
    assert sessions_seen(log, max_events=2, **options) == [[1]]
    assert len(sessions_seen(log, **options)) == 3
    assert sessions_seen(log, sessions=np.array([], dtype=np.int64), batch_size=2, shuffle_seed=(0, 1)) == []


# ---------------------------------------------------------------------- histories


def histories_of(rows: list[list[int]], paths: np.ndarray = PATHS) -> Histories:
    flat = torch.tensor([item for row in rows for item in row])
    return Histories(
        offsets=torch.tensor([0, *np.cumsum([len(row) for row in rows])]),
        item=flat,
        categories=torch.from_numpy(paths[flat.numpy()].astype(np.int64)),
        behavior=torch.zeros_like(flat),
        interval=torch.ones(len(flat)),
        dwell=torch.ones(len(flat)),
    )


@given(
    rows=st.lists(st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=8), min_size=1, max_size=5),
    n_known=st.integers(0, N_ITEMS + 1),
    level=st.sampled_from(["item", "category_1", "category_2"]),
)
def test_own_unknown_codes(rows, n_known, level):
    paths = np.where(np.arange(N_ITEMS)[:, None] == 0, -1, PATHS)  # item 0 has no categories
    histories = histories_of(rows, paths)
    own = histories.own_unknown(level, n_known)
    codes = histories.codes(level).tolist()
    expected = [{codes[at] for at in range(*ends) if codes[at] >= n_known} for ends in bounds(histories)]
    assert own.codes.shape == own.events.shape == (len(rows), max(map(len, expected)))
    for b, (low, high) in enumerate(bounds(histories)):
        found = [code for code in own.codes[b].tolist() if code != -1]
        assert len(found) == len(set(found))
        assert set(found) == expected[b]
        for code, event in zip(own.codes[b].tolist(), own.events[b].tolist(), strict=True):
            assert event == 0 if code == -1 else low <= event < high and codes[event] == code


def bounds(histories: Histories) -> list[tuple[int, int]]:
    offsets = histories.offsets.tolist()
    return list(pairwise(offsets))


def test_where_each_history_stands():
    histories = histories_of([[0, 3], [5], [1, 2, 4]])
    assert len(histories) == 3
    assert histories.session().tolist() == [0, 0, 1, 2, 2, 2]
    assert histories.current("item").tolist() == [3, 5, 4]
    assert histories.current("category_1").tolist() == [1, 2, 1]
    assert histories.current("category_2").tolist() == [2, 4, 3]


def test_moving_keeps_everything():
    histories = histories_of([[0, 3], [5]])
    moved = histories.to("cpu")
    for name in ("offsets", "categories", *COLUMNS):
        assert torch.equal(getattr(moved, name), getattr(histories, name))
    with pytest.raises(RuntimeError):
        histories.to("no such device")


def test_forgotten_items_are_so_at_all_their_events_and_nothing_else_changes():
    histories = histories_of([[0, 3, 0], [5, 1, 4], [1, 2, 4, 0]])
    assert forget_items(histories, 0.0) is histories
    torch.manual_seed(3)
    shares = []
    for _ in range(100):
        read = forget_items(histories, 0.4)
        gone = read.item < 0
        assert not set(histories.item[gone].tolist()) & set(histories.item[~gone].tolist())
        assert torch.equal(read.item[~gone], histories.item[~gone])
        assert torch.equal(read.categories, histories.categories)
        assert torch.equal(read.offsets, histories.offsets)
        shares.append(len(histories.item[gone].unique()) / N_ITEMS)
    assert 0.3 < np.mean(shares) < 0.5
