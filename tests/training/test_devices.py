"""Where training computes, and how precisely: all tensors follow the network's device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hup
from hup.evaluation import evaluate

from ..helpers import pretend_device
from ..helpers.several_processes import MODELS
from ..helpers.training import Notes


@pytest.mark.parametrize("name", MODELS)
def test_training_and_answers_follow_the_device(dataset, monkeypatch, tmp_path, name):
    """To the same losses and ranks, and to a model that is on the processor again."""
    here, there = Notes(), Notes()
    expected = MODELS[name]().fit(dataset, observer=here)
    ranks = evaluate(expected, dataset).ranks[expected.name]
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # the pretended tensors cannot be of inference
    monkeypatch.setattr("hup.training.loop.chosen", lambda name: torch.device(pretend_device.NAME))
    with pretend_device.PretendDevice():
        model = MODELS[name]().fit(dataset, out=tmp_path / "model", observer=there)
        assert model.device.type == "cpu"
        opened = hup.load(tmp_path / "model")
        assert opened.device.type == "cpu"
        opened.network.to(pretend_device.NAME)
        asked = evaluate(opened, dataset).ranks[model.name]
        many = opened.recommend_many(dataset, sessions="all", level="all", k=3)
    for one, other in zip(there.records, here.records, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    for level, expected_ranks in ranks.items():
        np.testing.assert_allclose(asked[level], expected_ranks)
    scores = expected.recommend_many(dataset, sessions="all", level="all", k=3)["score"]
    np.testing.assert_allclose(many["score"], scores, rtol=1e-3, atol=1e-6)
