"""Products of large matrices: as exact as PyTorch's own, with the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hup.nn import products
from hup.nn.products import Linear, linear, product, with_room

SIZES = [(1, 3, 2), (300, 100, 400), (640, 131, 600)]  # the last one is large


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one.double() - other).abs().max() <= 1e-6 * max(other.abs().max().item(), 1) * 4)


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def either_way(request, monkeypatch):
    """Where oneDNN does not serve PyTorch's own products do; that must be tested where it does, too."""
    if not request.param:
        monkeypatch.setattr(products, "_serves", lambda: False)


@pytest.mark.parametrize("sizes", SIZES)
def test_products_are_those_of_float32(sizes, either_way):
    n, k, m = sizes
    torch.manual_seed(0)
    x, y = torch.randn(n, k), torch.randn(k, m)
    assert close(product(x, y), x.double() @ y.double())
    assert close(product(x.t().contiguous().t(), y), x.double() @ y.double())
    assert close(product(x, y[:, : m // 2]), x.double() @ y[:, : m // 2].double())
    assert close(product(y.t(), x.t()), y.t().double() @ x.t().double())


@pytest.mark.parametrize("sizes", SIZES)
def test_a_linear_layer_has_the_values_and_gradients_of_pytorch(sizes, either_way):
    n, k, m = sizes
    torch.manual_seed(0)
    given = [torch.randn(n, k), torch.randn(m, k), torch.randn(m)]
    slope = torch.randn(n, m)
    ours = [one.clone().requires_grad_() for one in given]
    exact = [one.double().requires_grad_() for one in given]
    said, expected = linear(*ours), functional.linear(*exact)
    assert close(said, expected)
    (said * slope).sum().backward()
    (expected * slope).sum().backward()
    for one, other in zip(ours, exact, strict=True):
        assert close(one.grad, other.grad)


def test_gradients_are_made_for_what_wants_them():
    x, weight, bias = torch.randn(640, 131), torch.randn(600, 131, requires_grad=True), torch.randn(600)
    linear(x, weight, bias).sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        assert not linear(x, weight, bias).requires_grad


def test_a_layer_takes_more_axes():
    layer = Linear(5, 3)
    x = torch.randn(2, 4, 5)
    assert layer(x).shape == (2, 4, 3)
    torch.testing.assert_close(layer(x), functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("n", [0, 1, 100, 127, 128, 129, 500, 513, 1000, 4097])
def test_room_is_rows_of_zeros(n):
    x = torch.randn(n, 3)
    wide = with_room(x)
    assert torch.equal(wide[:n], x)
    assert not wide[n:].any()
    assert len(wide) <= n * 1.13 + 1
    assert torch.equal(with_room(wide), wide)


def test_few_numbers_of_rows_come_again_and_again():
    seen = {len(with_room(torch.zeros(n, 1))) for n in range(512, 1025)}
    assert len(seen) <= 9 or not products._serves()


def test_under_autocast_16_bits_are_used_both_ways():
    x, weight, bias = torch.randn(640, 131), torch.randn(600, 131, requires_grad=True), torch.randn(600)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = linear(x, weight, bias)
        assert product(x, weight.detach().t()).dtype == torch.bfloat16
    assert said.dtype == torch.bfloat16
    said.float().sum().backward()
    assert weight.grad.dtype == torch.float32


def test_what_is_set_elsewhere_stays():
    before = torch.backends.mkldnn.matmul.fp32_precision
    product(torch.randn(640, 131), torch.randn(131, 600))
    assert torch.backends.mkldnn.matmul.fp32_precision == before
