"""Live profiles: fold one micro-behavior after the other into a state, and ask for profiles at any moment.

The state keeps, for every level, what :class:`~hup.nn.pyramid.Closed` keeps in a batch: the states of its ended runs.
Events of the item run that is still going on wait in ``pending`` until it ends, since only then its dwell, and the last
event's interval, are known. Both ways of computing share :meth:`Pyramid.fold` and :meth:`Pyramid.open`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor

from hup.nn.pyramid import Closed, LevelProfile, Opened, Pyramid
from hup.readable import Readable, Summary
from hup.recommender.vocabulary import Seen, SessionReader, UnknownPaths, Vocabulary, item_runs
from hup.sessions.batches import Histories
from hup.sessions.events import Event, between, check_now, dwell_until, elapsed, interval_until, intervals, seconds
from hup.sessions.levels import Buckets, LevelSteps, PyramidSteps, milliseconds, number_of_bucket


@dataclass(frozen=True)
class RunRecord:
    """What happened on an item run that has ended: its events, milliseconds (-1 = not known), and behaviors."""

    events: int
    dwell: int
    behaviors: tuple[int, ...]


@dataclass(frozen=True)
class EarlierRun:
    """An item run of a session that the user had before, ``ago`` sessions ago, which ended at ``ended`` seconds."""

    item: str
    seen: Seen
    record: RunRecord
    ago: int
    ended: float | None


@dataclass(frozen=True, eq=False, repr=False)
class ProfileState(Readable):
    """All that a live profile remembers of a user; immutable, made by :meth:`HUP.update`.

    Attributes
    ----------
    closed : tuple of Closed
        Ended runs of every level of the network, bottom first.
    pending : tuple of Event
        Events of the item run that is still going on.
    run_dwell : tuple of int
        For category_K … category_1: milliseconds spent on the ended item runs of the category run still going on.
    items : dict of str to Seen
        Every item of the session by name, in order of its last run.
    unknown : dict
        Codes given to category paths that the vocabulary lacks.
    runs : tuple of tuple of str
        For micro, item, category_K … category_1: the item of every ended step, or the last one of every ended run.
    records : tuple of RunRecord
        Every ended item run.
    earlier : tuple of EarlierRun
        What the user did in sessions before, oldest first.
    began, latest : float or None
        Timestamp of the first event, and the last timestamp that is known.
    model : str
        Digest of the model that made it; another one cannot read it.
    """

    closed: tuple[Closed, ...]
    pending: tuple[Event, ...] = ()
    run_dwell: tuple[int, ...] = ()
    items: dict[str, Seen] = field(default_factory=dict)
    unknown: UnknownPaths = field(default_factory=dict)
    runs: tuple[tuple[str, ...], ...] = ()
    records: tuple[RunRecord, ...] = ()
    earlier: tuple[EarlierRun, ...] = ()
    began: float | None = None
    latest: float | None = None
    model: str = ""

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same model, with the same events."""
        if not isinstance(other, ProfileState):
            return NotImplemented
        mine, theirs = ({of.name: getattr(one, of.name) for of in fields(one)} for one in (self, other))
        closed = zip(mine.pop("closed"), theirs.pop("closed"), strict=True)
        return mine == theirs and all(
            torch.equal(getattr(one, of.name), getattr(same, of.name)) for one, same in closed for of in fields(one)
        )

    __hash__ = None  # type: ignore[assignment]  # as of every value that is compared by what is in it

    def _summary(self) -> Summary:
        n_events = sum(record.events for record in self.records) + len(self.pending)
        on = self.pending[-1].item if self.pending else "nothing yet"
        before = [name for name in reversed(self.items) if name != on]
        rows = [("on", on), ("before", ", ".join(before[:5]) + (" …" if len(before) > 5 else ""))]
        if self.began is not None and self.latest is not None:
            rows.append(("time", f"{self.latest - self.began:,g} s from the first event to the last"))
        if self.earlier:
            rows.append(("earlier", f"sessions before, with visits to items: {len(self.earlier):,}"))
        title = f"Live profile: {n_events:,} events on {len(self.items):,} items, of model {self.model[:12]}"
        return Summary(title, [row for row in rows if row[1]])

    @property
    def met(self) -> dict[str, Seen]:
        """Every item by name, of the session and of earlier ones."""
        return {run.item: run.seen for run in self.earlier} | self.items

    def visited(self, layout: int) -> tuple[str, ...]:
        """Items of all steps (0 = micro) or runs (1 = item, 2 = category_K …) of a level, the open ones last."""
        pending = self.pending if layout == 0 else self.pending[-1:]
        return (*self.runs[layout], *(event.item for event in pending))


