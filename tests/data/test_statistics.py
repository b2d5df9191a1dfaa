"""Statistics against a plain count, event by event."""

import numpy as np
import pytest

from hup.data import statistics
from hup.data.statistics import Columns, Histogram, count


def runs(values):
    lengths = []
    for index, value in enumerate(values):
        if index and value == values[index - 1]:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


@pytest.fixture
def columns():
    rng = np.random.default_rng(5)
    lengths = rng.integers(2, 30, 200)
    offsets = np.append(0, np.cumsum(lengths))
    n = int(offsets[-1])
    items = 12
    item = rng.integers(0, items, n).astype(np.int32)
    item[0:items] = np.arange(items)
    leaf = np.arange(items, dtype=np.int32) // 2
    return Columns(
        item=item,
        behavior=rng.integers(0, 3, n).astype(np.uint8),
        interval=rng.integers(0, 4000, n).astype(np.float32),
        dwell=rng.exponential(50, n).astype(np.float32),
        offsets=offsets.astype(np.int64),
        paths=np.stack([leaf // 3, leaf], axis=1),
    )


@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_against_plain_counting(columns, block, monkeypatch):
    monkeypatch.setattr(statistics, "BLOCK_EVENTS", block)
    advanced = []
    counts = count(columns, 4, advanced.append)
    sessions = [columns.item[a:b].tolist() for a, b in zip(columns.offsets[:-1], columns.offsets[1:], strict=True)]
    item_runs = [runs(session) for session in sessions]
    returns = targets = 0
    for session in sessions:
        seen = [item for index, item in enumerate(session) if index == 0 or item != session[index - 1]]
        returns += sum(item in seen[:index] for index, item in enumerate(seen))
        targets += seen[-1] in seen[:-1]
    n_runs = sum(map(len, item_runs))
    assert sum(advanced) == counts.events == len(columns.item)
    assert (counts.sessions, counts.items, counts.categories) == (200, 12, [2, 6])
    assert counts.item_runs == n_runs
    assert counts.repeat_share == pytest.approx(returns / n_runs)
    assert counts.target_repeat_share == targets / 200
    assert counts.events_by_behavior == [*np.bincount(columns.behavior), 0]
    assert counts.events_per_item_run.mean == pytest.approx(len(columns.item) / n_runs)
    assert counts.events_per_item_run.max == max(map(max, item_runs))
    assert counts.item_runs_per_session.median == np.quantile(list(map(len, item_runs)), 0.5, method="inverted_cdf")
    for level in (0, 1):
        lengths = [length for session in sessions for length in runs(columns.paths[session, level].tolist())]
        assert counts.category_runs[level] == len(lengths)
        assert counts.events_per_category_run[level].p99 == np.quantile(lengths, 0.99, method="inverted_cdf")
    assert counts.interval_seconds.p90 == np.quantile(columns.interval, 0.9, method="inverted_cdf")
    starts = [
        offset + index
        for offset, session in zip(columns.offsets, sessions, strict=False)
        for index, item in enumerate(session)
        if index == 0 or item != session[index - 1]
    ]
    assert counts.dwell_seconds.mean == pytest.approx(float(columns.dwell[starts].mean(dtype=np.float64)))


def test_histogram_is_exact_for_small_integers():
    values = np.arange(4097)
    histogram = Histogram()
    histogram.add(values[:1000])
    histogram.add(values[1000:])
    summary = histogram.summary()
    assert (summary.mean, summary.p25, summary.median, summary.max) == (2048, 1024, 2048, 4096)


def test_histogram_is_right_to_one_part_in_2048():
    values = np.random.default_rng(0).lognormal(3, 4, 100_000).astype(np.float32)
    histogram = Histogram()
    histogram.add(values)
    summary = histogram.summary()
    for share, found in ((0.25, summary.p25), (0.5, summary.median), (0.9, summary.p90), (0.99, summary.p99)):
        assert found == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=1 / 2048)
    assert summary.max == values.max()


def test_histogram_of_unknown_and_zero():
    histogram = Histogram()
    assert histogram.summary().mean == histogram.summary().max == 0
    histogram.add(np.array([np.nan, -0.0, 0.0], np.float32))
    assert (histogram.summary().mean, histogram.summary().median) == (0, 0)
