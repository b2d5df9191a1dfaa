"""Where tensors are computed with: the processor, or a GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from hup import processes
from hup.errors import HupError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]


def chosen(name: DeviceName) -> torch.device:
    """Choose a device; of several processes on a machine each has a GPU of its own, as far as there are so many.

    Raises
    ------
    HupError
        ``"cuda"`` is asked for where there is none.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise HupError(
            "There is no CUDA device here, or this PyTorch is built without CUDA. Choose cpu, or auto, which takes "
            "what is there."
        )
    if name == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", processes.place_on_machine() % torch.cuda.device_count())


def placed(array: NDArray[Any], like: Tensor) -> Tensor:
    """Make a tensor of an array on the device of another tensor."""
    return torch.from_numpy(array).to(like.device)


def in_precision(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Compute in a precision for the length of a block; parameters stay as they are."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def whole_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in that of the tensors for the length of a block, also where another one was chosen around it."""
    chosen_around = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if chosen_around else nullcontext()
