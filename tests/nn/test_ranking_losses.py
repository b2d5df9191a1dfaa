"""Softmax and BPR-max losses against slow NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.nn import losses
from hup.nn.losses import bpr_max, cross_entropy


@pytest.fixture
def given() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "hidden": torch.randn(5, 3, generator=generator, dtype=torch.float64),
        "table": torch.randn(7, 3, generator=generator, dtype=torch.float64),
        "bias": torch.randn(7, generator=generator, dtype=torch.float64),
        "target": torch.tensor([0, 6, 3, 3, 1]),
    }


def scores(given) -> np.ndarray:
    return (given["hidden"] @ given["table"].T + given["bias"]).numpy()


def test_whole_softmax(given):
    r = scores(given)
    expected = np.mean([np.log(np.exp(row).sum()) - row[t] for row, t in zip(r, given["target"], strict=True)])
    assert float(cross_entropy(**given)) == pytest.approx(expected)


@pytest.mark.parametrize("most", [1, 14, 21, 34])
def test_whole_softmax_by_blocks_of_rows(given, monkeypatch, most):
    parts = [given[name].requires_grad_() for name in ("hidden", "table", "bias")]
    whole = cross_entropy(**given)
    gradients = torch.autograd.grad(whole, parts)
    monkeypatch.setattr(losses, "SCORES_PER_BLOCK", most)
    by_blocks = cross_entropy(**given)
    torch.testing.assert_close(by_blocks, whole)
    for one, other in zip(torch.autograd.grad(by_blocks, parts), gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_sampled_softmax_with_its_correction(given):
    sampled = [2, 3, 2]
    expected = []
    for row, target in zip(scores(given), given["target"].tolist(), strict=True):
        others = [np.exp(row[s]) * 7 / 3 for s in sampled if s != target]
        expected.append(np.log(np.exp(row[target]) + sum(others)) - row[target])
    assert float(cross_entropy(**given, sampled=torch.tensor(sampled))) == pytest.approx(np.mean(expected))


def test_the_sampled_softmax_comes_near_the_whole_one(given):
    torch.manual_seed(0)
    sampled = torch.randint(7, (200_000,))
    # The target is counted once as itself and, in the sample, not again: what is left is the whole softmax.
    assert float(cross_entropy(**given, sampled=sampled)) == pytest.approx(float(cross_entropy(**given)), abs=0.01)


def test_bpr_max(given):
    sampled = [2, 3, 5]
    expected = []
    for row, target in zip(scores(given), given["target"].tolist(), strict=True):
        negative = np.array([row[s] for s in sampled if s != target])
        weight = np.exp(negative) / np.exp(negative).sum()
        above = (weight / (1 + np.exp(negative - row[target]))).sum()
        expected.append(-np.log(above) + 0.3 * (weight * negative**2).sum())
    found = bpr_max(**given, sampled=torch.tensor(sampled), regularization=0.3)
    assert float(found) == pytest.approx(np.mean(expected))


def test_scores_are_kept_near_0_as_much_as_the_target_above(given):
    """Unless it is said how much."""
    sampled = torch.tensor([2, 3, 5])
    none, twice = (float(bpr_max(**given, sampled=sampled, regularization=share)) for share in (0, 2))
    assert float(bpr_max(**given, sampled=sampled)) == pytest.approx((none + twice) / 2)


@pytest.mark.parametrize("loss", [cross_entropy, bpr_max])
def test_gradients_equal_finite_differences(given, loss):
    sampled = torch.tensor([2, 3, 5])
    parts = [given[name].clone().requires_grad_() for name in ("hidden", "table", "bias")]
    assert torch.autograd.gradcheck(lambda *tensors: loss(*tensors, given["target"], sampled), parts)


@pytest.mark.parametrize("loss", [cross_entropy, bpr_max])
def test_nothing_to_learn_from_is_a_loss_of_0(given, loss):
    hidden = given["hidden"][:0].requires_grad_()
    found = loss(hidden, given["table"], given["bias"], given["target"][:0], torch.tensor([1]))
    assert float(found.detach()) == 0
    found.backward()
