"""The Behavior-LSTM's recurrence on the CPU, in C++ (``native/behavior_lstm.cpp``)."""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from hup.native import load
from hup.nn.kernels.layer import Sequences

_POINTER, _INT, _SMALL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_BATCH = (_INT, *(_POINTER,) * 4)
_LAYER = (_INT, _INT, _SMALL, _POINTER)


@cache
def _kernel() -> ctypes.CDLL | None:
    kernel = load("behavior_lstm")
    if kernel is not None:
        kernel.behavior_lstm_forward.argtypes = [*_BATCH, _POINTER, _POINTER, *_LAYER, *(_POINTER,) * 3, _SMALL]
        kernel.behavior_lstm_backward.argtypes = [*_BATCH, _POINTER, *_LAYER, *(_POINTER,) * 7, _SMALL]
        kernel.behavior_lstm_forward.restype = kernel.behavior_lstm_backward.restype = None
    return kernel


def serves() -> bool:
    """Tell whether the kernel is there, compiled now if need be."""
    return _kernel() is not None


def forward(
    sequences: Sequences, gates: Tensor, hidden: Tensor, cell: Tensor, weight_hidden: Tensor, *, hard: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Activate the gates in place; see :class:`~hup.nn.kernels.layer.Recurrence`."""
    size = weight_hidden.shape[1]
    before = torch.empty(len(gates), dtype=torch.int64)
    hiddens, cells = gates.new_empty(len(gates), size), gates.new_empty(len(gates), size)
    kernel = _kernel()
    assert kernel is not None
    kernel.behavior_lstm_forward(
        *_batch(sequences, before),
        *(hidden.data_ptr(), cell.data_ptr()),
        *_layer(gates, weight_hidden, hard),
        *(gates.data_ptr(), hiddens.data_ptr(), cells.data_ptr()),
        torch.get_num_threads(),
    )
    return hiddens, cells, before


def backward(
    sequences: Sequences,
    active: Tensor,
    cell: Tensor,
    cells: Tensor,
    before: Tensor,
    weight_hidden: Tensor,
    d_hiddens: Tensor | None,
    d_cells: Tensor | None,
    *,
    hard: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Give gradients of the gates and of the first state; see :class:`~hup.nn.kernels.layer.Recurrence`."""
    d_gates, d_hidden, d_cell = torch.empty_like(active), torch.zeros_like(cell), torch.zeros_like(cell)
    kernel = _kernel()
    assert kernel is not None
    kernel.behavior_lstm_backward(
        *_batch(sequences, before),
        cell.data_ptr(),
        *_layer(active, weight_hidden, hard),
        *(_pointer(t) for t in (active, cells, d_hiddens, d_cells, d_gates, d_hidden, d_cell)),
        torch.get_num_threads(),
    )
    return d_gates, d_hidden, d_cell


def _batch(sequences: Sequences, before: Tensor) -> tuple[int, int, int, int | None, int]:
    starts, lengths = sequences.starts, sequences.lengths
    return len(lengths), starts.data_ptr(), lengths.data_ptr(), _pointer(sequences.commit), before.data_ptr()


def _layer(gates: Tensor, weight_hidden: Tensor, hard: bool) -> tuple[int, int, int, int]:
    size = weight_hidden.shape[1]
    return size, gates.shape[1] // size - 4, int(hard), weight_hidden.data_ptr()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
