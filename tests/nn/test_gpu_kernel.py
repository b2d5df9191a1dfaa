"""The recurrence in Triton, run by Triton's interpreter on the CPU, against the plain loop."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from hup.nn import BehaviorLSTM, behavior_lstm

pytest.importorskip("triton", reason="no Triton: make EXTRAS='dev gpu' venv")


@pytest.fixture
def single_precision(monkeypatch):
    """The kernel serves single precision; double is left to the autograd function."""
    from hup.nn.kernels import gpu

    monkeypatch.setattr(behavior_lstm, "recurrence_for", lambda x: gpu if x.dtype == torch.float32 else None)


def compared(made: BehaviorLSTM, run) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        made = made.to(dtype)
        leaves, outputs = run(made, dtype)
        weights = [torch.randn(o.shape, generator=torch.Generator().manual_seed(7)).to(dtype) for o in outputs]
        loss = sum((o * w).sum() for o, w in zip(outputs, weights, strict=True))
        results.append([*outputs, *torch.autograd.grad(loss, [*leaves, *made.parameters()])])
    for ours, plain in zip(*results, strict=True):
        scale = 1 + float(plain.detach().abs().max())
        torch.testing.assert_close(ours.double(), plain, atol=2e-5 * scale, rtol=0)


@pytest.mark.parametrize("sizes", [(5, 2, 5), (20, 0, 0), (16, 2, 0), (33, 2, 5)])
@pytest.mark.parametrize("hard", [False, True])
def test_ragged_sequences(single_precision, sizes, hard):
    hidden, interval, behavior = sizes
    torch.manual_seed(0)
    lengths = torch.tensor([3, 0, 5, 1, 1, *[2] * 14])

    def run(made, dtype):
        generator = torch.Generator().manual_seed(1)

        def leaf(*shape):
            return torch.randn(*shape, generator=generator).to(dtype).requires_grad_()

        x, d, a = (leaf(int(lengths.sum()), n) for n in (4, 2, 5))
        h, c = (leaf(len(lengths), hidden) for _ in range(2))
        signals = [d] if interval else [], [a] if behavior else []
        outputs = made.run(x, d if interval else None, a if behavior else None, lengths, (h, c))
        return [x, *signals[0], *signals[1], h, c], outputs

    compared(BehaviorLSTM(4, hidden, interval, behavior, hard_gates=hard), run)


def test_provisional_steps(single_precision):
    torch.manual_seed(0)

    def run(made, dtype):
        generator = torch.Generator().manual_seed(3)

        def leaf(*shape):
            return torch.randn(*shape, generator=generator).to(dtype).requires_grad_()

        x, d, a, h, c = leaf(9, 6, 4), leaf(9, 6, 2), leaf(9, 6, 5), leaf(9, 8), leaf(9, 8)
        commit = torch.rand(9, 6, generator=generator) < 0.5
        outputs, state = made(x, d, a, commit, (h, c))
        return [x, d, a, h, c], [outputs, *state]

    compared(BehaviorLSTM(4, 8, 2, 5), run)


def test_the_cell_alone_gets_a_gradient(single_precision):
    torch.manual_seed(0)

    def run(made, dtype):
        x = torch.randn(12, 4, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
        zeros = torch.zeros(3, 9, dtype=dtype)
        return [x], [made.run(x, None, None, torch.tensor([4, 5, 3]), (zeros, zeros))[1]]

    compared(BehaviorLSTM(4, 9), run)


def test_half_precision_is_near(single_precision):
    torch.manual_seed(0)
    made = BehaviorLSTM(4, 20, 2, 5)
    x, d, a = (torch.randn(5, 6, n) for n in (4, 2, 5))
    exact, _ = made(x, d, a)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near, _ = made(x, d, a)
    assert near.dtype == torch.float32, "states are kept in single precision"
    assert not torch.equal(near, exact)
    torch.testing.assert_close(near, exact, atol=0.03, rtol=0)
    near.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in made.parameters())


COMPILE = """
import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from hup.nn.kernels import gpu

WHOLE = {"order", "starts", "lengths", "before"}

def signature(kernel, half):
    def of(name):
        if name.isupper():
            return "constexpr"
        if name == "weight":
            return "*bf16" if half else "*fp32"
        return "*i64" if name in WHOLE else {"commit": "*i1", "n_rows": "i32"}.get(name, "*fp32")
    return {name: of(name) for name in kernel.arg_names}

sequences = gpu.Sequences(torch.zeros(1), torch.zeros(1), torch.zeros(1))
for half in (False, True):
    weight = torch.zeros(400, 100, dtype=torch.bfloat16 if half else torch.float32)
    constants = gpu._layer(sequences, torch.zeros(1, 600), weight, False)
    assert not constants["WIDE"]
    for kernel, more in ((gpu._forward, {}), (gpu._backward, {"OF_HIDDEN": True, "OF_CELL": False})):
        source = ASTSource(kernel, signature(kernel, half), constexprs=constants | more)
        made = compile(source, target=GPUTarget("cuda", 90, 32))
        print(made.metadata.shared, len(made.asm["cubin"]))
"""


@pytest.mark.slow
def test_it_compiles_for_a_card():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    sizes = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(sizes) == 4
    for shared, code in sizes:
        assert shared <= 99 * 1024, "what a core of any card of the last years has"
        assert code > 0
