"""The levels of a pyramid: their names, and which micro-behaviors are steps of which level.

A level's state moves on only when its run ends (Eq. 1-3). So each level has

* *closed* steps: one for every run that has ended within the history (at the micro level: every event of an ended item
  run, the latest :data:`EVENTS_OF_RUN` of them). They form one chain a history, computed once.
* *open* steps: for every query (an event at which a profile is asked for) the run that is still going on, computed from
  the closed state before it and never carried further.

A query's open run lacks what only its end can tell: the last event's interval and the item run's dwell. Training, batch
evaluation and live profiles all use these two kinds of steps, so they agree at every prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from hup.sessions.batches import Histories

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Part = TypeVar("Part")


class _Columns(Protocol):
    def __getitem__(self, key: Any, /) -> Any: ...


Codes = TypeVar("Codes", bound=_Columns)
_CATEGORY: Final = "category_"


class Level(str):
    """The name of a level, which knows what it is a level of.

    It is a string, ``"micro"``, ``"item"`` or ``"category_k"``, so that files, tables and callers name levels by plain
    text: ``Level(name)`` takes such a name up.
    """

    __slots__ = ()

    @classmethod
    def category(cls, k: int) -> Self:
        """Give the name of the categories of level k, 1 = coarsest."""
        return cls(f"{_CATEGORY}{k}")

    @property
    def is_category(self) -> bool:
        """Whether it is a level of categories; micro and item are levels of items."""
        return self.startswith(_CATEGORY)

    @property
    def k(self) -> int:
        """Number of the category level, 1 = coarsest; also the length of its paths. Of micro and item 0."""
        return int(self.removeprefix(_CATEGORY)) if self.is_category else 0

    def pick(self, item: Part, categories: Sequence[Part]) -> Part:
        """Choose what belongs to the level: the item's, or that of one of category_1 … category_K."""
        return categories[self.k - 1] if self.is_category else item

    def codes(self, item: Codes, categories: Codes) -> Codes:
        """Choose the level's codes: items ``(N,)``, or a column of categories ``(N, K)``, coarsest first."""
        if not self.is_category:
            return item
        column: Codes = categories[:, self.k - 1]
        return column

    def of_items(self, items: IntArray, paths: npt.NDArray[np.integer[Any]]) -> IntArray:
        """Give the level's codes of items ``(N,)``: themselves, or their categories in paths ``(n, K)``."""
        return paths[items, self.k - 1].astype(np.int64) if self.is_category else items


MICRO: Final = Level("micro")
ITEM: Final = Level("item")


def level_names(levels: int) -> tuple[Level, ...]:
    """Names of the pyramid's levels for K category levels, bottom first: micro, item, category_K … category_1."""
    return (MICRO, *ranked_levels(levels))


def ranked_levels(levels: int) -> tuple[Level, ...]:
    """Names of the levels that are recommended, for K category levels: item, category_K … category_1."""
    return (ITEM, *(Level.category(k) for k in range(levels, 0, -1)))


#: Of a longer item run the micro level reads the latest events only, so that an open run has a bounded size.
EVENTS_OF_RUN: Final = 128

#: Marks a time that is not known, where times are whole milliseconds.
UNKNOWN = -1


def milliseconds(seconds: float) -> int:
    """Whole milliseconds of seconds as the dataset stores them, which is in single precision."""
    return round(float(np.float32(seconds)) * 1000)


def number_of_bucket(times: IntArray, edges: tuple[float, ...]) -> IntArray:
    """Bucket numbers of times in milliseconds, for upper edges in seconds."""
    number = np.searchsorted(np.asarray(edges) * 1000, times, side="left") + 1
    return np.where(times == UNKNOWN, 0, number)


def whole_milliseconds(seconds: Tensor) -> IntArray:
    """Whole milliseconds, so that sums are exact in any order; NaN becomes ``UNKNOWN``."""
    value = seconds.numpy().astype(np.float64)
    unknown = np.isnan(value)
    return np.where(unknown, UNKNOWN, np.rint(np.where(unknown, 0, value) * 1000)).astype(np.int64)


