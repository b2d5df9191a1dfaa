"""Eq. 4 against a slow NumPy reference, gradients against finite differences, fused against plain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hup.nn import BehaviorLSTM
from hup.nn.behavior_lstm import Packing
from hup.nn.kernels import fused, reference

INPUT, HIDDEN, INTERVAL, BEHAVIOR = 4, 3, 2, 5


def numpy_eq4(layer: BehaviorLSTM, x, interval, behavior, commit, h, c):
    """One sequence, one step and one gate at a time, straight from Eq. 4; x is (T, input)."""
    w = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
    n = layer.hidden_size
    gate = {name: slice(k * n, (k + 1) * n) for k, name in enumerate("IFCOTA")}
    if not layer.interval_size:
        gate["A"] = gate["T"]

    def sigmoid(v):
        return np.clip(0.2 * v + 0.5, 0, 1) if layer.hard_gates else 1 / (1 + np.exp(-v))

    outputs = []
    for t in range(len(x)):
        raw = {k: w["weight_input"][s] @ x[t] + w["bias"][s] for k, s in gate.items() if s.stop <= len(w["bias"])}
        for k in "IFCO":
            raw[k] = raw[k] + w["weight_hidden"][gate[k]] @ h
        time = sigmoid(raw["T"] + w["weight_interval"] @ interval[t]) if layer.interval_size else 1.0
        act = sigmoid(raw["A"] + w["weight_behavior"] @ behavior[t]) if layer.behavior_size else 1.0
        new_c = sigmoid(raw["F"]) * c + sigmoid(raw["I"]) * time * act * np.tanh(raw["C"])
        new_h = sigmoid(raw["O"]) * np.tanh(new_c)
        outputs.append(new_h)
        if commit is None or commit[t]:
            h, c = new_h, new_c
    return np.array(outputs), h, c


def make(interval=INTERVAL, behavior=BEHAVIOR, hard=False, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    layer = BehaviorLSTM(INPUT, HIDDEN, interval, behavior, hard_gates=hard).to(dtype)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


def inputs(layer: BehaviorLSTM, batch: int, steps: int, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = normal(batch, steps, INPUT)
    interval = normal(batch, steps, layer.interval_size) if layer.interval_size else None
    behavior = normal(batch, steps, layer.behavior_size) if layer.behavior_size else None
    commit = torch.rand(batch, steps, generator=generator) < 0.6
    return x, interval, behavior, commit, (normal(batch, HIDDEN), normal(batch, HIDDEN))


@pytest.mark.parametrize("sizes", [(INTERVAL, BEHAVIOR), (INTERVAL, 0), (0, BEHAVIOR), (0, 0)])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("with_commit", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_outputs_follow_eq4(sizes, hard, with_commit, with_state):
    layer = make(*sizes, hard=hard)
    x, interval, behavior, commit, state = inputs(layer, batch=5, steps=7)
    outputs, (h, c) = layer(x, interval, behavior, commit if with_commit else None, state if with_state else None)
    for b in range(5):
        h0, c0 = (s[b].numpy() for s in state) if with_state else (np.zeros(HIDDEN), np.zeros(HIDDEN))
        expected, h1, c1 = numpy_eq4(
            layer,
            x[b].numpy(),
            None if interval is None else interval[b].numpy(),
            None if behavior is None else behavior[b].numpy(),
            commit[b].numpy() if with_commit else None,
            h0,
            c0,
        )
        np.testing.assert_allclose(outputs[b].detach().numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(h[b].detach().numpy(), h1, atol=1e-12)
        np.testing.assert_allclose(c[b].detach().numpy(), c1, atol=1e-12)


@pytest.mark.parametrize("sizes", [(INTERVAL, BEHAVIOR), (INTERVAL, 0), (0, 0)])
@pytest.mark.parametrize("with_commit", [False, True])
def test_gradients_equal_finite_differences(sizes, with_commit):
    layer = make(*sizes)
    x, interval, behavior, commit, state = inputs(layer, batch=3, steps=4)
    named = dict(layer.named_parameters())
    leaves = [t.requires_grad_() for t in (x, interval, behavior, *state) if t is not None]

    def run(*tensors):
        given = iter(tensors[: len(leaves)])
        xs = next(given)
        i = next(given) if interval is not None else None
        b = next(given) if behavior is not None else None
        s = (next(given), next(given))
        weights = dict(zip(named, tensors[len(leaves) :], strict=True))
        out, (h, c) = torch.func.functional_call(layer, weights, (xs, i, b, commit if with_commit else None, s))
        return out, h, c

    assert torch.autograd.gradcheck(run, (*leaves, *named.values()), atol=1e-7)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("with_commit", [False, True])
@pytest.mark.parametrize("with_scale", [False, True])
def test_fused_equals_reference_with_gradients(hard, with_commit, with_scale):
    generator = torch.Generator().manual_seed(3)
    sizes = [6, 6, 4, 3, 1]
    steps, hidden = sum(sizes), 8

    def leaf(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    gates, scale, weight, h, c = (
        leaf(steps, 4 * hidden),
        leaf(steps, hidden),
        leaf(4 * hidden, hidden),
        leaf(6, hidden),
        leaf(6, hidden),
    )
    commit = (torch.rand(steps, generator=generator) < 0.5) if with_commit else None
    leaves = [gates, weight, h, c, *([scale] if with_scale else [])]
    results = []
    for kernel in (reference.behavior_lstm, fused.behavior_lstm):
        out = kernel(gates, scale if with_scale else None, weight, h, c, sizes, commit, hard=hard)
        weights = [torch.randn(o.shape, generator=torch.Generator().manual_seed(9), dtype=o.dtype) for o in out]
        loss = sum((o * w).sum() for o, w in zip(out, weights, strict=True))
        results.append((*out, *torch.autograd.grad(loss, leaves)))
    for ours, plain in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-10)


def test_without_gates_it_is_torch_lstm():
    layer = make(0, 0)
    peer = torch.nn.LSTM(INPUT, HIDDEN, batch_first=True).double()
    with torch.no_grad():
        peer.weight_ih_l0.copy_(layer.weight_input)  # torch's gate order is I, F, C, O, too
        peer.weight_hh_l0.copy_(layer.weight_hidden)
        peer.bias_ih_l0.copy_(layer.bias)
        peer.bias_hh_l0.zero_()
    x = inputs(layer, 4, 6)[0]
    ours, (h, c) = layer(x)
    theirs, (ph, pc) = peer(x)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close((h, c), (ph[0], pc[0]))


def test_a_committed_prefix_is_what_a_provisional_step_starts_from():
    layer = make()
    x, interval, behavior, _, _ = inputs(layer, 1, 3)
    commit = torch.tensor([[True, False, True]])
    outputs, _ = layer(x, interval, behavior, commit)
    keep = torch.tensor([0, 2])
    without, _ = layer(x[:, keep], interval[:, keep], behavior[:, keep])
    torch.testing.assert_close(outputs[:, keep], without)


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=7), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_ragged_run_equals_padded_forward(lengths, seed):
    layer = make()
    steps, batch = max(lengths), len(lengths)
    x, interval, behavior, _, state = inputs(layer, batch, max(steps, 1), seed)
    real = torch.arange(max(steps, 1)) < torch.tensor(lengths)[:, None]
    padded, last = layer(x, interval, behavior, real, state)
    hidden, cell = layer.run(x[real], interval[real], behavior[real], torch.tensor(lengths), state)
    torch.testing.assert_close(hidden, padded[real])
    ends = torch.tensor(lengths).cumsum(0) - 1
    for b, length in enumerate(lengths):
        expected = (hidden[ends[b]], cell[ends[b]]) if length else (state[0][b], state[1][b])
        torch.testing.assert_close((last[0][b], last[1][b]), expected)


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_packing_is_a_permutation_with_full_rows(lengths):
    packing = Packing.of(torch.tensor(lengths))
    assert sum(packing.batch_sizes) == sum(lengths)
    assert packing.batch_sizes == sorted(packing.batch_sizes, reverse=True)
    torch.testing.assert_close(packing.index[packing.place], torch.arange(sum(lengths)))
    flat = [(b, t) for b, n in enumerate(lengths) for t in range(n)]
    expected = [(b, t) for t in range(max(lengths)) for b in packing.order.tolist() if lengths[b] > t]
    assert [flat[i] for i in packing.index.tolist()] == expected


def test_parameters_have_the_documented_shapes_and_start():
    layer = BehaviorLSTM(53, 100, 5, 5)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes == {
        "weight_input": (600, 53),
        "weight_hidden": (400, 100),
        "weight_interval": (100, 5),
        "weight_behavior": (100, 5),
        "bias": (600,),
    }
    assert bool((layer.bias[100:200] == 1).all())
    assert float(layer.bias.detach().sum()) == 100
    assert BehaviorLSTM(53, 100).weight_interval is None


def test_missing_or_superfluous_signals_are_named():
    layer = make(INTERVAL, 0)
    x, interval, _, _, _ = inputs(layer, 2, 3)
    with pytest.raises(ValueError, match="interval is needed"):
        layer(x)
    with pytest.raises(ValueError, match="behavior must be None"):
        layer(x, interval, torch.zeros(2, 3, 5, dtype=torch.float64))


@pytest.mark.parametrize(("batch", "steps"), [(0, 4), (3, 0)])
def test_nothing_in_nothing_out(batch, steps):
    layer = make()
    x, interval, behavior, _, state = inputs(layer, batch, steps)
    outputs, (h, c) = layer(x, interval, behavior, None, state)
    assert outputs.shape == (batch, steps, HIDDEN)
    torch.testing.assert_close((h, c), state)
