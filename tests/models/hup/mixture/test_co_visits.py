"""Counts of neighbours against plain loops; a session's own share is exactly what leaves the others'."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.models.hup.mixture import co_visits
from hup.models.hup.mixture.co_visits import RELATIONS, CoVisits, count_co_visits
from hup.models.hup.mixture.own_counts import OwnCoVisits

SIZE = 5
SESSIONS = st.lists(st.lists(st.integers(0, SIZE), min_size=1, max_size=9), min_size=1, max_size=5)


def flat(sessions) -> tuple[np.ndarray, np.ndarray]:
    codes = np.asarray([code for session in sessions for code in session], dtype=np.int64)
    return codes, np.concatenate([[0], np.cumsum([len(session) for session in sessions])])


def count(sessions, *, window=3, neighbors=100, with_itself=False) -> CoVisits:
    return count_co_visits(*flat(sessions), SIZE, window=window, neighbors=neighbors, with_itself=with_itself)


def expected(sessions, window: int, *, with_itself: bool) -> np.ndarray:
    counts: defaultdict[tuple[int, int, int], float] = defaultdict(float)
    for session in sessions:
        for place, first in enumerate(session):
            for distance, second in enumerate(session[place + 1 : place + 1 + window], 1):
                counts[0, first, second] += 1 / distance
                counts[1, second, first] += 1 / distance
        for first in set(session):
            for second in set(session):
                counts[2, first, second] += 1
    out = np.zeros((3, SIZE, SIZE))
    for (relation, first, second), value in counts.items():
        if max(first, second) < SIZE and (with_itself or first != second):
            out[relation, first, second] = value
    return out


def dense(counted: CoVisits) -> np.ndarray:
    return np.stack([matrix.toarray() for matrix in counted.counts])


@pytest.mark.parametrize("with_itself", [False, True])
@given(sessions=SESSIONS)
@settings(max_examples=50)
def test_counts_are_those_of_a_plain_loop(with_itself, sessions):
    counted = count(sessions, with_itself=with_itself)
    wanted = expected(sessions, 3, with_itself=with_itself)
    assert dense(counted) == pytest.approx(wanted, abs=1e-5)
    assert counted.totals == pytest.approx(wanted.sum(axis=2).T, abs=1e-5)


@pytest.mark.parametrize("neighbors", [100, 2])
def test_counting_in_blocks_changes_nothing(monkeypatch, neighbors):
    sessions = np.random.default_rng(0).integers(0, SIZE, (40, 6)).tolist()
    whole = dense(count(sessions, neighbors=neighbors))
    assert (whole > 0).sum(axis=2).max() == min(neighbors, SIZE - 1)
    monkeypatch.setattr(co_visits, "_AT_ONCE", 10)
    assert dense(count(sessions, neighbors=neighbors)) == pytest.approx(whole, abs=1e-5)


def test_nothing_to_count():
    counted = count([[SIZE, SIZE]])
    assert not dense(counted).any()
    assert not counted.totals.any()


@pytest.mark.parametrize("with_itself", [False, True])
@given(sessions=SESSIONS, which=st.integers(0, 4))
@settings(max_examples=50)
def test_without_its_own_share_a_session_sees_the_counts_of_the_others(with_itself, sessions, which):
    which %= len(sessions)
    counted = count(sessions, with_itself=with_itself)
    others = count([s for n, s in enumerate(sessions) if n != which] or [[SIZE]], with_itself=with_itself)
    own = OwnCoVisits.of(counted, *flat(sessions))
    first, second = (axis.ravel() for axis in np.meshgrid(range(SIZE), range(SIZE), indexing="ij"))
    here = {code for code in sessions[which] if code < SIZE}
    session = np.full(len(first), which)
    left = counted.looked_up(first, second) - own.of_pairs(session, first, second)
    met = np.isin(first, list(here))  # it asks of its own codes alone
    if not with_itself:
        met &= first != second
    assert left[met] == pytest.approx(others.looked_up(first, second)[met], abs=1e-5)
    codes = np.asarray(sorted(here), dtype=np.int64)
    totals = counted.totals[codes] - own.of_totals(np.full(len(codes), which), codes)
    assert totals == pytest.approx(others.totals[codes], abs=1e-5)


def test_only_the_largest_are_kept_and_totals_are_theirs():
    counted = count([[0, 1, 0, 1, 2], [0, 3]], neighbors=1)
    assert (np.diff(counted.counts[0].indptr) <= 1).all()
    assert counted.totals[:, 0] == pytest.approx(np.asarray(counted.counts[0].sum(axis=1)).ravel())
    own = OwnCoVisits.of(counted, *flat([[0, 3]]))
    # 3 was dropped from the row of 0, so there is nothing of it to take away.
    assert own.of_totals(np.asarray([0]), np.asarray([0]))[0, 0] == 0


@pytest.mark.parametrize("most", [1, 2, 3])
@given(sessions=SESSIONS)
@settings(max_examples=50)
def test_of_each_row_the_largest_are_kept_and_of_equal_ones_those_with_smaller_codes(most, sessions):
    counted = dense(count(sessions, window=2, neighbors=most))
    whole = expected(sessions, 2, with_itself=False)  # of ones and halves, so that equal ones are equal to the last bit
    for relation, first in np.ndindex(len(RELATIONS), SIZE):
        row = whole[relation, first]
        kept = sorted(np.flatnonzero(row).tolist(), key=lambda code: (-row[code], code))[:most]
        assert counted[relation, first].tolist() == [row[code] if code in kept else 0 for code in range(SIZE)]


def test_codes_beyond_the_vocabulary_have_no_neighbours():
    counted = count([[0, 1], [1, 2]])
    assert not counted.looked_up(np.asarray([-1, SIZE, 0]), np.asarray([0, 0, SIZE])).any()


def test_counts_come_back_from_their_tensors():
    counted = count([[0, 1, 2, 0], [3, 1]], with_itself=True)
    again = CoVisits.restored(counted.tensors(), 3, with_itself=True)
    assert len(again.counts) == len(RELATIONS)
    assert np.array_equal(dense(again), dense(counted))
    assert again.totals == pytest.approx(counted.totals)
