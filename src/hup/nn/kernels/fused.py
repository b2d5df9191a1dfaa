"""Behavior-LSTM recurrence as one autograd function: the reference's twin, several times faster in training.

Autograd over a Python loop records a dozen nodes a step. Here the loop keeps what the backward pass needs in flat
buffers, everything that does not depend on the step before is computed for all steps at once, and the gradient of the
recurrent weights is one matrix product at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hup.nn.devices import whole_precision
from hup.nn.kernels.reference import hard_sigmoid


class _BehaviorLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        scale: Tensor | None,
        weight_hidden: Tensor,
        hidden: Tensor,
        cell: Tensor,
        batch_sizes: Sequence[int],
        commit: Tensor | None,
        hard: bool,
    ) -> tuple[Tensor, Tensor]:
        steps, size = gates.shape[0], weight_hidden.shape[1]
        weight = weight_hidden.t().contiguous()
        active = torch.empty_like(gates)  # sigmoid(I), sigmoid(F), tanh(C), sigmoid(O)
        cells = gates.new_empty(steps, size)
        tanh_cells = gates.new_empty(steps, size)
        hiddens = gates.new_empty(steps, size)
        # The state that each step started from.
        hidden_before = gates.new_empty(steps, size)
        cell_before = gates.new_empty(steps, size)
        start = 0
        for rows in batch_sizes:
            step = slice(start, start + rows)
            hidden, cell = hidden[:rows], cell[:rows]
            hidden_before[step], cell_before[step] = hidden, cell
            raw = torch.addmm(gates[step], hidden, weight)
            act = active[step]
            if hard:
                act.copy_(hard_sigmoid(raw))
            else:
                torch.sigmoid(raw, out=act)
            torch.tanh(raw[:, 2 * size : 3 * size], out=act[:, 2 * size : 3 * size])
            i, f, g, o = act.chunk(4, dim=1)
            new_cell, new_hidden, tanh_cell = cells[step], hiddens[step], tanh_cells[step]
            torch.mul(f, cell, out=new_cell)
            new_cell.addcmul_(i, g if scale is None else g * scale[step])
            torch.tanh(new_cell, out=tanh_cell)
            torch.mul(o, tanh_cell, out=new_hidden)
            if commit is None:
                hidden, cell = new_hidden, new_cell
            else:
                keep = commit[step, None]
                hidden, cell = torch.where(keep, new_hidden, hidden), torch.where(keep, new_cell, cell)
            start += rows
        ctx.save_for_backward(scale, weight_hidden, active, tanh_cells, hidden_before, cell_before, commit)
        ctx.batch_sizes, ctx.hard = list(batch_sizes), hard
        return hiddens, cells

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        grad_hidden, grad_cell = grads
        scale, weight_hidden, active, tanh_cells, hidden_before, cell_before, commit = ctx.saved_tensors
        size = weight_hidden.shape[1]
        through_tanh, slopes = _slopes(active, tanh_cells, cell_before, scale, ctx.hard)
        forget = active[:, size : 2 * size]
        grad_gates = torch.empty_like(active)
        grad_cells = torch.empty_like(tanh_cells)
        grad_hidden = grad_hidden.contiguous()
        grad_cell = grad_cell.contiguous()
        first = ctx.batch_sizes[0] if ctx.batch_sizes else 0
        carry_hidden = grad_hidden.new_zeros(first, size)
        carry_cell = grad_hidden.new_zeros(first, size)
        end = active.shape[0]
        for rows in reversed(ctx.batch_sizes):
            step = slice(end - rows, end)
            into_hidden, into_cell = carry_hidden[:rows], carry_cell[:rows]
            if commit is not None:
                keep = commit[step, None]
                past_hidden, past_cell = into_hidden.masked_fill(keep, 0.0), into_cell.masked_fill(keep, 0.0)
                into_hidden, into_cell = into_hidden.masked_fill(~keep, 0.0), into_cell.masked_fill(~keep, 0.0)
            d_hidden = grad_hidden[step] + into_hidden
            d_cell = grad_cells[step]
            torch.add(grad_cell[step], into_cell, out=d_cell)
            d_cell.addcmul_(d_hidden, through_tanh[step])
            d_gates = grad_gates[step].view(rows, 4, size)
            slope = slopes[step].view(rows, 4, size)
            torch.mul(d_cell.unsqueeze(1), slope[:, :3], out=d_gates[:, :3])
            torch.mul(d_hidden, slope[:, 3], out=d_gates[:, 3])
            torch.mm(grad_gates[step], weight_hidden, out=carry_hidden[:rows])
            torch.mul(d_cell, forget[step], out=carry_cell[:rows])
            if commit is not None:
                carry_hidden[:rows] += past_hidden
                carry_cell[:rows] += past_cell
            end -= rows
        grad_scale = None
        if scale is not None:
            grad_scale = grad_cells * active[:, :size] * active[:, 2 * size : 3 * size]
        grad_weight = grad_gates.t() @ hidden_before
        return grad_gates, grad_scale, grad_weight, carry_hidden, carry_cell, None, None, None


def _slopes(
    active: Tensor, tanh_cells: Tensor, cell_before: Tensor, scale: Tensor | None, hard: bool
) -> tuple[Tensor, Tensor]:
    """Slope of the cell's tanh, and of every gate with respect to what stands before its activation, for all steps."""
    i, _, g, o = active.chunk(4, dim=1)
    sigmoid_slope = 0.2 * ((active > 0) & (active < 1)).to(active) if hard else active * (1 - active)
    slope_i, slope_f, _, slope_o = sigmoid_slope.chunk(4, dim=1)
    slopes = torch.empty_like(active)
    into_i, into_f, into_g, into_o = slopes.chunk(4, dim=1)
    torch.mul(g, slope_i, out=into_i)
    torch.mul(cell_before, slope_f, out=into_f)
    torch.mul(i, 1 - g * g, out=into_g)
    torch.mul(tanh_cells, slope_o, out=into_o)
    if scale is not None:
        into_i *= scale
        into_g *= scale
    return o * (1 - tanh_cells * tanh_cells), slopes


def behavior_lstm(
    gates: Tensor,
    scale: Tensor | None,
    weight_hidden: Tensor,
    hidden: Tensor,
    cell: Tensor,
    batch_sizes: Sequence[int],
    commit: Tensor | None = None,
    *,
    hard: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run the recurrence over packed steps: the fast twin of :func:`hup.nn.kernels.reference.behavior_lstm`."""
    rows = batch_sizes[0] if batch_sizes else 0
    # A state that is carried over hundreds of steps is not to be rounded at each.
    parts = (gates, scale, weight_hidden, hidden[:rows], cell[:rows])
    with whole_precision(gates.device):
        outputs: tuple[Tensor, Tensor] = _BehaviorLSTM.apply(  # type: ignore[no-untyped-call]
            *(None if part is None else part.to(weight_hidden.dtype) for part in parts), batch_sizes, commit, hard
        )
    return outputs
