"""Sessions for methods of neighbouring sessions: made-up ones, and what a plain method reads of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st
from torch import nan

from hup.sessions.batches import Histories

from .toy_log import toy_histories, toy_log

N_KNOWN = 7
# Items 0 … 6 are known, 7 … 9 are not; item 9 has a category that training lacks.
PATHS = np.array([[0], [0], [1], [1], [2], [2], [2], [0], [2], [3]], dtype=np.int32)
Sessions = Sequence[Sequence[int]]


def log_of(sessions: Sessions):
    return toy_log([list(session) for session in sessions], PATHS, N_KNOWN, (3,), len(sessions))


def histories(rows: Sessions) -> Histories:
    return toy_histories(rows, PATHS, seconds=nan)


def runs(codes: Sequence[int]) -> list[int]:
    return [code for n, code in enumerate(codes) if n == 0 or codes[n - 1] != code]


def codes_of(sessions: Sessions, level: str) -> list[list[int]]:
    return [runs(session if level == "item" else [int(PATHS[item, 0]) for item in session]) for session in sessions]


def last_places(codes: Sequence[int]) -> dict[int, int]:
    return {code: place for place, code in enumerate(codes)}


def sharing(
    history: list[int], training: list[list[int]], newest: int, n_known: int
) -> Iterator[tuple[int, list[int]]]:
    """The newest sessions that share a code with a history, and the shared codes, latest of the history first."""
    place = last_places(history)
    neighbors = []
    for number, session in enumerate(training):
        shared = sorted((set(place) & set(session)) & set(range(n_known)), key=lambda code: -place[code])
        if shared:
            neighbors.append((number, shared))
    yield from neighbors[-newest:]


items = st.integers(0, N_KNOWN - 1)
training_sessions = st.lists(st.lists(items, min_size=1, max_size=8), min_size=1, max_size=10)
asked = st.lists(st.lists(st.integers(0, len(PATHS) - 1), min_size=1, max_size=8), min_size=1, max_size=4)