@dataclass(frozen=True, eq=False)
class LiveProfiles:
    """Folds events into states and makes profiles of them.

    Parameters
    ----------
    network : Pyramid
        In evaluation mode.
    vocabulary : Vocabulary
    buckets : Buckets
    """

    network: Pyramid
    vocabulary: Vocabulary
    buckets: Buckets

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
            (empty,) * len(self.network.level_names),
            run_dwell=(0,) * depth,
            runs=((),) * (depth + 2),
            model=self.digest,
            earlier=tuple(
                run
                for ago, one in zip(range(len(earlier), 0, -1), earlier, strict=True)
                for run in self._runs(one, ago)
            ),
        )

    def _runs(self, session: Sequence[Event], ago: int) -> Iterator[EarlierRun]:
        """Item runs of an earlier session."""
        items = self.reader.items(session)
        for run, following in item_runs(session):
            told = run[-1].dwell
            known = -1 if told is None else milliseconds(told)
            dwell = known if following is None else dwell_until(run, following)
            record = RunRecord(len(run), dwell, tuple(self.reader.behavior(event) for event in run))
            yield EarlierRun(run[0].item, items[run[0].item], record, ago, session[-1].timestamp)

    def state(self, session: Iterable[Event], earlier: Sequence[Sequence[Event]] = ()) -> ProfileState:
        """Fold a whole session, oldest event first."""
        return reduce(self.update, session, self.start(earlier))

    def update(self, state: ProfileState, event: Event) -> ProfileState:
        """Fold one event in; when it begins a new item run, the one before it is closed at every level it ends."""
        began = state.began if state.items else event.timestamp
        latest = state.latest if event.timestamp is None else event.timestamp
        state = replace(self._meet(state, event), began=began, latest=latest)
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
        histories, steps = self._open_run(state, now)
        with torch.inference_mode():
            return self.network.open(histories, steps, state.closed, levels)

    def run_open(self, state: ProfileState, now: float | None) -> list[Opened]:
        """Give the outputs of every level at a moment, as :meth:`Pyramid.run_open` gives them."""
        histories, steps = self._open_run(state, now)
        with torch.inference_mode():
            return self.network.run_open(histories, steps, state.closed)

    def _open_run(self, state: ProfileState, now: float | None) -> tuple[Histories, PyramidSteps]:
        check_now(now, state.pending[-1])
        now = None if now is None else seconds(now, "now", signed=True)
        histories, times = self._pending(state), intervals(state.pending, between(state.pending[-1], now))
        dwell = elapsed(state.pending, now)
        open_dwell = [dwell, dwell, *(dwell if dwell < 0 else dwell + so_far for so_far in state.run_dwell)]
        n = len(state.pending)
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

    def _close(self, state: ProfileState, following: Event) -> ProfileState:
        """End the pending item run because ``following`` begins another one."""
        run = state.pending
        dwell = dwell_until(run, following)
        interval = self._interval_buckets(intervals(run, interval_until(run[-1], following)))
        path, next_path = state.items[run[-1].item].path, state.items[following.item].path
        n, last = len(run), torch.tensor([len(run) - 1])
        steps = [_closed_steps(torch.arange(n), interval, self._dwell_bucket(dwell).expand(n), below=0)]
        steps.append(_closed_steps(last, interval[-1:], self._dwell_bucket(dwell), below=n - 1))
        runs = [(*state.runs[0], *(event.item for event in run)), (*state.runs[1], run[-1].item)]
        run_dwell = []
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
        record = RunRecord(n, dwell, tuple(self.reader.behavior(event) for event in run))
        return replace(
            state,
            closed=closed,
            pending=(),
            run_dwell=tuple(run_dwell),
            runs=tuple(runs),
            records=(*state.records, record),
        )

    def _meet(self, state: ProfileState, event: Event) -> ProfileState:
        items, unknown = self.reader.meet(state.items, state.unknown, event)
        return replace(state, items=items, unknown=unknown)

    def _pending(self, state: ProfileState) -> Histories:
        """Lay out the pending item run as a batch of one; its times are in the steps, not here."""
        seen, n = state.items[state.pending[-1].item], len(state.pending)
        not_here = torch.full((n,), math.nan)
        return Histories(
            offsets=torch.tensor([0, n]),
            item=torch.full((n,), seen.code),
            categories=torch.tensor([seen.path] * n).view(n, self.vocabulary.levels),
            behavior=torch.tensor([self.reader.behavior(event) for event in state.pending]),
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


def _joined(old: Closed, new: Closed) -> Closed:
    return Closed(
        torch.cat([old.hidden, new.hidden]), torch.cat([old.cell, new.cell]), torch.cat([old.signal, new.signal])
    )
