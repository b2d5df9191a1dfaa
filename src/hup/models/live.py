"""Live profiles: fold one micro-behavior after the other into a state, and ask for profiles at any moment.

The state keeps, for every level, what :class:`~hup.nn.pyramid.Closed` keeps in a batch: the states of its ended runs.
Events of the item run that is still going on wait in ``pending`` until it ends, since only then its dwell, and the last
event's interval, are known. Both ways of computing share :meth:`Pyramid.fold` and :meth:`Pyramid.open`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hup.data.batches import Histories
from hup.data.events import Event, seconds
from hup.data.levels import Buckets, LevelSteps, PyramidSteps, milliseconds, number_of_bucket
from hup.data.taxonomy import extended_path
from hup.errors import HupError
from hup.models.vocabulary import Vocabulary
from hup.nn.pyramid import Closed, LevelProfile, Pyramid

Path = tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """An item of a live session: its code, beyond the vocabulary if unknown, and its path in codes and in names."""

    code: int
    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class ProfileState:
    """All that a live profile remembers of a user; immutable, made by :meth:`HUP.update`.

    Attributes
    ----------
    closed : tuple of Closed
        Ended runs of every level, bottom first.
    pending : tuple of Event
        Events of the item run that is still going on.
    run_dwell : tuple of int
        For category_K … category_1: milliseconds spent on the ended item runs of the category run still going on.
    items : dict of str to Seen
        Every item of the session by name, in order of its last run.
    unknown : dict
        Codes given to category paths that the vocabulary lacks.
    runs : tuple of tuple of str
        For item, category_K … category_1: last item of every ended run, in the order of ``closed``.
    """

    closed: tuple[Closed, ...]
    pending: tuple[Event, ...] = ()
    run_dwell: tuple[int, ...] = ()
    items: dict[str, Seen] = field(default_factory=dict)
    unknown: dict[tuple[str, ...], int] = field(default_factory=dict)
    runs: tuple[tuple[str, ...], ...] = ()

    def run_items(self, number: int) -> tuple[str, ...]:
        """Last items of all runs of a level, the open one last; level 0 = item, 1 = category_K and so on."""
        return (*self.runs[number], self.pending[-1].item)


class LiveProfiles:
    """Folds events into states and makes profiles of them.

    Parameters
    ----------
    network : Pyramid
        In evaluation mode.
    vocabulary : Vocabulary
    buckets : Buckets
    """

    def __init__(self, network: Pyramid, vocabulary: Vocabulary, buckets: Buckets) -> None:
        self.network, self.vocabulary, self.buckets = network, vocabulary, buckets

    def start(self) -> ProfileState:
        """State of a user who has done nothing yet."""
        none = torch.zeros(0, self.network.hidden_size)
        empty = Closed(none, none, torch.zeros(0, dtype=torch.long))
        depth = self.vocabulary.levels
        return ProfileState((empty,) * len(self.network.level_names), run_dwell=(0,) * depth, runs=((),) * (depth + 1))

    def update(self, state: ProfileState, event: Event) -> ProfileState:
        """Fold one event in; when it begins a new item run, the one before it is closed at every level it ends."""
        state = self._meet(state, event)
        if state.pending and state.pending[-1].item == event.item:
            return replace(state, pending=(*state.pending, event))
        if state.pending:
            state = self._close(state, event)
        seen = state.items[event.item]
        items = {name: other for name, other in state.items.items() if name != event.item} | {event.item: seen}
        return replace(state, pending=(event,), items=items)

    def profile(
        self, state: ProfileState, now: float | None, levels: Sequence[str] | None = None
    ) -> dict[str, LevelProfile]:
        """Profiles at a moment; ``now`` is on the clock of the events' timestamps, None = not known."""
        _check_now(now, state.pending[-1])
        now = None if now is None else seconds(now, "now", signed=True)
        histories, intervals = self._pending(state), _intervals(state.pending, _interval_at(state.pending[-1], now))
        dwell = _elapsed(state.pending, now)
        open_dwell = [dwell, dwell, *(dwell if dwell < 0 else dwell + so_far for so_far in state.run_dwell)]
        n = len(state.pending)
        steps = PyramidSteps(
            queries=torch.tensor([n - 1]),
            open_events=torch.arange(n),
            open_lengths=torch.tensor([n]),
            open_interval=self._interval_buckets(intervals),
            levels=tuple(
                _no_closed_steps(len(closed.signal), self._dwell_bucket(time))
                for closed, time in zip(state.closed, open_dwell, strict=True)
            ),
        )
        with torch.inference_mode():
            return self.network.open(histories, steps, state.closed, levels)

    def histories(self, sessions: Iterable[Sequence[Event]], now: Sequence[float | None] | None = None) -> Histories:
        """Lay out whole sessions, none of them empty, as a batch; the twin of folding them event by event."""
        rows: dict[str, list[Any]] = {"item": [], "path": [], "behavior": [], "interval": [], "dwell": []}
        lengths = []
        for number, session in enumerate(sessions):
            state = ProfileState(())
            moment = None if now is None else now[number]
            for event in session:
                state = self._meet(state, event)
            for run, following in _item_runs(session):
                last = _interval_at(run[-1], moment) if following is None else _interval_until(run[-1], following)
                dwell = _elapsed(run, moment) if following is None else _dwell_until(run, following)
                rows["interval"] += _intervals(run, last)
                rows["dwell"] += [dwell] * len(run)
            rows["item"] += [state.items[event.item].code for event in session]
            rows["path"] += [state.items[event.item].path for event in session]
            rows["behavior"] += [self._behavior(event) for event in session]
            lengths.append(len(session))
        times = {key: np.array(rows[key], dtype=np.float64) / 1000 for key in ("interval", "dwell")}
        for value in times.values():
            value[value < 0] = np.nan
        return Histories(
            offsets=torch.tensor([0, *np.cumsum(lengths).tolist()]),
            item=torch.tensor(rows["item"]),
            categories=torch.tensor(rows["path"]),
            behavior=torch.tensor(rows["behavior"]),
            interval=torch.from_numpy(times["interval"].astype(np.float32)),
            dwell=torch.from_numpy(times["dwell"].astype(np.float32)),
        )

    def _close(self, state: ProfileState, following: Event) -> ProfileState:
        """End the pending item run because ``following`` begins another one."""
        run = state.pending
        dwell = _dwell_until(run, following)
        interval = self._interval_buckets(_intervals(run, _interval_until(run[-1], following)))
        path, next_path = state.items[run[-1].item].path, state.items[following.item].path
        n, last = len(run), torch.tensor([len(run) - 1])
        steps = [_closed_steps(torch.arange(n), interval, self._dwell_bucket(dwell).expand(n), below=0)]
        steps.append(_closed_steps(last, interval[-1:], self._dwell_bucket(dwell), below=n - 1))
        runs, run_dwell = [(*state.runs[0], run[-1].item)], []
        for k, so_far in zip(range(self.vocabulary.levels, 0, -1), state.run_dwell, strict=True):
            total = so_far + max(dwell, 0)
            # A category run ends with its own code's change, or with that of a coarser level.
            ended = path[:k] != next_path[:k]
            at = last if ended else last[:0]
            steps.append(_closed_steps(at, interval[-1:][: len(at)], self._dwell_bucket(total)[: len(at)], below=0))
            run_dwell.append(0 if ended else total)
            number = len(runs)
            runs.append((*state.runs[number], run[-1].item) if ended else state.runs[number])
        none = torch.tensor([], dtype=torch.long)
        layout = PyramidSteps(none, none, none, none, tuple(steps))
        with torch.inference_mode():
            before = [_last_state(closed) for closed in state.closed]
            new = self.network.fold(self._pending(state), layout, before)
        closed = tuple(_joined(old, more) for old, more in zip(state.closed, new, strict=True))
        return replace(state, closed=closed, pending=(), run_dwell=tuple(run_dwell), runs=tuple(runs))

    def _meet(self, state: ProfileState, event: Event) -> ProfileState:
        """Make sure that the state knows the event's item, with its identity and path."""
        if event.item in state.items:
            return state
        known = self.vocabulary.item_codes.get(event.item)
        if known is not None:
            path = tuple(self.vocabulary.paths[known].tolist())
            seen, unknown = Seen(known, path, self.vocabulary.category_path(len(path), path[-1])), state.unknown
        else:
            n_unknown = sum(other.code >= len(self.vocabulary.items) for other in state.items.values())
            names = extended_path(event.categories, self.vocabulary.levels)  # as a log's items get theirs
            path, unknown = self._path(names, state.unknown)
            seen = Seen(len(self.vocabulary.items) + n_unknown, path, names)
        return replace(state, items={**state.items, event.item: seen}, unknown=unknown)

    def _path(
        self, names: tuple[str, ...], unknown: Mapping[tuple[str, ...], int]
    ) -> tuple[Path, dict[tuple[str, ...], int]]:
        """Codes of a path of K names; unknown categories get codes beyond the vocabulary."""
        unknown = dict(unknown)
        codes = []
        for k in range(1, self.vocabulary.levels + 1):
            part = names[:k]
            if part in self.vocabulary.category_codes:
                codes.append(self.vocabulary.category_codes[part])
            else:
                here = sum(len(other) == k for other in unknown)
                codes.append(unknown.setdefault(part, len(self.vocabulary.categories[k - 1]) + here))
        return tuple(codes), unknown

    def _behavior(self, event: Event) -> int:
        return self.vocabulary.behavior_codes.get(event.behavior, -1)

    def _pending(self, state: ProfileState) -> Histories:
        """Lay out the pending item run as a batch of one; its times are in the steps, not here."""
        seen, n = state.items[state.pending[-1].item], len(state.pending)
        not_here = torch.full((n,), math.nan)
        return Histories(
            offsets=torch.tensor([0, n]),
            item=torch.full((n,), seen.code),
            categories=torch.tensor([seen.path] * n).view(n, self.vocabulary.levels),
            behavior=torch.tensor([self._behavior(event) for event in state.pending]),
            interval=not_here,
            dwell=not_here,
        )

    def _interval_buckets(self, times: Sequence[int]) -> Tensor:
        return torch.from_numpy(number_of_bucket(np.asarray(times), self.buckets.interval))

    def _dwell_bucket(self, time: int) -> Tensor:
        return torch.from_numpy(number_of_bucket(np.asarray([time]), self.buckets.dwell))


