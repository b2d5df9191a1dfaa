"""How long users stay: intervals between events and dwell on item runs, heavy-tailed and driven by interest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hup.simulator.patterns import PatternBank
from hup.simulator.walk import WalkedRuns

_LONGEST = 86_400.0 * 1.2
_PACE_SPREAD = 0.44  # users (sessions) differ in pace
_INTEREST_PULL = 0.36
# Median seconds and log spread to the next event of the same run, by behavior 1..10.
_WITHIN_MEDIAN = np.array([7.5, 7.5, 7.5, 7.5, 7.5, 24, 24, 34, 14, 80], np.float32)
_WITHIN_SPREAD = np.array([0.82, 0.82, 0.82, 0.82, 0.82, 0.95, 0.95, 0.85, 1.4, 1.4], np.float32)
# The same for the time on the item after its last event.
_LAST_MEDIAN = np.array([12, 12, 12, 12, 12, 21, 21, 32, 15, 90], np.float32)
_LAST_SPREAD = np.array([1.02, 1.02, 1.02, 1.02, 1.02, 0.92, 0.92, 0.8, 1.3, 1.4], np.float32)
# Between leaving an item and the next event: lists, other pages; now and then a break of hours.
_NO_GAP, _GAP_MEDIAN, _GAP_SPREAD = 0.25, 13.0, 1.75
_BREAK, _BREAK_MEDIAN, _BREAK_SPREAD = 0.028, 3_500.0, 1.3
_DISTRACTION, _DISTRACTION_FACTOR = 0.016, 25.0


def draw_times(
    rng: np.random.Generator,
    runs: WalkedRuns,
    bank: PatternBank,
    event_run: NDArray[np.int64],
    behavior: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return interval (N,) and dwell (N,) in whole seconds for the events of a chunk.

    The interval of a run's last event holds the rest of its time on the item and the gap to the next run; the dwell
    of a run is its time on the item only, and is shared by its events.
    """
    length = bank.length[runs.pattern]
    run_last = np.cumsum(length) - 1
    pace = np.repeat(_PACE_SPREAD * _normal(rng, len(runs.offsets) - 1), np.diff(runs.offsets))
    mood = pace + np.float32(_INTEREST_PULL) * runs.interest

    last_behavior = behavior[run_last]
    on_event = _lognormal(rng, _WITHIN_MEDIAN[behavior], _WITHIN_SPREAD[behavior], mood[event_run])
    on_event[run_last] = _lognormal(rng, _LAST_MEDIAN[last_behavior], _LAST_SPREAD[last_behavior], mood)
    distracted = rng.random(len(behavior), np.float32) < _DISTRACTION
    on_event[distracted] *= _DISTRACTION_FACTOR
    on_event = np.rint(np.minimum(on_event, _LONGEST))

    dwell = np.add.reduceat(on_event, run_last - length + 1)
    on_event[run_last] += _gaps(rng, pace)
    interval = np.minimum(on_event, _LONGEST).astype(np.int32)
    run_dwell = np.clip(dwell, 1, _LONGEST).astype(np.int32)
    return interval, run_dwell[event_run]


def _normal(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    return rng.standard_normal(count, np.float32)


def _lognormal(
    rng: np.random.Generator, median: NDArray[np.float32], spread: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.float32]:
    seconds: NDArray[np.float32] = median * np.exp(spread * _normal(rng, len(median)) + shift)
    return seconds


def _gaps(rng: np.random.Generator, pace: NDArray[np.float32]) -> NDArray[np.float32]:
    chance = rng.random(len(pace), np.float32)
    breaks = chance > 1.0 - _BREAK
    median = np.where(breaks, np.float32(_BREAK_MEDIAN), np.float32(_GAP_MEDIAN))
    spread = np.where(breaks, np.float32(_BREAK_SPREAD), np.float32(_GAP_SPREAD))
    gap = _lognormal(rng, median, spread, pace)
    gap[chance < _NO_GAP] = 0.0
    rounded: NDArray[np.float32] = np.rint(gap)
    return rounded
