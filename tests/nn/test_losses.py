"""The loss against its formula, and what does not count in it."""

from __future__ import annotations

import torch

from hup.nn.losses import cosine_proximity


def vectors(seed: int) -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_negative_mean_cosine():
    a, b = vectors(0), vectors(1)
    expected = -sum(x @ y / (x.norm() * y.norm()) for x, y in zip(a, b, strict=True)) / 5
    torch.testing.assert_close(cosine_proximity(a, b), expected)
    torch.testing.assert_close(cosine_proximity(a, b, torch.ones(5, dtype=torch.bool)), expected)


def test_rows_without_a_target_neither_count_nor_learn():
    counted = torch.tensor([True, False, True, False, False])
    profile = vectors(0).requires_grad_()
    loss = cosine_proximity(profile, vectors(1), counted)
    torch.testing.assert_close(loss, cosine_proximity(vectors(0)[counted], vectors(1)[counted]))
    loss.backward()
    assert (profile.grad[~counted] == 0).all()
    assert (profile.grad[counted] != 0).any(dim=1).all()


def test_where_nothing_counts_the_loss_is_zero_and_can_be_descended():
    for target in (vectors(1), torch.zeros(5, 3, dtype=torch.float64)):
        profile = vectors(0).requires_grad_()
        loss = cosine_proximity(profile, target, torch.zeros(5, dtype=torch.bool))
        assert float(loss.detach()) == 0
        loss.backward()
        assert profile.grad is not None
        assert (profile.grad == 0).all()
