"""Behavior-LSTM recurrence written as Eq. 4 reads, one step after the other, for autograd to differentiate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def hard_sigmoid(x: Tensor) -> Tensor:
    """Piecewise linear sigmoid ``clip(0.2 x + 0.5, 0, 1)``, the one of the authors' framework."""
    return (0.2 * x + 0.5).clamp(0.0, 1.0)


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
    """Run the recurrence over packed steps.

    Parameters
    ----------
    gates : Tensor
        ``(S, 4H)``, input part and bias of the gates I, F, C, O, in packed order
        (:class:`~hup.nn.behavior_lstm.Packing`).
    scale : Tensor or None
        ``(S, H)``, T ⊙ A, which multiplies the input gate; None = 1.
    weight_hidden : Tensor
        ``(4H, H)``.
    hidden, cell : Tensor
        ``(B, H)``, the state before the first step, rows in packed order.
    batch_sizes : sequence of int
        Rows of each step, non-increasing.
    commit : Tensor, optional
        ``(S,)`` bool. Where False, the step's output is provisional: the next step starts from the state before it.
    hard : bool
        Hard sigmoid in the gates I, F, O.

    Returns
    -------
    hidden, cell : Tensor
        ``(S, H)``, the state that each step computes, committed or not.
    """
    sigmoid = hard_sigmoid if hard else torch.sigmoid
    all_hidden, all_cell = [], []
    start = 0
    for rows in batch_sizes:
        step = slice(start, start + rows)
        hidden, cell = hidden[:rows], cell[:rows]
        i, f, g, o = (gates[step] + hidden @ weight_hidden.t()).chunk(4, dim=1)
        update = sigmoid(i) * torch.tanh(g)
        if scale is not None:
            update = update * scale[step]
        new_cell = sigmoid(f) * cell + update
        new_hidden = sigmoid(o) * torch.tanh(new_cell)
        all_hidden.append(new_hidden)
        all_cell.append(new_cell)
        if commit is None:
            hidden, cell = new_hidden, new_cell
        else:
            keep = commit[step, None]
            hidden, cell = torch.where(keep, new_hidden, hidden), torch.where(keep, new_cell, cell)
        start += rows
    return torch.cat(all_hidden), torch.cat(all_cell)
