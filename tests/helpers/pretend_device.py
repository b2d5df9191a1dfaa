"""A device that is not there: its tensors are computed with here, but do not mix with others, as on a GPU.

Inside :class:`PretendDevice` the device ``"meta"`` has values. An operation on tensors of two devices fails, as it
would on a GPU, and so does ``numpy()``. One number by itself may come from the processor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"
#: They carry values from one device to another, or want the sizes of batches on the processor.
_CARRIERS = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default, torch.ops.aten.gru.data}


class _There(Tensor):
    """A tensor on the device."""

    @staticmethod
    def __new__(cls, inside: Tensor) -> _There:
        return Tensor._make_wrapper_subclass(
            cls,
            inside.shape,
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            device=torch.device(NAME),
            requires_grad=inside.requires_grad,
        )

    def __init__(self, inside: Tensor) -> None:
        self.inside = inside

    def tolist(self) -> Any:
        return self.inside.tolist()

    def __repr__(self) -> str:
        return f"There({self.inside!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class PretendDevice(TorchDispatchMode):
    """While it lasts the device is there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    there = any(isinstance(one, _There) for one in tensors)
    asked = kwargs.get("device")
    if func not in _CARRIERS and there and any(not isinstance(one, _There) and one.dim() for one in tensors):
        raise RuntimeError(f"{func}: tensors are on two devices")
    if any(type(one) is Tensor and one.is_meta for one in tensors):
        raise RuntimeError(f"{func}: a tensor without values; make it by an operation that is dispatched, as new_full")
    goes_there = there if asked is None else torch.device(asked).type == NAME
    if func is torch.ops.aten.copy_.default:
        goes_there = isinstance(args[0], _There)
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    inner_args, inner_kwargs = tree_map(lambda one: one.inside if isinstance(one, _There) else one, (args, kwargs))
    out = func(*inner_args, **inner_kwargs)
    if not goes_there:
        return out
    wrapped = tree_map(lambda one: _There(one) if isinstance(one, Tensor) else one, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if there else wrapped
