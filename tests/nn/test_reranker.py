"""The learned order of candidates, against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from hup.nn.reranker import Reranker


def some(seed: int) -> tuple[Reranker, torch.Tensor]:
    torch.manual_seed(seed)
    reranker = Reranker(3, 4)
    for parameter in reranker.layers.parameters():
        torch.nn.init.normal_(parameter.data)
    return reranker, torch.randn(5, 6, 3) * 10 + 2


def test_it_starts_as_nothing():
    assert not Reranker(3, 4)(torch.randn(2, 5, 3)).any()


def test_it_is_two_layers_over_signals_that_are_made_comparable():
    reranker, signals = some(0)
    reranker.settle(signals.flatten(0, 1))
    w1, b1, w2, b2, w3 = (parameter.numpy() for parameter in reranker.layers.parameters())

    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    flat = signals.flatten(0, 1).numpy()
    z = np.clip((flat - flat.mean(axis=0)) / flat.std(axis=0, ddof=1), -4, 4)
    expected = silu(silu(z @ w1.T + b1) @ w2.T + b2) @ w3.T
    np.testing.assert_allclose(reranker(signals).numpy(), expected.reshape(5, 6), atol=1e-5)


def test_a_signal_far_outside_says_no_more_than_one_at_the_edge():
    reranker, signals = some(1)
    reranker.settle(signals.flatten(0, 1))
    far, farther = (reranker(torch.full((1, 1, 3), value)) for value in (1e4, 1e8))
    assert torch.equal(far, farther)


def test_nothing_of_it_is_learned_with_the_rest_of_a_network():
    assert not any(parameter.requires_grad for parameter in Reranker(3, 4).parameters())
