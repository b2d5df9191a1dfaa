"""The best of many rows: their order, what is equal, and what may not come."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.recommender import best as module
from hup.recommender.best import best_codes, best_columns, best_of_one, candidate_scores, in_order_of_events
from hup.recommender.candidates import Scores
from hup.sessions.batches import Histories


def plain(row: list[float], k: int) -> tuple[list[int], list[float]]:
    """The same by sorting: of equal ones the first, and none that is minus infinity."""
    order = sorted((-score, place) for place, score in enumerate(row) if score != -float("inf"))[:k]
    return [place for _, place in order], [-score for score, _ in order]


@given(
    rows=st.integers(1, 12).flatmap(
        lambda m: st.lists(
            st.lists(st.sampled_from([-float("inf"), 0.0, 0.5, 1.0, 2.0]), min_size=m, max_size=m),
            min_size=1,
            max_size=6,
        )
    ),
    k=st.integers(1, 15),
    cells=st.sampled_from([1, 1 << 24]),
)
def test_the_best_are_those_that_sorting_finds(rows, k, cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CELLS_PER_BLOCK", cells)
        found = best_columns(torch.tensor(rows), k)
    assert found.place.shape == found.score.shape == (len(rows), min(k, len(rows[0])))
    for row, place, score in zip(rows, found.place.tolist(), found.score.tolist(), strict=True):
        places, scores = plain(row, k)
        assert place == places + [-1] * (len(place) - len(places))
        assert score[: len(scores)] == scores
        assert all(one == -float("inf") for one in score[len(scores) :])


@given(
    known=st.lists(st.sampled_from([-float("inf"), 0.0, 0.5, 1.0, 2.0]), max_size=40),
    own=st.lists(st.sampled_from([0.0, 1.0, 2.0]), max_size=3),
    lost=st.sets(st.integers(0, 42)),
    allowed=st.none() | st.lists(st.booleans(), min_size=40, max_size=40),
    k=st.integers(1, 50),
    compiled=st.booleans(),
)
def test_the_best_of_one_row_are_those_that_sorting_finds(known, own, lost, allowed, k, compiled):
    gone = [place for place in lost if place < len(known) + len(own)]
    mask = None if allowed is None else torch.tensor(allowed[: len(known)], dtype=torch.bool)
    given = torch.tensor(known), torch.tensor(own)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(module, "load", lambda name: None)
        places, scores = best_of_one(*given, gone, mask, k)
    row = [
        -float("inf") if place in lost or (place < len(known) and allowed and not allowed[place]) else score
        for place, score in enumerate(known + own)
    ]
    assert (list(places), list(scores)) == plain(row, k)
    assert [one.tolist() for one in given] == [known, own], "what was given is not changed"


def test_no_columns_are_no_candidates():
    assert best_columns(torch.zeros(3, 0), 5).place.shape == (3, 0)


def histories() -> Histories:
    """Two sessions; 9 and 7 are codes beyond a vocabulary of 4, which the first meets in this order."""
    item = torch.tensor([9, 1, 7, 9, 0, 2, 3])
    nothing = torch.full((7,), float("nan"))
    return Histories(torch.tensor([0, 5, 7]), item, torch.zeros(7, 1, dtype=torch.long), item * 0, nothing, nothing)


def scores() -> Scores:
    return Scores(
        torch.tensor([[5.0, 4, 3, 2], [1, 1, 1, 1]]),
        torch.tensor([[3.0, 3], [9, 9]]),
        torch.tensor([[7, 9], [-1, -1]]),
    )


def test_own_codes_stand_as_they_were_met():
    ordered = in_order_of_events(scores(), histories(), "item")
    assert ordered.own_codes.tolist() == [[9, 7], [-1, -1]]
    other = Scores(scores().known, torch.tensor([[3.0, 4], [9, 9]]), torch.tensor([[9, 7], [-1, -1]]))
    assert in_order_of_events(other, histories(), "item").own.tolist()[0] == [3, 4]


def ranked(excluded: list[int], k: int = 9, **options: object) -> list[list[int]]:
    ordered = in_order_of_events(scores(), histories(), "item")
    values = candidate_scores(ordered, torch.tensor(excluded), **options)
    found = best_codes(values, ordered.own_codes, k).place.tolist()
    return [[code for code in row if code >= 0] for row in found]


def test_padding_is_no_candidate_and_known_codes_stand_first_among_equals():
    assert ranked([-1, -1]) == [[0, 1, 2, 9, 7, 3], [0, 1, 2, 3]]
    assert ranked([-1, -1], k=4) == [[0, 1, 2, 9], [0, 1, 2, 3]]


def test_what_is_excluded_does_not_come():
    assert ranked([9, 2]) == [[0, 1, 2, 7, 3], [0, 1, 3]]


def test_what_is_not_allowed_does_not_come_known_or_not():
    allowed = torch.tensor([True, False, True, False, True, True, True, True, True, False])
    assert ranked([-1, -1], allowed=allowed) == [[0, 2, 7], [0, 2]]


def test_what_was_seen_does_not_come_nor_does_anything_of_the_session_that_is_not_known():
    assert ranked([0, 3], seen=(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 9, 2, 3]))) == [[2, 3], [0, 1]]
