"""Steps of the pyramid's levels against a loop over runs."""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.sessions.batches import Histories
from hup.sessions.levels import Buckets, level_names, milliseconds, number_of_bucket, pyramid_steps

BUCKETS = Buckets(interval=(1, 15, 39, 90), dwell=(14, 39, 96, 599))
# Five items under four leaves under two roots.
PATHS = [(0, 0), (0, 0), (0, 1), (1, 2), (1, 3)]

sessions = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 200), st.integers(0, 900)), min_size=1, max_size=9),
    min_size=1,
    max_size=4,
)


def histories(batch: list[list[tuple[int, int, int]]]) -> Histories:
    """Items with intervals and dwells; the dwell that counts is that of a run's last event."""
    items, intervals, dwells = [], [], []
    for session in batch:
        for _, run in itertools.groupby(session, key=lambda event: event[0]):
            run = list(run)
            items += [event[0] for event in run]
            intervals += [event[1] for event in run]
            dwells += [event[2] for event in run]
    return Histories(
        offsets=torch.tensor([0, *np.cumsum([len(session) for session in batch])]),
        item=torch.tensor(items),
        categories=torch.tensor([PATHS[item] for item in items]),
        behavior=torch.zeros(len(items), dtype=torch.long),
        interval=torch.tensor(intervals, dtype=torch.float32),
        dwell=torch.tensor(dwells, dtype=torch.float32),
    )


def runs(codes: list[int]) -> list[tuple[int, int]]:
    """(first, last) event of each run."""
    found, start = [], 0
    for _, group in itertools.groupby(codes):
        length = len(list(group))
        found.append((start, start + length - 1))
        start += length
    return found


def bucket(seconds: float | None, edges: tuple[float, ...]) -> int:
    return 0 if seconds is None else 1 + sum(seconds > edge for edge in edges)


@given(batch=sessions, every=st.booleans(), bound=st.sampled_from([1, 2, 128]))
@settings(max_examples=120, deadline=None)
def test_steps_equal_a_loop_over_runs(batch, every, bound):
    with mock.patch("hup.sessions.levels.EVENTS_OF_RUN", bound):
        _compare_with_a_loop(batch, every, bound)


def _compare_with_a_loop(batch, every, bound):
    given_histories = histories(batch)
    offsets = given_histories.offsets.tolist()
    queries = list(range(offsets[-1])) if every else [end - 1 for end in offsets[1:]]
    steps = pyramid_steps(given_histories, BUCKETS, torch.tensor(queries) if every else None)
    assert steps.queries.tolist() == queries
    item = given_histories.item.tolist()
    interval, dwell = given_histories.interval.tolist(), given_histories.dwell.tolist()

    open_events: list[int] = []
    for level, name in zip(steps.levels, level_names(2), strict=True):
        closed: list[int] = []  # event of each closed step
        closed_dwell: list[float] = []
        lengths = []
        expected_queries = []
        for start, end in itertools.pairwise(offsets):
            item_runs = [(a + start, b + start) for a, b in runs(item[start:end])]
            codes = {
                "micro": item,
                "item": item,
                "category_2": [PATHS[i][1] for i in item],
                "category_1": [PATHS[i][0] for i in item],
            }[name]
            own_runs = [(a + start, b + start) for a, b in runs(codes[start:end])]
            first = len(closed)
            if name == "micro":
                own = [(e, dwell[b]) for a, b in item_runs[:-1] for e in range(max(a, b - bound + 1), b + 1)]
            else:
                own = [(b, sum(dwell[y] for x, y in item_runs if a <= x <= b)) for a, b in own_runs[:-1]]
            closed += [e for e, _ in own]
            closed_dwell += [d for _, d in own]
            lengths.append(len(own))
            for q in (q for q in queries if start <= q < end):
                run_start, _ = next(r for r in (item_runs if name == "micro" else own_runs) if r[0] <= q <= r[1])
                item_start, _ = next(r for r in item_runs if r[0] <= q <= r[1])
                known = q == end - 1  # at the history's end its own values hold, as "keep" would have it
                so_far = sum(dwell[y] for x, y in item_runs if run_start <= x and y < item_start)
                expected_queries.append(
                    (
                        first,
                        first + sum(e < run_start for e, _ in own),
                        bucket(
                            dwell[q] + (0 if name in ("micro", "item") else so_far) if known else None, BUCKETS.dwell
                        ),
                    )
                )
                if name == "micro":
                    open_events += list(range(max(item_start, q - bound + 1), q + 1))
        assert level.events.tolist() == closed
        assert level.lengths.tolist() == lengths
        assert level.interval.tolist() == [bucket(interval[e], BUCKETS.interval) for e in closed]
        assert level.dwell.tolist() == [bucket(d, BUCKETS.dwell) for d in closed_dwell]
        got = list(zip(level.first.tolist(), level.before.tolist(), level.open_dwell.tolist(), strict=True))
        assert got == expected_queries
    assert steps.open_events.tolist() == open_events
    for upper, lower in zip(steps.levels[1:], steps.levels, strict=False):
        assert lower.events[upper.below].tolist() == upper.events.tolist()


def test_open_times_count_only_where_they_are_known():
    masked = histories([[(0, 5, 50), (0, 7, 50)]])
    masked.interval[1] = torch.nan
    masked.dwell[:] = torch.nan
    steps = pyramid_steps(masked, BUCKETS)
    assert steps.open_interval.tolist() == [2, 0]
    assert [level.open_dwell.tolist() for level in steps.levels] == [[0]] * 4


def test_runs_nest_where_fine_categories_are_not_known():
    given_histories = histories([[(0, 1, 1), (3, 1, 1), (4, 1, 1)]])
    given_histories.categories[:, 1] = -1  # both roots have children without a name
    steps = pyramid_steps(given_histories, BUCKETS)
    by_level = dict(zip(level_names(2), steps.levels, strict=True))
    assert by_level["category_1"].events.tolist() == [0]
    assert by_level["category_2"].events.tolist() == [0]


def test_bucket_edges_are_inclusive_and_unknown_is_zero():
    times = np.array([-1, 0, 1000, 1001, 15000, 90000, 90001])
    assert number_of_bucket(times, BUCKETS.interval).tolist() == [0, 1, 1, 2, 2, 4, 5]


@given(st.floats(0, 1e6, allow_nan=False))
def test_milliseconds_survive_the_way_through_seconds(seconds):
    time = milliseconds(seconds)
    assert milliseconds(time / 1000) == time


def test_level_names_go_from_the_bottom_up():
    assert level_names(3) == ("micro", "item", "category_3", "category_2", "category_1")
