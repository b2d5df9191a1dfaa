"""Statistics of a dataset, from its columns, in one pass over blocks of whole sessions; and how it is split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hup.data.manifest import Counts, Distribution, SplitBounds, TrainVocabulary

BLOCK_EVENTS = 1 << 21
_DROPPED_BITS = 12
_BINS = (int(np.float32(np.inf).view(np.int32)) >> _DROPPED_BITS) + 1

Array = npt.NDArray[Any]


class Histogram:
    """Distribution of non-negative numbers in fixed memory (4 MiB).

    A float32 and its bit pattern, read as an integer, have the same order. The first 20 bits are the bin: integers
    up to 4096 are exact, other quantiles are right to one part in 2048. Mean and maximum are exact.
    """

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS, np.int64)
        self._sum = 0.0
        self._max = 0.0

    def add(self, values: Array) -> None:
        """Count finite, non-negative `values`; NaN stands for unknown and is left out."""
        numbers = np.abs(values, dtype=np.float32)  # also makes -0.0 a zero
        numbers = numbers[~np.isnan(numbers)]
        if not len(numbers):
            return
        np.add.at(self._bins, numbers.view(np.int32) >> _DROPPED_BITS, 1)  # touches no bin but those
        self._sum += float(numbers.sum(dtype=np.float64))
        self._max = max(self._max, float(numbers.max()))

    def summary(self) -> Distribution:
        """Summarise what was counted; all zero if nothing was."""
        bins = np.flatnonzero(self._bins)
        upto = np.cumsum(self._bins[bins])
        total = int(upto[-1]) if len(upto) else 0

        def quantile(share: float) -> float:
            if not total:
                return 0.0
            rank = max(1, int(np.ceil(share * total)))
            place = np.int32(bins[np.searchsorted(upto, rank)] << _DROPPED_BITS)
            return min(float(place.view(np.float32)), self._max)

        return Distribution(
            mean=self._sum / total if total else 0.0,
            p25=quantile(0.25),
            median=quantile(0.5),
            p75=quantile(0.75),
            p90=quantile(0.9),
            p99=quantile(0.99),
            max=self._max,
        )


@dataclass(frozen=True)
class Columns:
    """The columns that statistics are made of, over N events, S sessions, V items and K levels.

    ``item`` (N,) int32, ``behavior`` (N,) uint8, ``interval`` and ``dwell`` (N,) float32, ``offsets`` (S + 1,) int64,
    ``paths`` (V, K) int32.
    """

    item: Array
    behavior: Array
    interval: Array
    dwell: Array
    offsets: Array
    paths: Array


def count(columns: Columns, n_behaviors: int, advance: Callable[[int], None] | None = None) -> Counts:
    """Compute the statistics of a dataset.

    Parameters
    ----------
    columns : Columns
        The events; may be memory maps, they are read block by block.
    n_behaviors : int
        Number of behavior types.
    advance : callable, optional
        Told the number of events done.
    """
    levels = columns.paths.shape[1]
    behaviors = np.zeros(n_behaviors, np.int64)
    per_session, runs_per_session, per_run, interval, dwell = (Histogram() for _ in range(5))
    per_category_run = [Histogram() for _ in range(levels)]
    category_runs = [0] * levels
    item_runs = new_runs = known_targets = 0
    for block in _blocks(columns.offsets):
        events = slice(int(columns.offsets[block.start]), int(columns.offsets[block.stop]))
        offsets = np.asarray(columns.offsets[block.start : block.stop + 1]) - events.start
        item = np.asarray(columns.item[events])
        starts = _run_starts(item, offsets)
        session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[starts]
        behaviors += np.bincount(columns.behavior[events], minlength=n_behaviors)
        per_session.add(np.diff(offsets))
        runs_per_session.add(np.bincount(session, minlength=len(offsets) - 1))
        per_run.add(np.diff(starts, append=len(item)))
        interval.add(columns.interval[events])
        dwell.add(np.asarray(columns.dwell[events])[starts])
        new, targets_seen = _repeats(session, item[starts])
        item_runs += len(starts)
        new_runs += new
        known_targets += targets_seen
        for level in range(levels):
            level_starts = _run_starts(columns.paths[item, level], offsets)
            per_category_run[level].add(np.diff(level_starts, append=len(item)))
            category_runs[level] += len(level_starts)
        if advance is not None:
            advance(len(item))
    sessions = len(columns.offsets) - 1
    return Counts(
        sessions=sessions,
        events=int(columns.offsets[-1]),
        items=len(columns.paths),
        categories=[int(codes.max()) + 1 for codes in columns.paths.T],
        item_runs=item_runs,
        category_runs=category_runs,
        repeat_share=1 - new_runs / item_runs,
        target_repeat_share=known_targets / sessions,
        events_by_behavior=behaviors.tolist(),
        events_per_session=per_session.summary(),
        item_runs_per_session=runs_per_session.summary(),
        events_per_item_run=per_run.summary(),
        events_per_category_run=[histogram.summary() for histogram in per_category_run],
        interval_seconds=interval.summary(),
        dwell_seconds=dwell.summary(),
    )


def split_bounds(sessions: int, shares: tuple[float, float, float]) -> SplitBounds:
    """Divide `sessions` stored sessions; training gets one at least."""
    train_end = max(1, round(sessions * shares[0]))
    validation_end = max(train_end, round(sessions * (shares[0] + shares[1])))
    return SplitBounds(train=(0, train_end), validation=(train_end, validation_end), test=(validation_end, sessions))


def train_vocabulary(columns: Columns, bounds: SplitBounds) -> TrainVocabulary:
    """Count what training sees; as codes follow first appearance, its vocabulary is a prefix of all codes.

    Parameters
    ----------
    columns : Columns
        The events.
    bounds : SplitBounds
        The split.
    """
    items = int(columns.item[: columns.offsets[bounds.train[1]]].max()) + 1
    targets = columns.item[columns.offsets[bounds.test[0] + 1 : bounds.test[1] + 1] - 1]
    return TrainVocabulary(
        items=items,
        categories=[int(codes.max()) + 1 for codes in columns.paths[:items].T],
        test_targets_known=float((targets < items).mean()) if len(targets) else None,
    )


def _blocks(offsets: Array) -> Iterator[range]:
    """Divide the sessions into stretches of about `BLOCK_EVENTS` events."""
    first, sessions = 0, len(offsets) - 1
    while first < sessions:
        end = int(np.searchsorted(offsets, offsets[first] + BLOCK_EVENTS, side="right")) - 1
        end = min(max(end, first + 1), sessions)
        yield range(first, end)
        first = end


def _run_starts(values: Array, offsets: Array) -> Array:
    """Give the events at which a run begins: a session begins, or the value changes."""
    begins = np.empty(len(values), bool)
    begins[1:] = values[1:] != values[:-1]
    begins[offsets[:-1]] = True
    return np.flatnonzero(begins)


def _repeats(session: Array, item: Array) -> tuple[int, int]:
    """Count the runs whose item is new to its session, and the sessions whose last run's item is not."""
    keys = session.astype(np.int64) * (int(item.max()) + 1) + item
    last = np.flatnonzero(np.diff(session, append=-1))
    is_last = np.zeros(len(keys), bool)
    is_last[last] = True
    # Not np.unique, which hashes integers and is ten times slower on keys as spread out as these.
    earlier = np.sort(keys[~is_last])
    earlier = earlier[np.diff(earlier, prepend=-1) > 0]
    targets = keys[last]
    seen = np.searchsorted(earlier, targets, side="right") > np.searchsorted(earlier, targets)
    repeated_targets = int(seen.sum())
    return len(earlier) + len(last) - repeated_targets, repeated_targets
