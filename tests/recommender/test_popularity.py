from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hup.sessions.runs as runs
from hup.errors import HupError
from hup.recommender.popularity import Popularity
from hup.sessions.batches import Histories
from hup.sessions.runs import run_counts

from ..helpers.toy_log import toy_histories, toy_log

# Items 0 … 5 under (category_1, category_2); item 5 has no known category. The last session is no training session.
PATHS = np.array([[0, 0], [0, 1], [1, 2], [0, 0], [1, 3], [-1, -1]], dtype=np.int32)
SESSIONS = [[0, 0, 1, 0], [0, 3, 3, 2], [5, 2, 2], [4, 1, 1, 4]]


def log(train: int = 3) -> Any:
    return toy_log(SESSIONS, PATHS, 6, (2, 4), train)


def histories(*items: list[int], paths: np.ndarray = PATHS) -> Histories:
    return toy_histories(items, paths)


@pytest.mark.parametrize("events_per_block", [1, 2, 5, 1_000])
def test_runs_are_counted_on_training_alone(monkeypatch, events_per_block):
    monkeypatch.setattr(runs, "EVENTS_PER_BLOCK", events_per_block)
    # 0 runs twice in the first session and once in the second, whose first event goes on with no run.
    assert run_counts(log(), "item").tolist() == [3, 1, 2, 1, 0, 1]
    assert run_counts(log(), "category_1").tolist() == [2, 2]
    assert run_counts(log(), "category_2").tolist() == [3, 1, 2, 0]


def test_more_runs_score_higher_and_equal_ones_tie():
    model = Popularity().fit(log())
    scores = model.score(histories([1], [2, 0]), "item")
    assert scores.known.shape == (2, 6)
    assert scores.known[0].tolist() == scores.known[1].tolist() == [4, 2, 3, 2, 1, 2]
    assert scores.own.shape == scores.own_codes.shape == (2, 0)


def test_what_training_never_saw_is_last():
    paths = np.concatenate([PATHS, [[7, 8]]]).astype(np.int32)
    model = Popularity().fit(log())
    for level, code in (("item", 6), ("category_1", 7), ("category_2", 8)):
        scores = model.score(histories([6, 0], [0], paths=paths), level)
        assert scores.own_codes.tolist() == [[code], [-1]]
        assert (scores.own < scores.known.min()).all()


def test_an_unknown_level_and_an_unfitted_model_are_told():
    with pytest.raises(HupError, match="has no level 'category_3'; its levels are: item, category_2, category_1"):
        Popularity().fit(log()).grades("category_3")
    with pytest.raises(HupError, match=r"is not fitted: call fit\(dataset\)"):
        Popularity().score(histories([1]), "item")
