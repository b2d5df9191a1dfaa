"""The whole Behavior-LSTM layer as one autograd function around the kernel in C++ (``native/behavior_lstm.cpp``).

Products that do not depend on the step before are BLAS's; the recurrence, forward and backward, is the kernel's, which
reads and writes sequences where they lie, without padding and without moving them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hup.native.library import load

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


def serves(x: Tensor) -> bool:
    """Tell whether the kernel is there for numbers of this kind: single precision, on the CPU."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and _kernel() is not None


class _BehaviorLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight_input: Tensor,
        weight_hidden: Tensor,
        bias: Tensor,
        lengths: Tensor,
        commit: Tensor | None,
        hard: bool,
        *signals_and_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        size, steps = weight_hidden.shape[1], x.shape[0]
        x, hidden, cell, weight_hidden = (t.contiguous() for t in (x, hidden, cell, weight_hidden))
        n_scales = len(signals_and_weights) // 2
        weights = signals_and_weights[n_scales:]
        # All that is read side by side, and a 1 for the bias: one product each way.
        read = torch.cat([x, *signals_and_weights[:n_scales], x.new_ones(steps, 1)], dim=1)
        gates = read @ _beside(weight_input, weights, bias).t()
        starts = lengths.cumsum(0) - lengths
        before = None if commit is None else torch.empty(steps, dtype=torch.int64)
        if commit is not None:
            commit = commit.contiguous()
        hiddens, cells = x.new_empty(steps, size), x.new_empty(steps, size)
        kernel = _kernel()
        assert kernel is not None
        kernel.behavior_lstm_forward(
            *_batch(lengths, starts, commit, before),
            hidden.data_ptr(),
            cell.data_ptr(),
            *(size, n_scales, int(hard), weight_hidden.data_ptr()),
            *(gates.data_ptr(), hiddens.data_ptr(), cells.data_ptr()),
            torch.get_num_threads(),
        )
        ctx.save_for_backward(
            read, hidden, cell, weight_input, weight_hidden, gates, hiddens, cells, lengths, starts, commit, before,
            *weights,
        )  # fmt: skip
        ctx.hard = hard
        ctx.set_materialize_grads(False)
        return hiddens, cells

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        read, hidden, cell, weight_input, weight_hidden, active, hiddens, cells, lengths, starts, commit, before = (
            ctx.saved_tensors[:12]
        )
        weights = ctx.saved_tensors[12:]
        size = weight_hidden.shape[1]
        d_hiddens, d_cells = (None if grad is None else grad.contiguous() for grad in grads)
        d_gates, d_hidden, d_cell = torch.empty_like(active), torch.zeros_like(hidden), torch.zeros_like(cell)
        kernel = _kernel()
        assert kernel is not None
        kernel.behavior_lstm_backward(
            *_batch(lengths, starts, commit, before),
            cell.data_ptr(),
            *(size, len(weights), int(ctx.hard), weight_hidden.data_ptr()),
            *(_pointer(t) for t in (active, cells, d_hiddens, d_cells, d_gates, d_hidden, d_cell)),
            torch.get_num_threads(),
        )
        if before is None:
            before = torch.arange(-1, len(read) - 1)
            before[starts[lengths > 0]] = -1
        hidden_before = hiddens.index_select(0, before.clamp_min(0))
        first = torch.nonzero(before < 0)[:, 0]
        hidden_before[first] = hidden.repeat_interleave(lengths, 0)[first] if hidden.any() else 0.0
        d_weight = d_gates.t() @ read
        d_scales = d_gates[:, 4 * size :].split(size, dim=1) if weights else ()
        inputs = weight_input.shape[1]
        d_weights, start = [], inputs
        for number, weight in enumerate(weights, start=4):
            d_weights.append(d_weight[number * size : (number + 1) * size, start : start + weight.shape[1]])
            start += weight.shape[1]
        needed = ctx.needs_input_grad
        return (
            d_gates @ weight_input if needed[0] else None,
            d_hidden,
            d_cell,
            d_weight[:, :inputs],
            d_gates[:, : 4 * size].t() @ hidden_before,
            d_weight[:, -1],
            None,
            None,
            None,
            *(
                d_scale @ weight if need else None
                for d_scale, weight, need in zip(d_scales, weights, needed[9:], strict=False)
            ),
            *d_weights,
        )


def _beside(weight_input: Tensor, weights: Sequence[Tensor], bias: Tensor) -> Tensor:
    """Put the weights of all that is read side by side, ``((4 + n) H, · + 1)``; a signal speaks to its gate alone."""
    size = len(bias) // (4 + len(weights))
    columns = [weight_input]
    for number, weight in enumerate(weights, start=4):
        column = weight.new_zeros(len(bias), weight.shape[1])
        column[number * size : (number + 1) * size] = weight
        columns.append(column)
    return torch.cat([*columns, bias[:, None]], dim=1)


def _batch(
    lengths: Tensor, starts: Tensor, commit: Tensor | None, before: Tensor | None
) -> tuple[int, int, int, int | None, int | None]:
    return len(lengths), starts.data_ptr(), lengths.data_ptr(), _pointer(commit), _pointer(before)


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def behavior_lstm(
    x: Tensor,
    signals: Sequence[Tensor],
    hidden: Tensor,
    cell: Tensor,
    weight_input: Tensor,
    weight_hidden: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    lengths: Tensor,
    commit: Tensor | None,
    *,
    hard: bool,
) -> tuple[Tensor, Tensor]:
    """Run a Behavior-LSTM over sequences that lie one after the other.

    Parameters
    ----------
    x : Tensor
        ``(S, input)`` float32.
    signals, weights : sequence of Tensor
        Of the gates that scale the input gate, T before A: ``(S, ·)`` and ``(H, ·)`` each.
    hidden, cell : Tensor
        ``(B, H)``, the state before each sequence.
    weight_input, weight_hidden, bias : Tensor
        As :class:`~hup.nn.behavior_lstm.BehaviorLSTM` has them.
    lengths : Tensor
        ``(B,)`` int64, summing to ``S``; 0 is allowed.
    commit : Tensor or None
        ``(S,)`` bool. Where False, the next step starts from the state before the step.
    hard : bool
        Hard sigmoid in the gates.

    Returns
    -------
    hidden, cell : Tensor
        ``(S, H)``, the state that each step computes, committed or not.
    """
    outputs: tuple[Tensor, Tensor] = _BehaviorLSTM.apply(  # type: ignore[no-untyped-call]
        x, hidden, cell, weight_input, weight_hidden, bias, lengths, commit, hard, *signals, *weights
    )
    return outputs
