"""Live profiles: fold one micro-behavior after the other into a state, and ask for profiles at any moment.

A state keeps, for every level, the end of what a batch has of closed steps: the state after the last ended run. Events
of the item run that is still going on wait until it ends, since only then its dwell, and the last event's interval, are
known.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from hup.config import Config
from hup.models.hup.live.state import EVENTS_KEPT, EarlierRun, ItemRun, OpenRun, ProfileState, packed
from hup.nn.pyramid import Pyramid
from hup.nn.single import Ended, Run, SinglePyramid
from hup.recommender.vocabulary import Seen, SessionReader, Vocabulary, item_runs
from hup.sessions.events import Event, between, check_now, dwell_until, interval_until, intervals, seconds
from hup.sessions.levels import UNKNOWN, Buckets, milliseconds

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LiveProfiles:
    """Folds events into states and makes profiles of them.

    Parameters
    ----------
    network : Pyramid
    vocabulary : Vocabulary
    buckets : Buckets
    config : Config
        It says how many item runs a state keeps at most, of the session and of earlier ones, the latest. With attention
        profiles are made of the outputs of all ended steps; otherwise the last one of each level is kept.
    """

    network: Pyramid
    vocabulary: Vocabulary
    buckets: Buckets
    config: Config

    @property
    def attends(self) -> bool:
        """Whether all ended steps are kept."""
        return self.config.network.attention

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

    @cached_property
    def ends(self) -> tuple[list[float], list[float]]:
        """Upper edges of the buckets of intervals, and of dwells, in milliseconds."""
        interval, dwell = ([edge * 1000 for edge in edges] for edges in (self.buckets.interval, self.buckets.dwell))
        return interval, dwell

    @cached_property
    def pyramid(self) -> SinglePyramid:
        """The network's twin for one user at a time."""
        return SinglePyramid(self.network)

    def start(self, earlier: Sequence[Sequence[Event]] = ()) -> ProfileState:
        """State at the beginning of a session, of a user who had other sessions before, oldest first."""
        depth, most = self.vocabulary.levels, self.config.mixture.earlier
        newest = earlier[-most:] if most else ()  # each has a run at least
        runs = [
            run
            for ago, one in zip(range(len(newest), 0, -1), newest, strict=True)
            for run in self._earlier_runs(one, ago)
        ]
        return ProfileState(
            self.digest,
            ended=self.pyramid.start(),
            steps=((),) * (depth + 2),
            run_dwell=(0,) * depth,
            earlier=tuple(runs[max(0, len(runs) - most) :]),
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

    def profile(self, state: ProfileState, now: float | None, level: str) -> tuple[Floats, Floats]:
        """Profile ``(d,)`` of one level, and its attention on all steps; parameters as for :meth:`profiles`."""
        number = self.network.level_names.index(level)
        opened = self.pyramid.steps(self._open(state, now), state.ended)
        return self.pyramid.profile(number, state.ended[number], opened[number])

    def profiles(self, state: ProfileState, now: float | None) -> dict[str, Floats]:
        """Profiles of all levels.

        Parameters
        ----------
        state : ProfileState
        now : float, optional
            A moment on the clock of the events' timestamps; None = not known.
        """
        made = self.pyramid.profiles(self._open(state, now), state.ended)
        return dict(zip(self.network.level_names, made, strict=True))

    def _open(self, state: ProfileState, now: float | None) -> Run:
        """Give the open run in codes, as it stands at a moment."""
        run = state.begun
        check_now(now, run.events[-1])
        now = None if now is None else seconds(now, "now", signed=True)
        times = intervals(run.events, between(run.events[-1], now))
        dwell = run.elapsed(now)
        of_levels = [dwell, dwell, *(dwell if dwell < 0 else dwell + so_far for so_far in state.run_dwell)]
        return self._codes(state, run, times, of_levels)

    def _close(self, state: ProfileState, run: OpenRun, following: Event, next_seen: Seen) -> ProfileState:
        """End the open item run because ``following`` begins another one."""
        name, seen = run.first.item, state.items[run.first.item]
        dwell = run.dwell_until(following)
        times = intervals(run.events, interval_until(run.events[-1], following))
        # A category run ends with its own code's change, or with that of a coarser level.
        depths = range(self.vocabulary.levels, 0, -1)
        ended = [True, True, *(seen.path[:k] != next_seen.path[:k] for k in depths)]
        totals = [so_far + max(dwell, 0) for so_far in state.run_dwell]
        new = self.pyramid.steps(self._codes(state, run, times, [dwell, dwell, *totals]), state.ended, ended)
        record = ItemRun(name, seen, run.n_events, dwell, run.behaviors)
        counts = [len(run.events), *map(int, ended[1:])]
        first = None if self.attends else -1  # of the steps that are kept
        return replace(
            state,
            ended=tuple(self._kept(old, more) for old, more in zip(state.ended, new, strict=True)),
            steps=tuple((*old, *(name,) * n)[first:] for old, n in zip(state.steps, counts, strict=True)),
            run_dwell=tuple(0 if over else total for over, total in zip(ended[2:], totals, strict=True)),
            runs=(*state.runs, record)[-self.config.mixture.visits :],
        )

    def _kept(self, old: Ended, new: Ended) -> Ended:
        if self.attends:
            return old.followed_by(new)
        return new.last(1) if len(new.signal) else old

    def _codes(self, state: ProfileState, run: OpenRun, times: Sequence[int], dwell: Sequence[int]) -> Run:
        """Give the open run in codes; times in milliseconds."""
        seen, (of_interval, of_dwell) = state.items[run.first.item], self.ends
        return Run(
            seen.code,
            seen.path,
            np.array([self.reader.behavior(event) for event in run.events]),
            np.array([_bucket(time, of_interval) for time in times]),
            [_bucket(time, of_dwell) for time in dwell],
        )


def _bucket(time: int, ends: Sequence[float]) -> int:
    """Give the bucket of milliseconds its number, as :func:`hup.sessions.levels.number_of_bucket` does."""
    return 0 if time == UNKNOWN else bisect_left(ends, time) + 1
