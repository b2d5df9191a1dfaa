"""Pairs of item and category, counted in chunks, against counting one by one."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hup.data.tables import item_paths

N_ITEMS, N_CATEGORIES = 6, 4


@given(
    sessions=st.lists(
        st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.integers(0, N_CATEGORIES - 1)), min_size=1, max_size=6),
        max_size=12,
    ),
    seed=st.integers(0, 99),
    n_train=st.integers(0, 12),
    chunk=st.integers(1, 20),
)
def test_pairs_are_counted(sessions, seed, n_train, chunk):
    order = np.random.default_rng(seed).permutation(len(sessions))
    expected: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 10**9])
    for place, session in enumerate(order):
        for pair in sessions[session]:
            counts = expected[pair]
            counts[0] += 1
            counts[1] += place < n_train
            counts[2] = min(counts[2], place)
    events = np.array([pair for session in sessions for pair in session], np.int32).reshape(-1, 2)
    cut = SimpleNamespace(
        events=lambda: {"item_id": events[:, 0]},
        categories=lambda: events[:, 1],
        sessions=SimpleNamespace(length=np.array([len(session) for session in sessions], np.int64)),
    )
    before, item_paths.CHUNK_EVENTS = item_paths.CHUNK_EVENTS, chunk
    try:
        found = item_paths.count_pairs(cut, order, n_train, N_ITEMS, N_CATEGORIES)
    finally:
        item_paths.CHUNK_EVENTS = before
    rows = zip(found.item, found.category, found.events, found.train_events, found.first, strict=True)
    assert [tuple(map(int, row)) for row in rows] == [(*pair, *expected[pair]) for pair in sorted(expected)]