def _check_now(now: float | None, last: Event) -> None:
    if now is None:
        return
    seconds(now, "now", signed=True)
    if last.timestamp is None:
        raise HupError("now is given, but the session's events have no timestamps to compare it with.")
    if now < last.timestamp:
        raise HupError(f"now is {now:g}, before the session's last event at {last.timestamp:g}.")


def _item_runs(session: Sequence[Event]) -> Iterable[tuple[Sequence[Event], Event | None]]:
    """Item runs of a session, each with the event that follows it."""
    start = 0
    for end in range(1, len(session) + 1):
        if end == len(session) or session[end].item != session[start].item:
            yield session[start:end], session[end] if end < len(session) else None
            start = end


# Times below are whole milliseconds, -1 = not known, as everywhere in data.levels.


def _between(earlier: Event, later: float | None) -> int:
    if later is None or earlier.timestamp is None:
        return -1
    return milliseconds(max(later - earlier.timestamp, 0.0))


def _interval_until(event: Event, following: Event) -> int:
    """Time to the next event: what the log says of it, else the difference of timestamps."""
    return milliseconds(event.interval) if event.interval is not None else _between(event, following.timestamp)


def _interval_at(event: Event, now: float | None) -> int:
    return _between(event, now)


def _intervals(run: Sequence[Event], last: int) -> list[int]:
    return [_interval_until(event, following) for event, following in pairwise(run)] + [last]


