"""Which compiled recurrence serves where."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor

from hup.nn.kernels.layer import Recurrence

_PRECISIONS = (torch.float32, torch.bfloat16)


def recurrence_for(x: Tensor) -> Recurrence | None:
    """Give the compiled recurrence for inputs of this kind; None = the autograd function serves.

    Single precision, and bfloat16 as autocast gives it; on the CPU where a compiler is there, on CUDA where Triton is.
    """
    if x.dtype not in _PRECISIONS:
        return None
    if x.device.type == "cpu":
        from hup.nn.kernels import cpp

        return cast(Recurrence, cpp) if cpp.serves() else None
    return _on_gpu() if x.device.type == "cuda" else None


@cache
def _on_gpu() -> Recurrence | None:
    if find_spec("triton") is None:
        return None
    from hup.nn.kernels import gpu

    return cast(Recurrence, gpu)
