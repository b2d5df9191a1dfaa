"""What sessions have put into popularity themselves, against plain loops."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hup.models.hup.mixture.own_counts import OwnRuns

SIZE = 4
# Codes -1 and 4 are of none that training knows; equal neighbours are one run.
SESSIONS = st.lists(st.lists(st.integers(-1, SIZE), min_size=1, max_size=9), min_size=1, max_size=5)


@given(sessions=SESSIONS, asked=st.lists(st.integers(0, 4), min_size=1, max_size=6), others=st.integers(0, 2))
def test_what_is_left_of_popularity_is_of_other_sessions(sessions, asked, others):
    asked = [session % len(sessions) for session in asked]
    runs = [[code for code, _ in groupby(session) if 0 <= code < SIZE] for session in sessions]
    counts = np.asarray([sum(run.count(code) for run in runs) + others for code in range(SIZE)], dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum([len(session) for session in sessions])])
    own = OwnRuns.of(counts, np.asarray([code for session in sessions for code in session]), offsets)
    left = [[counts[code] - run.count(code) for code in range(SIZE)] for run in runs]

    query, code, of_others = own.of_queries(np.asarray(asked))
    expected = [
        (place, code, left[session][code]) for place, session in enumerate(asked) for code in set(runs[session])
    ]
    assert sorted(zip(query.tolist(), code.tolist(), of_others.tolist(), strict=True)) == sorted(expected)
    for value in range(-1, SIZE + 1):
        of_value = own.left(np.asarray(asked), np.full(len(asked), value))
        assert of_value.tolist() == [left[session][value] if 0 <= value < SIZE else 0 for session in asked]
