"""A network's tensors by name, each once."""

from __future__ import annotations

from torch import Tensor, nn


def unshared(network: nn.Module) -> dict[str, Tensor]:
    """Tensors of a network by name; a table that is used under two names has the first of them.

    Files of tensors refuse to hold one twice, and copying one twice would be a waste.
    """
    names: dict[int | str, str] = {}
    tensors = network.state_dict()
    for name, tensor in tensors.items():
        names.setdefault(tensor.data_ptr() or name, name)  # tensors without elements have no address
    return {name: tensors[name] for name in names.values()}
