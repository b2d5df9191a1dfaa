"""Calibration: perfect, overconfident and empty predictions; and of a model that gives probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hup
from hup.config import Config
from hup.evaluation.calibration import LISTED, calibration, reliability
from hup.recommender.candidates import LevelScores, Scores
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories


def test_probabilities_that_come_true_as_often_as_they_say_have_no_error():
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    found = reliability(probability, rng.random(200_000) < probability)
    assert found is not None
    assert found.error < 0.01
    assert [one.probability for one in found.bins] == sorted(one.probability for one in found.bins)
    assert sum(one.count for one in found.bins) == 200_000


def test_the_error_of_the_overconfident_is_how_much_they_are():
    hit = np.arange(1000) % 2 == 0
    found = reliability(np.full(1000, 0.9), hit)
    assert found is not None
    assert found.error == pytest.approx(0.4, abs=0.02)


def test_nothing_predicted_is_no_calibration():
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)) is None


def test_few_predictions_have_fewer_bins():
    found = reliability(np.asarray([0.2, 0.4]), np.asarray([False, True]))
    assert found is not None
    assert [one.count for one in found.bins] == [1, 1]


def test_every_level_of_a_mixture_is_judged(tmp_path):
    hup.simulate(hup.SimulatorConfig(sessions=120, items=60, levels=2, mean_events=10, seed=2), tmp_path / "log.txt")
    dataset = hup.prepare(tmp_path / "log.txt", format="jd", out=tmp_path / "dataset")
    changes = ["network.hidden=6", "training.epochs=1", "embeddings.skipgram_epochs=1"]
    model = hup.HUP(Config.preset("best", changes)).fit(dataset)
    assert model.gives_probabilities
    assert not hup.HUP("paper").gives_probabilities
    sessions = np.asarray(dataset.sessions("test"))
    found = calibration(model, dataset, sessions)
    assert found.keys() == set(model.levels)
    assert sum(one.count for one in found["item"].bins) == LISTED * len(sessions)
    for level, of in found.items():
        assert 0 <= of.error <= 1, level


class EverySessionAlike:
    """Gives every session the same probabilities."""

    levels = ("item", "category_1")

    def __init__(self, dataset: hup.Dataset) -> None:
        self.vocabulary = Vocabulary.of(dataset)

    def scores(self, histories: Histories) -> LevelScores:
        return LevelScores(lambda level: self.score(histories, level))

    def score(self, histories: Histories, level: str) -> Scores:
        size = self.vocabulary.size(level)
        known = torch.full((len(histories), size), 1 / size)
        return Scores(known, torch.zeros(len(histories), 0), torch.zeros(len(histories), 0, dtype=torch.long))


def test_no_category_is_no_candidate_and_makes_all_of_them_wrong(tmp_path):
    # Two categories and none, a third of the targets each.
    lines = [f"a{n}+5+A+1+1 b{n}+5+{('A', 'B', '(none)')[n % 3]}+1+1" for n in range(90)]
    (tmp_path / "log.txt").write_text("\n".join(lines) + "\n")
    dataset = hup.prepare(tmp_path / "log.txt", format="jd", out=tmp_path / "dataset", shares=(0.5, 0.0, 0.5))
    model = EverySessionAlike(dataset)
    assert model.vocabulary.no_category[0] >= 0
    sessions = np.asarray(dataset.sessions("test"))
    found = calibration(model, dataset, sessions)["category_1"]
    assert sum(one.count for one in found.bins) == 2 * len(sessions)
    assert found.error == pytest.approx(0, abs=0.05)  # a third for each of both, and each is right in a third
