from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.recommender.recency import Recency
from hup.sessions.batches import Histories

from ..helpers.toy_log import toy_histories, toy_log

N_KNOWN = 8
# Item i is visited 8 - i times in training, so popularity falls with the code; 5, 6 and 7 are of one category.
PATHS = np.array([[0, 0], [0, 1], [0, 2], [1, 3], [1, 4], [2, 5], [2, 5], [2, 5], *([[9, 9]] * 4)], dtype=np.int32)


@pytest.fixture(scope="module")
def model() -> Recency:
    visits = [item for times in range(N_KNOWN, 0, -1) for item in range(times)]
    return Recency().fit(toy_log([visits], PATHS, N_KNOWN, (3, 6), 1))


def histories(*items: list[int]) -> Histories:
    return toy_histories(items, PATHS)


def ranking(model: Recency, level: str, *rows: list[int]) -> list[list[int]]:
    """Codes best first."""
    scores = model.score(histories(*rows), level)
    both = torch.cat([scores.known, scores.own.masked_fill(scores.own_codes < 0, -torch.inf)], dim=1)
    codes = torch.cat([torch.arange(scores.known.shape[1]).expand(len(rows), -1), scores.own_codes], dim=1)
    return [row[row >= 0].tolist() for row in codes.gather(1, both.argsort(dim=1, descending=True, stable=True))]


def test_own_items_by_last_occurrence_then_popularity(model):
    assert ranking(model, "item", [5, 3, 5, 5, 6, 3], [7]) == [[3, 6, 5, 0, 1, 2, 4, 7], [7, 0, 1, 2, 3, 4, 5, 6]]


def test_unknown_items_stand_among_the_own(model):
    assert ranking(model, "item", [9, 3, 11, 9, 5], [2]) == [[5, 9, 11, 3, 0, 1, 2, 4, 6, 7], [2, 0, 1, 3, 4, 5, 6, 7]]


def test_categories_by_last_event(model):
    assert ranking(model, "category_1", [3, 0, 8], [5])[0] == [9, 0, 1, 2]
    assert ranking(model, "category_2", [5, 3, 6])[0][:2] == [5, 3]


def test_missing_categories_are_passed_over(model):
    given = histories([3, 0])
    given.categories[1] = -1
    scores = model.score(given, "category_2")
    assert int(scores.known[0].argmax()) == 3
    assert scores.own.shape == (1, 0)


@given(rows=st.lists(st.lists(st.integers(0, len(PATHS) - 1), min_size=1, max_size=12), min_size=1, max_size=4))
def test_own_codes_never_tie_and_stand_above_the_rest(model, rows):
    scores = model.score(histories(*rows), "item")
    for b, row in enumerate(rows):
        own = [float(scores.known[b, code]) for code in set(row) if code < N_KNOWN]
        own += scores.own[b][scores.own_codes[b] >= 0].tolist()
        assert len(own) == len(set(own)) == len(set(row))
        others = [float(scores.known[b, code]) for code in range(N_KNOWN) if code not in row]
        assert min(own) > max(others, default=0)


def test_numbers_beyond_float32_are_kept_in_float64(model, monkeypatch):
    assert model.score(histories([1, 0]), "item").known.dtype == torch.float32
    monkeypatch.setattr("hup.recommender.recency.EXACT_IN_FLOAT32", N_KNOWN + 3)
    assert model.score(histories([1, 0]), "item").known.dtype == torch.float32
    assert model.score(histories([1, 0, 9]), "item").known.dtype == torch.float64
    assert ranking(model, "item", [1, 0, 9])[0][:3] == [9, 0, 1]
