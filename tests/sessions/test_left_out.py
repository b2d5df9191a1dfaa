"""Training sessions in folds, each described by the others."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hup.sessions.left_out import newest_first, without


def test_folds_part_the_sessions_newest_first():
    assert newest_first(7, 3) == [range(4, 7), range(2, 4), range(0, 2)]
    assert newest_first(2, 5) == [range(1, 2), range(0, 1)]
    assert newest_first(0, 5) == []


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=8), st.data())
def test_the_runs_of_all_sessions_but_some_are_left(sessions, data):
    low = data.draw(st.integers(0, len(sessions)))
    left_out = range(low, data.draw(st.integers(low, len(sessions))))
    offsets = np.cumsum([0, *map(len, sessions)])
    codes = np.asarray([code for session in sessions for code in session], dtype=np.int64)
    kept, bounds = without(codes, offsets, left_out)
    expected = [session for number, session in enumerate(sessions) if number not in left_out]
    assert [kept[low:high].tolist() for low, high in itertools.pairwise(bounds)] == expected
