"""The Behavior-LSTM's kernel in C++ against the plain loop: outputs and all gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hup.nn import BehaviorLSTM
from hup.nn.kernels import cpp

pytestmark = pytest.mark.skipif(not cpp.serves(), reason="no C++ compiler is there")


def both(layer: BehaviorLSTM, run) -> list[list[Tensor]]:
    """Outputs and gradients of the kernel in single precision, and of the autograd function in double."""
    results = []
    for dtype in (torch.float32, torch.float64):
        layer = layer.to(dtype)
        leaves, outputs = run(layer, dtype)
        weights = [torch.randn(o.shape, generator=torch.Generator().manual_seed(7)).to(dtype) for o in outputs]
        loss = sum((o * w).sum() for o, w in zip(outputs, weights, strict=True))
        asked = [*leaves, *layer.parameters()]
        results.append([*outputs, *torch.autograd.grad(loss, asked, allow_unused=True)])
    return results


def close(ours: list[Tensor], plain: list[Tensor]) -> None:
    for one, other in zip(ours, plain, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == torch.float32
            scale = 1 + other.detach().abs().max() if other.numel() else 1
            torch.testing.assert_close(one.double(), other, atol=float(2e-5 * scale), rtol=0)


layers = st.tuples(
    st.sampled_from([1, 3, 4, 8, 13, 24, 33]), st.sampled_from([0, 2]), st.sampled_from([0, 5]), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(layers, st.lists(st.integers(0, 9), max_size=14), st.integers(1, 3), st.integers(0, 9), st.booleans())
def test_ragged_sequences(sizes, lengths, threads, seed, with_state):
    hidden, interval, behavior, hard = sizes
    torch.manual_seed(seed)
    layer = BehaviorLSTM(4, hidden, interval, behavior, hard_gates=hard)

    def run(layer, dtype):
        generator = torch.Generator().manual_seed(seed)

        def leaf(*shape):
            return torch.randn(*shape, generator=generator).to(dtype).requires_grad_()

        steps, batch = sum(lengths), len(lengths)
        x, d, a = leaf(steps, 4), leaf(steps, 2), leaf(steps, 5)
        state = (leaf(batch, hidden), leaf(batch, hidden))
        zeros = torch.zeros(batch, hidden, dtype=dtype)
        outputs = layer.run(
            x,
            d if interval else None,
            a if behavior else None,
            torch.tensor(lengths, dtype=torch.int64),
            state if with_state else (zeros, zeros),
        )
        return [x, *([d] if interval else []), *([a] if behavior else []), *(state if with_state else [])], outputs

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        if sum(lengths):
            close(*both(layer, run))
        else:
            assert all(output.shape == (0, hidden) for output in run(layer, torch.float32)[1])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("hidden", [1, 8, 20, 100])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("contiguous", [False, True])
def test_provisional_steps(hidden, hard, contiguous):
    torch.manual_seed(hidden)
    layer = BehaviorLSTM(4, hidden, 2, 5, hard_gates=hard)

    def run(layer, dtype):
        generator = torch.Generator().manual_seed(3)

        def leaf(*shape):
            made = torch.randn(*shape, generator=generator).to(dtype)
            return (made if contiguous else made.transpose(0, 1).contiguous().transpose(0, 1)).requires_grad_()

        x, d, a, h, c = leaf(9, 7, 4), leaf(9, 7, 2), leaf(9, 7, 5), leaf(9, hidden), leaf(9, hidden)
        commit = torch.rand(9, 7, generator=generator) < 0.5
        outputs, state = layer(x, d, a, commit, (h, c))
        return [x, d, a, h, c], [outputs, *state]

    close(*both(layer, run))


def test_the_cell_alone_gets_a_gradient():
    torch.manual_seed(0)
    layer = BehaviorLSTM(4, 9, 2, 5)

    def run(layer, dtype):
        x = torch.randn(12, 4, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
        signals = torch.ones(12, 2, dtype=dtype), torch.ones(12, 5, dtype=dtype)
        zeros = torch.zeros(3, 9, dtype=dtype)
        return [x], [layer.run(x, *signals, torch.tensor([4, 5, 3]), (zeros, zeros))[1]]

    close(*both(layer, run))


def test_large_numbers_saturate_and_nan_is_seen():
    layer = BehaviorLSTM(2, 9)
    zeros = torch.zeros(1, 9)
    with torch.no_grad():
        hidden, cell = layer.run(torch.full((3, 2), 1e30), None, None, torch.tensor([3]), (zeros, zeros))
        assert hidden.isfinite().all()
        assert cell.isfinite().all()
        hidden, _ = layer.run(torch.full((3, 2), float("nan")), None, None, torch.tensor([3]), (zeros, zeros))
        assert hidden.isnan().all(), "a loss that is not a number stays one"


def test_it_can_be_gone_back_twice():
    layer = BehaviorLSTM(4, 9, 2, 5)
    x = torch.randn(5, 4, requires_grad=True)
    zeros = torch.zeros(1, 9)
    hidden, _ = layer.run(x, torch.ones(5, 2), torch.ones(5, 5), torch.tensor([5]), (zeros, zeros))
    first, second = (torch.autograd.grad(hidden.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_it_does_not_depend_on_threads():
    torch.manual_seed(0)
    layer = BehaviorLSTM(4, 20, 2, 5)
    x = torch.randn(60, 11, 4)
    signals = torch.randn(60, 11, 2), torch.randn(60, 11, 5)
    made = []
    before = torch.get_num_threads()
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        layer.zero_grad()
        out, _ = layer(x, *signals)
        out.square().sum().backward()
        made.append([out.detach(), *(p.grad.clone() for p in layer.parameters())])
    torch.set_num_threads(before)
    for others in made[1:]:
        for one, other in zip(made[0], others, strict=True):
            torch.testing.assert_close(one, other)
