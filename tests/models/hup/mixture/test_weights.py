"""What the profile weighs: what is likeliest on the validation split, and nothing else moves."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hup.data.dataset import Dataset
from hup.models.hup.mixture.probabilities import Probabilities
from hup.models.hup.mixture.weights import DENSE, SIMILAR, STRENGTHS, TRUSTS
from hup.sessions.batches import histories_and_targets

from ....helpers.mixtures import mixture, output_of


def log_likelihood(dataset: Dataset, model, level, said_of) -> float:
    """Of all targets of validation sessions that are candidates: known ones, and those that the session was on."""
    histories, targets = histories_and_targets(dataset, np.asarray(dataset.sessions("validation")))
    with torch.inference_mode():
        said = said_of(output_of(model).ask(histories), level)
    own = dict(zip(zip(said.query.tolist(), said.code.tolist(), strict=True), said.probability.tolist(), strict=True))
    total = 0.0
    for row, code in enumerate(targets.codes(level).tolist()):
        found = float(said.known[row, code]) if 0 <= code < said.known.shape[1] else own.get((row, code))
        total += 0 if found is None else math.log(max(found, 1e-12))
    return total


def mean_of(tried: dict) -> list[float]:
    """Mean of what was tried, weighed by likelihood."""
    best = max(tried.values())
    weights = {key: math.exp(value - best) for key, value in tried.items()}
    total = sum(weights.values())
    return [sum(w * key[axis] for key, w in weights.items()) / total for axis in range(len(next(iter(tried))))]


def test_what_was_tried_is_weighed_by_its_likelihood(dataset, monkeypatch):
    monkeypatch.setattr("hup.models.hup.mixture.weights.DENSE", DENSE[::4])
    monkeypatch.setattr("hup.models.hup.mixture.weights.SIMILAR", SIMILAR[::4])
    monkeypatch.setattr("hup.models.hup.mixture.weights.STRENGTHS", STRENGTHS[::3])
    monkeypatch.setattr("hup.models.hup.mixture.weights.TRUSTS", TRUSTS[::5])
    model = mixture(dataset)
    network = output_of(model).network
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    model.tune(dataset)
    chosen = network.weights.clone()
    for name, tensor in model.network.state_dict().items():
        assert name == "weights" or name.startswith("similar.") or torch.equal(tensor, before[name]), name
    for place, level in enumerate(network.ranked):
        tried = {}
        similar = SIMILAR[::4] if level == "item" else SIMILAR[:1]
        for tuple_ in itertools.product(DENSE[::4], similar, STRENGTHS[::3]):
            if tuple_[0] + tuple_[1] <= 1:
                network.weights.data[place, :3] = torch.tensor(tuple_)
                tried[tuple_] = log_likelihood(dataset, model, level, Probabilities.pooled)
        assert len(set(tried.values())) > 3
        assert chosen[place, :3].tolist() == pytest.approx(mean_of(tried), abs=1e-3), level
        network.weights.data.copy_(chosen)
    assert chosen[0, 3].item() == 0  # the order waits for the end of training
    coarsest = network.ranked[-1]  # the only one whose probabilities the other levels do not change any more
    assert coarsest.is_category
    tried = {}
    for trust in TRUSTS[::5]:
        network.weights.data[-1, 4] = trust
        tried[trust,] = log_likelihood(dataset, model, coarsest, Probabilities.of)
    assert chosen[-1, 4].item() == pytest.approx(mean_of(tried)[0], abs=1e-3)


def test_without_a_validation_split_they_stay(dataset):
    model = mixture(dataset)
    before = output_of(model).network.weights.clone()
    before[:, 3] = 0
    split = dataset.manifest.split
    bounds = replace_bounds(split.bounds)
    manifest = dataset.manifest.model_copy(update={"split": split.model_copy(update={"bounds": bounds})})
    model.tune(replace(dataset, manifest=manifest))
    assert torch.equal(output_of(model).network.weights, before)


def replace_bounds(bounds):
    """The same bounds without a validation split."""
    return bounds.model_copy(update={"validation": (bounds.train[1], bounds.train[1])})


def test_a_model_without_profiles_chooses_how_far_to_trust_items(dataset):
    model = mixture(dataset, "mixture.profile=false")
    weights = output_of(model).network.weights
    before = weights.clone()
    model.tune(dataset)
    assert torch.equal(weights[:, :3], before[:, :3])
    assert not torch.equal(weights[1:, 4], before[1:, 4])
