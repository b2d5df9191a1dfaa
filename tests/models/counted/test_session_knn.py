"""What all session-kNN have in common: a folder that holds the whole model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hup.models.counted.stan import STAN, STANConfig
from hup.models.counted.vsknn import VSKNN, SessionKNN, VSKNNConfig
from hup.recommender.kinds import load

from ...helpers.neighbor_sessions import histories, log_of


@pytest.mark.parametrize(
    "model", [VSKNN(VSKNNConfig(neighbors=2, newest=3)), STAN(STANConfig(neighbors=2, session_decay=0.5))]
)
def test_a_saved_model_scores_the_same(model: SessionKNN, tmp_path: Path):
    model.fit(log_of([[1, 3, 1], [2, 0], [4, 5, 0], [0, 1]]))
    model.save_pretrained(tmp_path / "model")
    opened = load(tmp_path / "model")
    assert isinstance(opened, type(model))
    assert opened.config == model.config
    for level in model.levels:
        rows = histories([[1, 0, 9], [5]])
        assert torch.equal(opened.score(rows, level).known, model.score(rows, level).known)
