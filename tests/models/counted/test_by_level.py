"""A model with a setting for every level: each level is that of a model that has its setting alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hup.errors import HupError
from hup.models.counted.by_level import ByLevel, ByLevelConfig
from hup.models.counted.vsknn import VSKNN, VSKNNConfig
from hup.recommender.kinds import KINDS, load, model_class
from hup.sessions.batches import histories_and_targets
from hup.training.trained import TrainedRecommender

SETTINGS = {"item": ("decay='constant'", "neighbors=5"), "category_1": ("neighbors=5", "idf=false")}


def histories(dataset):
    return histories_and_targets(dataset, np.asarray(dataset.sessions("test")))[0]


def test_every_level_is_that_of_a_model_with_its_setting(shops):
    shop = shops[3]
    model = ByLevel(ByLevelConfig(settings=SETTINGS)).fit(shop)
    given = histories(shop)
    found = []
    for level in model.levels:
        alone = VSKNN(VSKNNConfig().changed(SETTINGS.get(level, ()))).fit(shop)
        scores = model.score(given, level)
        assert torch.equal(scores.known, alone.score(given, level).known)
        found.append(not torch.equal(scores.known, VSKNN().fit(shop).score(given, level).known))
    assert found == [True, False, False, True], "settings differ where they are given"


def test_a_saved_model_scores_the_same(shops, tmp_path: Path):
    model = ByLevel(ByLevelConfig(settings=SETTINGS)).fit(shops[3])
    model.save_pretrained(tmp_path / "model")
    opened = load(tmp_path / "model")
    assert opened.config == model.config
    for level in model.levels:
        scores = [one.score(histories(shops[3]), level).known for one in (model, opened)]
        assert torch.equal(*scores)
    assert {name.partition(".")[0] for name in model.tensors()} == {"0", "1", "2"}


def test_weights_of_a_blend_are_those_of_each_level(shops):
    settings = {"item": ("weights={item=[0.6, 0.4], category=[0.5, 0.5]}",), "category_1": ("steps=1",)}
    model = ByLevel(ByLevelConfig(model="vsknn+recency", settings=settings)).fit(shops[1])
    weights = model.metrics["weights"]
    assert weights["item"] == [0.6, 0.4]
    assert weights["category_1"] in ([0.0, 1.0], [1.0, 0.0])


def test_candidates_are_handed_on(shops):
    asked = []

    def vectors(dataset):
        asked.append(dataset.fingerprint)
        return torch.randn(dataset.n_train_items, 3)

    model = ByLevel(ByLevelConfig(model="vsknn+recency", settings={"item": ("steps=2",)}))
    model.retrieval = vectors
    model.fit(shops[1])
    assert asked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "hup"}, "the levels of hup cannot have settings of their own"),
        ({"model": "gru4rec"}, "the levels of gru4rec cannot"),
        ({"model": "by-level"}, "the levels of by-level cannot"),
        ({"model": "magic"}, "no model 'magic'"),
        ({"settings": {"item": ("decay='cubic'",)}}, "decay"),
        ({"settings": {"category_9": ("k=3",)}}, "k"),
    ],
)
def test_a_wrong_setting_is_told_at_once(options, message):
    with pytest.raises(HupError, match=message):
        ByLevel(ByLevelConfig(**options))


def test_a_level_that_the_dataset_lacks_is_told(shops):
    with pytest.raises(HupError, match="settings has a level 'category_2'; levels are: item, category_1"):
        ByLevel(ByLevelConfig(settings={"category_2": ("neighbors=5",)})).fit(shops[1])


def test_settings_that_are_no_lists_are_told():
    with pytest.raises(HupError, match="settings"):
        ByLevelConfig().changed(["settings=3"])
    with pytest.raises(HupError, match="settings"):
        ByLevelConfig().changed(["settings={item='decay'}"])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != ByLevel.kind])
def test_which_kinds_have_independent_levels(kind, shops):
    """Those of a network are if it is a network a level; those of what is counted always are."""
    found = model_class(kind)
    assert found.levels_independent == (kind != "hup")
    if issubclass(found, TrainedRecommender) and found.levels_independent:
        model = found()
        model.initialise(shops[3])
        assert list(dict(model.network.named_children())) == list(model.levels)