def ragged_arange(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenate ``arange(start, start + length)`` over all pairs, ``(sum(lengths),)``."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)


@dataclass(frozen=True)
class Buckets:
    """Upper edges, in seconds and inclusive, that turn times into bucket numbers.

    Bucket 0 means "not known", 1 … n + 1 are the buckets. (The paper: "we discretize them into several buckets".)
    """

    interval: tuple[float, ...]
    dwell: tuple[float, ...]


@dataclass(frozen=True)
class LevelSteps:
    """Steps of one level for ``B`` histories and ``Q`` queries; int64 tensors.

    Attributes
    ----------
    events : Tensor
        ``(S,)`` event at which each closed step ends, history by history.
    lengths : Tensor
        ``(B,)`` closed steps of each history.
    below : Tensor
        ``(S,)`` closed step of the level below that ends at the same event (empty at the micro level).
    interval, dwell : Tensor
        ``(S,)`` bucket numbers of each closed step.
    first : Tensor
        ``(Q,)`` first closed step of the query's history.
    before : Tensor
        ``(Q,)`` one past the last closed step that the query's open run comes after; equals ``first`` if there is none.
    open_dwell : Tensor
        ``(Q,)`` dwell bucket of the open run.
    """

    events: Tensor
    lengths: Tensor
    below: Tensor
    interval: Tensor
    dwell: Tensor
    first: Tensor
    before: Tensor
    open_dwell: Tensor


@dataclass(frozen=True)
class PyramidSteps:
    """Steps of all levels.

    Attributes
    ----------
    queries : Tensor
        ``(Q,)`` event at which each profile is asked for.
    open_events : Tensor
        ``(O,)`` events of every query's open item run up to the query, the latest ones, query by query.
    open_lengths : Tensor
        ``(Q,)`` their number, at least 1.
    open_interval : Tensor
        ``(O,)`` interval buckets of these events.
    levels : tuple of LevelSteps
        Bottom first: micro, item, category_K … category_1.
    """

    queries: Tensor
    open_events: Tensor
    open_lengths: Tensor
    open_interval: Tensor
    levels: tuple[LevelSteps, ...]

    def to(self, device: torch.device | str) -> Self:
        """Move every tensor to a device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "levels"}
        levels = tuple(LevelSteps(*(getattr(s, f.name).to(device) for f in fields(s))) for s in self.levels)
        return type(self)(**moved, levels=levels)


def pyramid_steps(histories: Histories, buckets: Buckets, queries: Tensor | None = None) -> PyramidSteps:
    """Lay out the steps of every level.

    Parameters
    ----------
    histories : Histories
        Times of closed runs should be known; those of the open run are used where they are given.
    buckets : Buckets
    queries : Tensor, optional
        ``(Q,)`` int64 events to ask at, in any order. Default: the last event of every history. A query at an earlier
        event sees what was known then: its own interval and its item run's dwell count as not known.
    """
    offsets = histories.offsets.numpy()
    last = offsets[1:] - 1
    asked = last if queries is None else queries.numpy()
    session = histories.session().numpy()
    interval = whole_milliseconds(histories.interval)
    interval_bucket = number_of_bucket(interval, buckets.interval)
    dwell = whole_milliseconds(histories.dwell)
    at_end = asked == last[session[asked]]

    item, *categories = _run_starts(histories)
    # One dwell a run, its last event's: a log may state others before (two visits that a rejected row no longer parts).
    dwell = dwell[_run_ends(item)]
    open_dwell = np.where(at_end, dwell[asked], UNKNOWN)
    ends = _closed_ends(item, offsets)
    chain = _Chain(offsets, session, asked)
    index = np.arange(item.size)
    is_read = _run_ends(item) - index < EVENTS_OF_RUN
    micro_ended = is_read & (index < item[last][session])  # nothing of each history's open item run
    micro = chain.level(
        micro_ended,
        item,
        None,
        interval_bucket,
        number_of_bucket(dwell, buckets.dwell),
        number_of_bucket(open_dwell, buckets.dwell),
    )

    levels = [micro]
    ended_below = micro_ended
    # Seconds of every ended item run, booked at its last event; their running total gives any category run's dwell.
    total = np.concatenate([[0], np.cumsum(np.where(ends & (dwell != UNKNOWN), dwell, 0))])
    for start in (item, *categories):
        ended = _closed_ends(start, offsets)
        run_dwell = dwell if start is item else total[1:] - total[start]
        so_far = total[item[asked]] - total[start[asked]]
        open_run_dwell = np.where(open_dwell == UNKNOWN, UNKNOWN, open_dwell + so_far)
        levels.append(
            chain.level(
                ended,
                start,
                ended_below,
                interval_bucket,
                number_of_bucket(run_dwell, buckets.dwell),
                number_of_bucket(open_run_dwell, buckets.dwell),
            )
        )
        ended_below = ended

    open_lengths = np.minimum(asked - item[asked] + 1, EVENTS_OF_RUN)
    open_events = ragged_arange(asked - open_lengths + 1, open_lengths)
    open_interval = interval[open_events]
    open_interval[np.cumsum(open_lengths) - 1] = np.where(at_end, interval[asked], UNKNOWN)
    return PyramidSteps(
        queries=torch.from_numpy(asked),
        open_events=torch.from_numpy(open_events),
        open_lengths=torch.from_numpy(open_lengths),
        open_interval=torch.from_numpy(number_of_bucket(open_interval, buckets.interval)),
        levels=tuple(levels),
    )


def _run_starts(histories: Histories) -> list[IntArray]:
    """First event of every event's run, ``(N,)`` each, for item, category_K … category_1.

    A run also ends where a coarser one does, so runs of neighbouring levels nest even where a finer code is not known.
    """
    index = np.arange(histories.item.numel())
    first = np.zeros(index.size, dtype=bool)
    first[histories.offsets.numpy()[:-1]] = True
    starts = []
    for codes in (*histories.categories.numpy().T, histories.item.numpy()):  # coarsest first
        first = first.copy()
        first[1:] |= codes[1:] != codes[:-1]
        starts.append(np.maximum.accumulate(np.where(first, index, 0)))
    return starts[::-1]


def _run_ends(start: IntArray) -> IntArray:
    """Last event of every event's run, ``(N,)``."""
    index = np.arange(start.size)
    is_end = np.append(start[1:] == index[1:], True)
    return np.minimum.accumulate(np.where(is_end, index, start.size)[::-1])[::-1]


def _closed_ends(start: IntArray, offsets: IntArray) -> BoolArray:
    """Mark the last event of every run that is followed by another run of the same history, ``(N,)``."""
    ends = np.zeros(start.size, dtype=bool)
    ends[:-1] = start[1:] == np.arange(1, start.size)
    ends[offsets[1:] - 1] = False
    return ends


@dataclass(frozen=True)
class _Chain:
    """What the steps of all levels share: histories and queries."""

    offsets: IntArray
    session: IntArray
    asked: IntArray

    def level(
        self,
        ended: BoolArray,
        start: IntArray,
        ended_below: BoolArray | None,
        interval: IntArray,
        dwell: IntArray,
        open_dwell: IntArray,
    ) -> LevelSteps:
        """Lay out one level from the mark of its closed ends ``(N,)`` and the start of every event's run ``(N,)``."""
        events = np.flatnonzero(ended)
        count = _count_before(ended)
        below = events[:0] if ended_below is None else _count_before(ended_below)[events]
        return LevelSteps(
            events=torch.from_numpy(events),
            lengths=torch.from_numpy(np.diff(count[self.offsets])),
            below=torch.from_numpy(below),
            interval=torch.from_numpy(interval[events]),
            dwell=torch.from_numpy(dwell[events]),
            first=torch.from_numpy(count[self.offsets[self.session[self.asked]]]),
            before=torch.from_numpy(count[start[self.asked]]),
            open_dwell=torch.from_numpy(open_dwell),
        )


def _count_before(mark: BoolArray) -> IntArray:
    """Count the marked events before each place, ``(N + 1,)``; at a marked event this is its own index."""
    return np.concatenate([[0], np.cumsum(mark)])
