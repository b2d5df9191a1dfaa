"""HUP learns from real event tables with ragged trees, and answers at every level."""

from __future__ import annotations

import math

import pytest

from hup.config import Config
from hup.data.prepare import prepare
from hup.data.taxonomy import NO_CATEGORY
from hup.evaluation.protocol import evaluate
from hup.models.hup.model import HUP

pytestmark = pytest.mark.slow
LOGS = {"rees46": ("rees46/events_2019_oct_17k.csv", 3), "trivago": ("trivago/trivago_100k.parquet", 2)}


@pytest.mark.parametrize("name", LOGS)
def test_every_level_is_learnt_judged_and_recommended(name, shared_data, tmp_path):
    file, levels = LOGS[name]
    dataset = prepare(shared_data / file, map=name, out=tmp_path / "dataset")
    assert dataset.levels == levels
    model = HUP(Config.preset("paper", ["training.epochs=2", "embeddings.skipgram_epochs=3"])).fit(dataset)
    result = evaluate(model, dataset)
    wanted = {"item", *(f"category_{k}" for k in range(1, levels + 1))}
    for row in ("hup", "recency", "popularity"):
        figures = result.rows[row]
        assert wanted <= set(figures)
        for level in wanted:
            k = 20 if level == "item" else 5
            assert math.isfinite(figures[level][f"recall@{k}"])
    known = dataset.item_names[0]
    state = None
    for moment, item in enumerate((known, "never seen", known)):
        state = model.update(state, {"item": item, "behavior": dataset.behaviors[0].code, "timestamp": 9.0 * moment})
    assert set(model.profile(state, now=30.0)) == {"micro", *wanted}
    for level in wanted:
        answer = model.recommend(state, level=level, k=5, now=30.0)
        assert len(answer.ranked) == 5
        if level != "item":
            assert all(NO_CATEGORY not in found.path for found in answer.ranked)
