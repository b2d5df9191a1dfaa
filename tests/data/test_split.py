"""Which sessions are for what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.prepare import check_shares
from hup.data.statistics import split_bounds


@pytest.mark.parametrize(
    ("sessions", "shares", "ends"),
    [
        (1000, (0.7, 0.1, 0.2), (700, 800)),
        (10, (0.7, 0, 0.3), (7, 7)),
        (1, (0.1, 0.1, 0.8), (1, 1)),
        (3, (1, 0, 0), (3, 3)),
    ],
)
def test_bounds(sessions, shares, ends):
    bounds = split_bounds(sessions, check_shares(shares))
    assert bounds.train == (0, ends[0])
    assert bounds.validation == ends
    assert bounds.test == (ends[1], sessions)


@given(sessions=st.integers(1, 10**7), weights=st.tuples(st.integers(1, 99), st.integers(0, 99), st.integers(0, 99)))
def test_every_session_is_in_one_part_and_training_is_not_empty(sessions, weights):
    shares = tuple(weight / sum(weights) for weight in weights)
    bounds = split_bounds(sessions, check_shares(shares))
    assert 0 == bounds.train[0] < bounds.train[1] == bounds.validation[0] <= bounds.validation[1] == bounds.test[0]
    assert bounds.test[0] <= bounds.test[1] == sessions
    assert abs(bounds.test[0] - sessions * (shares[0] + shares[1])) <= 1
