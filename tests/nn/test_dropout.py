"""Dropout: the share that is dropped, the mean that stays, and that the generator's seed decides."""

from __future__ import annotations

import pytest
import torch

from hup.nn.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_a_share_is_dropped_and_the_mean_stays(share):
    torch.manual_seed(0)
    said = Dropout(share)(torch.ones(1000, 300))
    assert float((said == 0).float().mean()) == pytest.approx(share, abs=0.005)
    assert float(said.mean()) == pytest.approx(1, abs=0.01)
    assert len(said.unique()) == 2
    by_row, by_column = (said == 0).float().mean(dim=1), (said == 0).float().mean(dim=0)
    assert float(by_row.std()) == pytest.approx((share * (1 - share) / 300) ** 0.5, rel=0.15)
    assert float(by_column.std()) == pytest.approx((share * (1 - share) / 1000) ** 0.5, rel=0.2)


def test_gradients_go_where_numbers_are_kept():
    x = torch.randn(7, 5, requires_grad=True)
    said = Dropout(0.5)(x)
    said.sum().backward()
    assert torch.equal(x.grad == 0, said == 0)
    torch.testing.assert_close(x.grad * x, said)


def test_the_seed_decides():
    x, layer = torch.ones(50, 3), Dropout(0.3)
    said = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        said.append(layer(x))
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])


def test_nothing_is_dropped_outside_of_training():
    x = torch.randn(4, 3)
    assert Dropout(0.5).eval()(x) is x
    state = torch.random.get_rng_state()
    assert Dropout(0.0)(x) is x
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("shape", [(0, 3), (1,), (3, 1, 5)])
def test_any_shape_will_do(shape):
    x = torch.ones(shape, dtype=torch.bfloat16)
    said = Dropout(0.25)(x)
    assert (said.shape, said.dtype) == (x.shape, x.dtype)