def _dwell_until(run: Sequence[Event], following: Event) -> int:
    """Time on an item run that has ended: what the log says, else timestamps, else the sum of the log's intervals."""
    if run[-1].dwell is not None:
        return milliseconds(run[-1].dwell)
    if (elapsed := _between(run[0], following.timestamp)) >= 0:
        return elapsed
    parts = _intervals(run, _interval_until(run[-1], following))
    return -1 if min(parts) < 0 else sum(parts)


def _elapsed(run: Sequence[Event], now: float | None) -> int:
    return _between(run[0], now)


def _closed_steps(events: Tensor, interval: Tensor, dwell: Tensor, *, below: int) -> LevelSteps:
    none = events[:0]
    return LevelSteps(
        events=events,
        lengths=torch.tensor([events.numel()]),
        below=torch.full_like(events, below),
        interval=interval,
        dwell=dwell,
        first=none,
        before=none,
        open_dwell=none,
    )


def _no_closed_steps(n_closed: int, open_dwell: Tensor) -> LevelSteps:
    none = open_dwell[:0]
    first, before = torch.tensor([0]), torch.tensor([n_closed])
    return LevelSteps(none, torch.tensor([0]), none, none, none, first, before, open_dwell)


def _last_state(closed: Closed) -> tuple[Tensor, Tensor]:
    if not len(closed.hidden):
        zeros = closed.hidden.new_zeros(1, closed.hidden.shape[1])
        return zeros, zeros
    return closed.hidden[-1:], closed.cell[-1:]


def _joined(old: Closed, new: Closed) -> Closed:
    return Closed(
        torch.cat([old.hidden, new.hidden]), torch.cat([old.cell, new.cell]), torch.cat([old.signal, new.signal])
    )
