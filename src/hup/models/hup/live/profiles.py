"""Live profiles: fold one micro-behavior after the other into a state, and ask for profiles at any moment.

A state keeps, for every level, the end of what :class:`~hup.nn.pyramid.Closed` keeps in a batch: the state after the
last ended run. Events of the item run that is still going on wait until it ends, since only then its dwell, and the
last event's interval, are known. Both ways of computing share :meth:`Pyramid.fold` and :meth:`Pyramid.open`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor

from hup.models.hup.live.state import EVENTS_KEPT, EarlierRun, ItemRun, OpenRun, ProfileState, packed
from hup.nn.pyramid import Closed, LevelProfile, Opened, Pyramid
from hup.recommender.vocabulary import Seen, SessionReader, Vocabulary, item_runs
from hup.sessions.batches import Histories
from hup.sessions.events import Event, between, check_now, dwell_until, interval_until, intervals, seconds
from hup.sessions.levels import UNKNOWN, Buckets, LevelSteps, PyramidSteps, milliseconds, number_of_bucket


@dataclass(frozen=True, eq=False)
class LiveProfiles:
    """Folds events into states and makes profiles of them.

    Parameters
    ----------
    network : Pyramid
        In evaluation mode.
    vocabulary : Vocabulary
    buckets : Buckets
    most_runs : int
        Item runs that a state keeps, the latest.
    attends : bool
        Whether profiles are made of the outputs of all ended steps; otherwise the last one of each level is kept.
    """

    network: Pyramid
    vocabulary: Vocabulary
    buckets: Buckets
    most_runs: int
    attends: bool

    @cached_property
    def digest(self) -> str:
        """SHA-256 of weights and names, by which a state knows its model."""
        digest = hashlib.sha256("\n".join(self.vocabulary.items).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def reader(self) -> SessionReader:
        """Gives events their codes."""
        return SessionReader(self.vocabulary)

    def start(self, earlier: Sequence[Sequence[Event]] = ()) -> ProfileState:
        """State at the beginning of a session, of a user who had other sessions before, oldest first."""
        none = torch.zeros(0, self.network.hidden_size)
        empty = Closed(none, none, torch.zeros(0, dtype=torch.long))
        depth = self.vocabulary.levels
        return ProfileState(
            self.digest,
            closed=(empty,) * len(self.network.level_names),
            steps=((),) * (depth + 2),
            run_dwell=(0,) * depth,
            earlier=tuple(
                run
                for ago, one in zip(range(len(earlier), 0, -1), earlier, strict=True)
                for run in self._earlier_runs(one, ago)
            ),
        )

    def _earlier_runs(self, session: Sequence[Event], ago: int) -> Iterator[EarlierRun]:
        """Item runs of an earlier session."""
        items = self.reader.items(session)
        for run, following in item_runs(session):
            told = run[-1].dwell
            known = UNKNOWN if told is None else milliseconds(told)
            dwell = known if following is None else dwell_until(run, following)
            behaviors = [self.reader.behavior(event) for event in run]
            counts = tuple(behaviors.count(code) for code in range(len(self.vocabulary.behaviors)))
            name = run[0].item
            yield EarlierRun(ItemRun(name, items[name], len(run), dwell, counts), ago, session[-1].timestamp)

    def state(self, session: Iterable[Event], earlier: Sequence[Sequence[Event]] = ()) -> ProfileState:
        """Fold a whole session, oldest event first."""
        return reduce(self.update, session, self.start(earlier))

    def update(self, state: ProfileState, event: Event) -> ProfileState:
        """Fold one event in; when it begins a new item run, the one before it is closed at every level it ends."""
        behavior, run = self.reader.behavior(event), state.open_run
        log = (*state.log, packed(event))[-EVENTS_KEPT:]
        latest = state.latest if event.timestamp is None else event.timestamp
        if run is not None and run.first.item == event.item:
            return replace(state, open_run=run.with_event(event, behavior), latest=latest, log=log)
        began = event.timestamp if run is None else state.began
        items = self.reader.meet(state.items, event)
        seen = items[event.item]
        if run is not None:
            state = self._close(state, run, event, seen)
        open_run = OpenRun.of(event, behavior, len(self.vocabulary.behaviors))
        kept = items if self.attends else {run.item: run.seen for run in state.runs}
        items = {name: other for name, other in kept.items() if name != event.item} | {event.item: seen}
        return replace(state, open_run=open_run, items=items, began=began, latest=latest, log=log)

    def profile(
        self, state: ProfileState, now: float | None, levels: Sequence[str] | None = None
    ) -> dict[str, LevelProfile]:
        """Profiles at a moment; ``now`` is on the clock of the events' timestamps, None = not known."""
        histories, steps = self._open_run(state, now)
        with torch.inference_mode():
            return self.network.open(histories, steps, state.closed, levels)

    def run_open(self, state: ProfileState, now: float | None) -> list[Opened]:
        """Give the outputs of every level at a moment, as :meth:`Pyramid.run_open` gives them."""
        histories, steps = self._open_run(state, now)
        with torch.inference_mode():
            return self.network.run_open(histories, steps, state.closed)

    def _open_run(self, state: ProfileState, now: float | None) -> tuple[Histories, PyramidSteps]:
        run = state.begun
        check_now(now, run.events[-1])
        now = None if now is None else seconds(now, "now", signed=True)
        histories, times = self._histories(state, run), intervals(run.events, between(run.events[-1], now))
        dwell = run.elapsed(now)
        open_dwell = [dwell, dwell, *(dwell if dwell < 0 else dwell + so_far for so_far in state.run_dwell)]
        n = len(run.events)
        n_closed = dict(zip(self.network.layout, (len(closed.signal) for closed in state.closed), strict=True))
        steps = PyramidSteps(
            queries=torch.tensor([n - 1]),
            open_events=torch.arange(n),
            open_lengths=torch.tensor([n]),
            open_interval=self._interval_buckets(times),
            levels=tuple(
                _no_closed_steps(n_closed.get(layout, 0), self._dwell_bucket(time))
                for layout, time in enumerate(open_dwell)
            ),
        )
        return histories, steps

    def _close(self, state: ProfileState, run: OpenRun, following: Event, next_seen: Seen) -> ProfileState:
        """End the open item run because ``following`` begins another one."""
        name, seen = run.first.item, state.items[run.first.item]
        dwell = run.dwell_until(following)
        interval = self._interval_buckets(intervals(run.events, interval_until(run.events[-1], following)))
        n, last = len(run.events), torch.tensor([len(run.events) - 1])
        steps = [_closed_steps(torch.arange(n), interval, self._dwell_bucket(dwell).expand(n), below=0)]
        steps.append(_closed_steps(last, interval[-1:], self._dwell_bucket(dwell), below=n - 1))
        run_dwell = []
        for k, so_far in zip(range(self.vocabulary.levels, 0, -1), state.run_dwell, strict=True):
            total = so_far + max(dwell, 0)
            # A category run ends with its own code's change, or with that of a coarser level.
            ended = seen.path[:k] != next_seen.path[:k]
            at = last if ended else last[:0]
            steps.append(_closed_steps(at, interval[-1:][: len(at)], self._dwell_bucket(total)[: len(at)], below=0))
            run_dwell.append(0 if ended else total)
        none = torch.tensor([], dtype=torch.long)
        layout = PyramidSteps(none, none, none, none, tuple(steps))
        with torch.inference_mode():
            before = [_last_state(closed) for closed in state.closed]
            new = self.network.fold(self._histories(state, run), layout, before)
        first = None if self.attends else -1  # of the steps that are kept
        return replace(
            state,
            closed=tuple(_joined(old, more, first) for old, more in zip(state.closed, new, strict=True)),
            steps=tuple((*old, *(name,) * len(of.events))[first:] for old, of in zip(state.steps, steps, strict=True)),
            run_dwell=tuple(run_dwell),
            runs=(*state.runs, ItemRun(name, seen, run.n_events, dwell, run.behaviors))[-self.most_runs :],
        )

    def _histories(self, state: ProfileState, run: OpenRun) -> Histories:
        """Lay out the open item run as a batch of one; its times are in the steps, not here."""
        seen, n = state.items[run.first.item], len(run.events)
        not_here = torch.full((n,), math.nan)
        return Histories(
            offsets=torch.tensor([0, n]),
            item=torch.full((n,), seen.code),
            categories=torch.tensor([seen.path] * n).view(n, self.vocabulary.levels),
            behavior=torch.tensor([self.reader.behavior(event) for event in run.events]),
            interval=not_here,
            dwell=not_here,
        )

    def _interval_buckets(self, times: Sequence[int]) -> Tensor:
        return torch.from_numpy(number_of_bucket(np.asarray(times), self.buckets.interval))

    def _dwell_bucket(self, time: int) -> Tensor:
        return torch.from_numpy(number_of_bucket(np.asarray([time]), self.buckets.dwell))


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


def _joined(old: Closed, new: Closed, first: int | None) -> Closed:
    """Put new steps behind old ones, and keep those from ``first`` on."""
    if first is not None and len(new.signal):
        old = Closed(old.hidden[:0], old.cell[:0], old.signal[:0])
    parts = ((old.hidden, new.hidden), (old.cell, new.cell), (old.signal, new.signal))
    return Closed(*(torch.cat(part)[first:] for part in parts))
