"""Products of large matrices on the CPU: by oneDNN, where that is faster than PyTorch's own way, and as exact.

By itself PyTorch multiplies by MKL, which leaves half of the width of AMD's processors with AVX-512 unused; oneDNN uses
all of it. But oneDNN compiles a kernel for every new shape, in a millisecond or two. So it is asked for large products
alone, and rows are filled up by zeros to a few numbers of rows that come again and again: :func:`with_room`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST = 10_000_000  # multiplications from which on a product is large
_FEWEST = 128  # rows from which on some are filled up
_EXACT = 1e-5  # most of the error, beside the largest number; of 16 bits it is hundreds of times as much


def with_room(x: Tensor) -> Tensor:
    """Fill up the rows of a matrix with zeros, to one of eight numbers between powers of two, where that is of use."""
    n = len(x)
    if n < _FEWEST or x.device.type != "cpu" or not _serves():
        return x
    more = -n % (1 << (n.bit_length() - 4))
    return functional.pad(x, (0, 0, 0, more)) if more else x


def product(x: Tensor, y: Tensor) -> Tensor:
    """Multiply ``(n, k)`` by ``(k, m)``."""
    with _fast(x, y, len(x) * y.numel()):
        made: Tensor = x @ y
    return made


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Give ``x weight^T + bias``, ``(n, m)``, of ``(n, k)``, ``(m, k)`` and ``(m,)``."""
    plain = x.device.type != "cpu" or torch.is_autocast_enabled("cpu")
    made: Tensor = (functional.linear if plain else _Linear.apply)(x, weight, bias)
    return made


class Linear(nn.Linear):
    """A dense layer with a bias, over large matrices."""

    def forward(self, x: Tensor) -> Tensor:
        """Give ``(..., out)`` of ``(..., in)``."""
        made: Tensor = linear(x.flatten(0, -2), self.weight, self.bias).unflatten(0, x.shape[:-1])
        return made


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with _fast(x, weight, len(x) * weight.numel()):
            return torch.addmm(bias, x, weight.t())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(grad, weight) if of_x else None,
            product(x.t(), grad).t() if of_weight else None,
            grad.sum(dim=0) if of_bias else None,
        )


@contextmanager
def _fast(x: Tensor, y: Tensor, multiplications: int) -> Iterator[None]:
    """Have a product of these made by oneDNN, where it is large and of single precision."""
    if (
        multiplications < _LEAST
        or x.device.type != "cpu"
        or not x.dtype == y.dtype == torch.float32
        or torch.is_autocast_enabled("cpu")
        or not _serves()
    ):
        yield
        return
    with _by_onednn():
        yield


@contextmanager
def _by_onednn() -> Iterator[None]:
    # By its name 16 bits are allowed; that they are not used is what _serves finds out.
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


@cache
def _serves() -> bool:
    """Tell whether oneDNN multiplies float32 by float32 here: with AMX, which has 16 bits alone, it would not."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        x, y = torch.randn(256, 256), torch.randn(256, 256)
        with _by_onednn():
            made = x @ y
    exact = x.double() @ y.double()
    return bool((made - exact).abs().max() < _EXACT * exact.abs().max())
