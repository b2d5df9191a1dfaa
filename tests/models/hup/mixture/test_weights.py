"""What the profile weighs: what is likeliest on the validation split, and nothing else moves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hup.data.dataset import Dataset
from hup.models.hup.mixture.weights import SHARES, STRENGTHS
from hup.sessions.batches import histories_and_targets

from ....helpers.mixtures import mixture, output_of


def log_likelihood(dataset: Dataset, model, level, share: float, strength: float) -> float:
    """Of the known targets of all validation sessions, one after the other."""
    output = output_of(model)
    place = output.network.ranked.index(level)
    output.network.weights.data[place] = torch.tensor([share, strength])
    total = 0.0
    for session in np.asarray(dataset.sessions("validation")).tolist():
        histories, targets = histories_and_targets(dataset, np.asarray([session]))
        with torch.inference_mode():
            said = output.ask(histories).alone(level).known[0]
        code = int(targets.codes(level))
        total += math.log(max(float(said[code]) / float(said.sum()), 1e-12)) if 0 <= code < len(said) else 0
    return total


def test_the_likeliest_share_and_strength_are_chosen(dataset, monkeypatch):
    monkeypatch.setattr("hup.models.hup.mixture.weights.SHARES", SHARES[::4])
    monkeypatch.setattr("hup.models.hup.mixture.weights.STRENGTHS", STRENGTHS[::3])
    model = mixture(dataset)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    model.tune(dataset)
    chosen = output_of(model).network.weights.clone()
    for name, tensor in model.network.state_dict().items():
        assert name == "weights" or torch.equal(tensor, before[name]), name
    for level, (share, strength) in zip(output_of(model).network.ranked, chosen.tolist(), strict=True):
        tried = {(a, b): log_likelihood(dataset, model, level, a, b) for a in SHARES[::4] for b in STRENGTHS[::3]}
        assert len(set(tried.values())) > 3
        mine = min(tried, key=lambda pair: abs(pair[0] - share) + abs(pair[1] - strength))
        assert tried[mine] == pytest.approx(max(tried.values()), rel=0.02), level


def test_without_a_validation_split_they_stay(dataset):
    model = mixture(dataset)
    before = output_of(model).network.weights.clone()
    split = dataset.manifest.split
    bounds = replace_bounds(split.bounds)
    manifest = dataset.manifest.model_copy(update={"split": split.model_copy(update={"bounds": bounds})})
    model.tune(replace(dataset, manifest=manifest))
    assert torch.equal(output_of(model).network.weights, before)


def replace_bounds(bounds):
    """The same bounds without a validation split."""
    return bounds.model_copy(update={"validation": (bounds.train[1], bounds.train[1])})


def test_a_model_without_profiles_has_nothing_to_choose(dataset):
    model = mixture(dataset, "mixture.profile=false")
    before = output_of(model).network.weights.clone()
    model.tune(dataset)
    assert torch.equal(output_of(model).network.weights, before)
