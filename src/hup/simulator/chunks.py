"""Chunks of sessions as flat NumPy arrays: what the writers write and what tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.simulator.catalogue import Catalogue, build_catalogue
from hup.simulator.config import CHUNK_SESSIONS, SimulatorConfig
from hup.simulator.patterns import PatternBank, build_patterns
from hup.simulator.timing import draw_times
from hup.simulator.users import draw_arrivals
from hup.simulator.walk import walk


@dataclass(frozen=True)
class SimulatedChunk:
    """Consecutive sessions of a simulated log: S sessions with N events.

    Attributes
    ----------
    first_session, first_event : int
        Number of the chunk's first session and event in the whole log.
    offsets : (S + 1,) int64
        First event of each session.
    item : (N,) int32
        Item as an index into the catalogue.
    behavior : (N,) uint8
        0..9, an index into ``hup.behaviors.JD_BEHAVIORS``.
    interval, dwell : (N,) int32
        Seconds to the next event; seconds on the item run.
    user : (S,) int64
    start_ms : (S,) int64
        Time of each session's first event in milliseconds since 1970 UTC.
    """

    first_session: int
    first_event: int
    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    behavior: NDArray[np.uint8]
    interval: NDArray[np.int32]
    dwell: NDArray[np.int32]
    user: NDArray[np.int64]
    start_ms: NDArray[np.int64]

    @property
    def sessions(self) -> int:
        """Number of sessions S."""
        return len(self.user)

    @property
    def events(self) -> int:
        """Number of events N."""
        return len(self.item)

    def cut(self, start: int, stop: int) -> SimulatedChunk:
        """Return the sessions ``start`` to ``stop`` (of this chunk, ``stop`` not included)."""
        begin, end = int(self.offsets[start]), int(self.offsets[stop])
        return SimulatedChunk(
            first_session=self.first_session + start,
            first_event=self.first_event + begin,
            offsets=self.offsets[start : stop + 1] - begin,
            item=self.item[begin:end],
            behavior=self.behavior[begin:end],
            interval=self.interval[begin:end],
            dwell=self.dwell[begin:end],
            user=self.user[start:stop],
            start_ms=self.start_ms[start:stop],
        )

    def event_ms(self) -> NDArray[np.int64]:
        """(N,) int64 time of every event in milliseconds since 1970 UTC."""
        passed = np.cumsum(self.interval, dtype=np.int64) - self.interval
        starts = self.offsets[:-1]
        lengths = np.diff(self.offsets)
        times: NDArray[np.int64] = np.repeat(self.start_ms - 1000 * passed[starts], lengths) + 1000 * passed
        return times


def simulate_chunks(config: SimulatorConfig, catalogue: Catalogue | None = None) -> Iterator[SimulatedChunk]:
    """Yield the log chunk by chunk, in time order of the sessions.

    Each chunk has a random stream of its own, so a log's first sessions are the same however many follow.

    Parameters
    ----------
    config
        Sizes, seed and habits.
    catalogue
        The shop, if ``build_catalogue(config)`` was called already.
    """
    shop = build_catalogue(config) if catalogue is None else catalogue
    bank = build_patterns()
    first_event = 0
    for first_session in range(0, config.sessions, CHUNK_SESSIONS):
        wanted = min(CHUNK_SESSIONS, config.sessions - first_session)
        chunk = _draw_chunk(config, shop, bank, first_session, first_event, wanted)
        first_event += chunk.events
        yield chunk


def _draw_chunk(
    config: SimulatorConfig, shop: Catalogue, bank: PatternBank, first_session: int, first_event: int, wanted: int
) -> SimulatedChunk:
    """Draw a whole chunk, then cut it: its first sessions must not depend on how many are wanted."""
    key = (1, first_session // CHUNK_SESSIONS)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))
    arrivals = draw_arrivals(rng, config, shop, first_session)
    runs = walk(rng, config, shop, bank, arrivals)

    length = bank.length[runs.pattern]
    run_start = np.concatenate([[0], np.cumsum(length)])
    event_run = np.repeat(np.arange(len(length)), length)
    position = np.arange(run_start[-1]) - run_start[event_run]
    behavior = bank.behavior[runs.pattern[event_run], position]
    interval, dwell = draw_times(rng, runs, bank, event_run, behavior)

    offsets = run_start[runs.offsets][: wanted + 1]
    events = int(offsets[-1])
    return SimulatedChunk(
        first_session=first_session,
        first_event=first_event,
        offsets=offsets,
        item=runs.item[event_run[:events]].astype(np.int32),
        behavior=behavior[:events],
        interval=interval[:events],
        dwell=dwell[:events],
        user=arrivals.user[:wanted],
        start_ms=arrivals.start_ms[:wanted],
    )
