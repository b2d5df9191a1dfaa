from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.models.boosted import ranker as module
from hup.models.boosted.groups import Groups
from hup.models.boosted.options import LightGBMConfig
from hup.models.boosted.ranker import Ranker

SMALL = LightGBMConfig(trees=30, patience=5, min_data_in_leaf=5, learning_rate=0.3)


def groups(seed: int, n: int = 40, ends: int = 40, noise: float = 0.3) -> Groups:
    """Queries of 6 candidates, of whom that with the highest first feature comes next, mostly."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6, 3)).astype(np.float32)
    is_next = np.zeros((n, 6), dtype=bool)
    is_next[np.arange(n), (features[:, :, 0] + noise * rng.normal(size=(n, 6))).argmax(axis=1)] = True
    return Groups(
        ["good", "bad one", "bad two"], features.reshape(-1, 3), is_next.ravel(), np.full(n, 6), np.arange(n) < ends
    )


@pytest.fixture(scope="module")
def grown() -> Ranker:
    return Ranker.of([groups(1), groups(2)], [groups(3)], SMALL, 5)


def test_what_tells_the_answer_is_found(grown):
    asked = groups(4)
    best = grown.scores(asked.features).reshape(-1, 6).argmax(axis=1)
    assert (asked.is_next.reshape(-1, 6).argmax(axis=1) == best).mean() > 0.6


def test_the_seed_decides(grown):
    again = Ranker.of([groups(1), groups(2)], [groups(3)], SMALL, 5)
    assert torch.equal(again.tensor(), grown.tensor())
    other = Ranker.of([groups(1), groups(2)], [groups(3)], SMALL.changed(["seed=7"]), 5)
    assert not torch.equal(other.tensor(), grown.tensor())


def test_what_is_restored_scores_the_same(grown):
    again = Ranker.restored(grown.tensor())
    features = groups(5).features
    np.testing.assert_array_equal(again.scores(features), grown.scores(features))
    assert again.n_trees == grown.n_trees
    assert torch.equal(again.tensor(), grown.tensor())
    assert grown.scores(features[:0]).shape == (0,)


def test_a_candidate_without_something_is_ranked_all_the_same(grown):
    features = groups(5).features.copy()
    features[::2, 0] = np.nan
    assert np.isfinite(grown.scores(features)).all()


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, int, int]]:
    """Groups that trees grow from, groups that judge them, and most trees."""
    calls = []
    grow = module._grown

    def noting(train, judges, config, cutoff, trees):
        calls.append((len(train), len(judges), trees))
        return grow(train, judges, config, cutoff, trees)

    monkeypatch.setattr(module, "_grown", noting)
    return calls


def test_enough_validation_sessions_decide_alone(calls):
    ranker = Ranker.of([groups(n) for n in range(7)], [groups(9)], SMALL.changed(["enough_sessions=40"]), 5)
    (first, judges, most), (again, nobody, trees) = calls
    assert (first, judges, most) == (7, 1, 30)
    assert (again, nobody) == (8, 0), "validation is learned from, too, then"
    assert ranker.n_trees == trees <= 30


def test_few_validation_sessions_are_helped_by_the_late_part_of_training_both_learned_from_then(calls):
    train = [groups(n, noise=3) for n in range(7)]
    ranker = Ranker.of(train, [groups(9, noise=3)], SMALL.changed(["enough_sessions=60"]), 5)
    (first, judges, most), (again, nobody, trees) = calls
    assert (first, judges, most) == (6, 2, 30)
    assert (again, nobody) == (8, 0)
    assert ranker.n_trees == trees < 30, "noise is not worth many trees"


def test_at_most_two_sevenths_of_training_decide(calls):
    Ranker.of([groups(n) for n in range(7)], [], SMALL, 5)
    assert [call[:2] for call in calls] == [(5, 2), (7, 0)]
    calls.clear()
    Ranker.of([groups(n) for n in range(2)], [], SMALL, 5)
    assert [call[:2] for call in calls] == [(1, 1), (2, 0)]


@pytest.mark.parametrize("setting", ["patience=0", "patience=5"])
def test_where_nothing_decides_all_trees_grow(calls, setting):
    validation = [groups(9)] if setting == "patience=0" else []
    assert Ranker.of([groups(1)], validation, SMALL.changed([setting]), 5).n_trees == 30
    assert calls == [(1, 0, 30)]
