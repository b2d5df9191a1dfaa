"""Time-LSTM 1, 2 and 3 against their equations in NumPy, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.nn.time_lstm import TimeLSTMLayer

VERSIONS = (1, 2, 3)


def layer(version: int, size: int = 4) -> TimeLSTMLayer:
    torch.manual_seed(version)
    made = TimeLSTMLayer(3, size, version).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter.data, std=0.7)
    return made


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def walk(net: TimeLSTMLayer, x: np.ndarray, interval: np.ndarray, open_interval: np.ndarray) -> np.ndarray:
    """Outputs of one sequence: at every step the open one, from the state that closed steps have left."""
    size = net.hidden_size
    weights = {name: p.detach().numpy() for name, p in net.named_parameters()}
    names = [*net.gates, *(("time",) if net.version == 1 else ("time1", "time2"))]
    of_input = dict(zip(names, np.split(weights["project_input.weight"], len(names)), strict=True))
    bias = dict(zip(names, np.split(weights["project_input.bias"], len(names)), strict=True))
    of_hidden = dict(zip(net.gates, np.split(weights["project_hidden.weight"], len(net.gates)), strict=True))
    peep = dict(zip(("input", "output", "forget"), weights["peephole"], strict=False))
    w_time = weights["weight_interval"].copy()
    if net.version > 1:
        w_time[0] = -np.log1p(np.exp(w_time[0]))

    def step(x, delta, h, c):
        def linear(name):
            return of_input[name] @ x + bias[name] + of_hidden[name] @ h

        i = sigmoid(linear("input") + peep["input"] * c)
        new = np.tanh(linear("cell"))
        t = [
            sigmoid(of_input[name] @ x + bias[name] + np.tanh(delta * w))
            for name, w in zip(names[len(net.gates) :], w_time, strict=True)
        ]
        if net.version == 3:
            now = (1 - i * t[0]) * c + i * t[0] * new
            kept = (1 - i) * c + i * t[1] * new
        else:
            f = sigmoid(linear("forget") + peep["forget"] * c)
            now = f * c + i * t[0] * new
            kept = now if net.version == 1 else f * c + i * t[1] * new
        o = sigmoid(linear("output") + delta * weights["weight_output_interval"] + peep["output"] * now)
        return o * np.tanh(now), kept

    h, c, out = np.zeros(size), np.zeros(size), []
    for row, passed, shown in zip(x, interval, open_interval, strict=True):
        out.append(step(row, shown, h, c)[0])
        h, c = step(row, passed, h, c)
    return np.stack(out)


@pytest.mark.parametrize("version", VERSIONS)
def test_outputs_are_those_of_the_equations(version):
    net, lengths = layer(version), [3, 1, 5]
    x, interval, shown = torch.randn(9, 3).double(), torch.rand(9).double(), torch.rand(9).double()
    found = net(x, interval, shown, torch.tensor(lengths)).detach().numpy()
    start = 0
    for length in lengths:
        part = slice(start, start + length)
        np.testing.assert_allclose(found[part], walk(net, *(t[part].numpy() for t in (x, interval, shown))), rtol=1e-9)
        start += length


@pytest.mark.parametrize("version", VERSIONS)
def test_gradients_equal_finite_differences(version):
    net = layer(version, size=2)
    x = torch.randn(5, 3).double().requires_grad_()
    interval, shown = (torch.rand(5).double().requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(lambda *given: net(*given, torch.tensor([2, 3])), (x, interval, shown))
    net(x, interval, shown, torch.tensor([2, 3])).square().sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in net.parameters())


@pytest.mark.parametrize("version", [2, 3])
def test_a_longer_interval_never_opens_the_first_time_gate(version):
    net = layer(version, size=6)
    projected = net.project_input(torch.randn(1, 3).double()).expand(40, -1)
    gate = net.time_gates(projected, torch.linspace(0, 3, 40).double())[0]
    assert bool((gate.diff(dim=0) <= 0).all())
    assert bool((gate[0] - gate[-1] > 1e-3).any())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_output_does_not_know_when_its_target_comes(version):
    """The interval after a step reaches the outputs of later steps alone."""
    net = layer(version)
    x, shown = torch.randn(4, 3).double(), torch.zeros(4).double()
    interval = torch.rand(4).double()
    other = interval.clone()
    other[2] += 1
    one, two = (net(x, times, shown, torch.tensor([4])) for times in (interval, other))
    assert torch.equal(one[:3], two[:3])
    assert not torch.allclose(one[3], two[3])
