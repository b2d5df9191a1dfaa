"""Three levels of categories: each has a profile, and what neighbouring levels recommend is on one path of the tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import hup
from hup.config import Config
from hup.sessions.batches import histories_and_targets
from hup.simulator import SimulatorConfig

from ...helpers.shops import without_categories

SMALL = ["network.hidden=24", "training.epochs=10", "training.learning_rate=0.01", "embeddings.skipgram_epochs=20"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[hup.HUP, hup.Dataset]:
    """A model of a shop of which a third of the items has no category."""
    folder: Path = tmp_path_factory.mktemp("levels")
    hup.simulate(
        SimulatorConfig(sessions=400, items=120, levels=3, mean_events=14, seed=11), folder / "whole.txt", format="jd"
    )
    (folder / "log.txt").write_text(without_categories((folder / "whole.txt").read_text(), 3, 0.34))
    dataset = hup.prepare(folder / "log.txt", format="jd", out=folder / "dataset")
    assert min(dataset.n_train_categories) > 3
    return hup.HUP(Config.preset("paper", SMALL)).fit(dataset), dataset


def best_categories(model: hup.HUP, dataset: hup.Dataset) -> dict[int, np.ndarray]:
    """The category that each test session is recommended first, by level."""
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    best = {}
    for k in range(1, dataset.levels + 1):
        known = model.score(histories, f"category_{k}").known.clone()
        known[:, dataset.taxonomy.no_category[k - 1]] = -torch.inf
        best[k] = known.argmax(dim=1).numpy()
    return best


def test_profiles_of_all_levels_exist_and_differ_between_sessions(trained):
    model, dataset = trained
    assert model.levels == ("item", "category_3", "category_2", "category_1")
    names = dataset.item_names
    profiles = []
    for session in list(dataset.sessions("test"))[:10]:
        items = dataset.item[dataset.offsets[session] : dataset.offsets[session + 1]]
        profiles.append(model.profile([{"item": names[item], "behavior": "1"} for item in items]))
    for level in ("micro", *model.levels):
        vectors = np.stack([profile[level] for profile in profiles])
        assert np.isfinite(vectors).all()
        assert vectors.std(axis=0).max() > 1e-3, level


@pytest.mark.parametrize("k", [1, 2])
def test_neighbouring_levels_recommend_categories_on_one_path(trained, k):
    """Clearly more often than in any of a thousand random pairings of the sessions' answers."""
    model, dataset = trained
    best = best_categories(model, dataset)
    above, below = best[k], dataset.taxonomy.parents[k][best[k + 1]]
    assert len(set(above.tolist())) > 1
    assert len(set(best[k + 1].tolist())) > 1
    share = (above == below).mean()
    rng = np.random.default_rng(0)
    by_chance = [(rng.permutation(above) == below).mean() for _ in range(1000)]
    assert share > max(by_chance) + 0.1, (share, max(by_chance))
