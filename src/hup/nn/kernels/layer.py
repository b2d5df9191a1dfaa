"""The whole Behavior-LSTM layer as one autograd function around a compiled recurrence.

Products that do not depend on the step before are a library's, one each way. The recurrence, forward and backward, is a
kernel's: :mod:`~hup.nn.kernels.cpp` on the CPU, :mod:`~hup.nn.kernels.gpu` on CUDA. Both read and write sequences where
they lie, without padding and without moving them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hup.nn.products import product, with_room


@dataclass(frozen=True)
class Sequences:
    """Sequences that lie one after the other.

    Attributes
    ----------
    starts, lengths : Tensor
        ``(B,)`` int64.
    commit : Tensor or None
        ``(S,)`` bool; None = every step is committed.
    """

    starts: Tensor
    lengths: Tensor
    commit: Tensor | None


class Recurrence(Protocol):
    """A compiled recurrence, forward and backward.

    ``gates`` are ``(S, (4 + n) H)`` float32 in the order I, F, C, O and the ``n`` gates that scale I; ``hidden`` and
    ``cell`` the state before each sequence, ``(B, H)``; ``hiddens`` and ``cells`` ``(S, H)``.
    """

    @staticmethod
    def forward(
        sequences: Sequences, gates: Tensor, hidden: Tensor, cell: Tensor, weight_hidden: Tensor, *, hard: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Activate the gates in place.

        Returns
        -------
        hiddens, cells : Tensor
        before : Tensor
            ``(S,)`` int64, the step whose state each step began from; -1 = the state before the sequence.
        """
        ...

    @staticmethod
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
        """Give gradients of the gates before their activations, ``(S, (4 + n) H)``, and of the state before."""
        ...


class _BehaviorLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        recurrence: Recurrence,
        sequences: Sequences,
        hard: bool,
        x: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight_input: Tensor,
        weight_hidden: Tensor,
        bias: Tensor,
        *signals_and_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        n_scales = len(signals_and_weights) // 2
        weights = signals_and_weights[n_scales:]
        # All that is read side by side, and a 1 for the bias: one product each way.
        read = with_room(torch.cat([x, *signals_and_weights[:n_scales], x.new_ones(len(x), 1)], dim=1))
        gates = product(read, _beside(weight_input, weights, bias).t())[: len(x)].float()
        hidden, cell, weight_hidden = (t.contiguous() for t in (hidden, cell, weight_hidden))
        hiddens, cells, before = recurrence.forward(sequences, gates, hidden, cell, weight_hidden, hard=hard)
        ctx.save_for_backward(read, hidden, cell, weight_input, weight_hidden, gates, hiddens, cells, before, *weights)
        ctx.recurrence, ctx.sequences, ctx.hard = recurrence, sequences, hard
        ctx.set_materialize_grads(False)
        return hiddens, cells

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        read, hidden, cell, weight_input, weight_hidden, active, hiddens, cells, before, *weights = ctx.saved_tensors
        size, inputs = weight_hidden.shape[1], weight_input.shape[1]
        d_hiddens, d_cells = (None if grad is None else grad.contiguous() for grad in grads)
        d_gates, d_hidden, d_cell = ctx.recurrence.backward(
            ctx.sequences, active, cell, cells, before, weight_hidden, d_hiddens, d_cells, hard=ctx.hard
        )
        hidden_before = hiddens.index_select(0, before.clamp_min(0))
        first = torch.nonzero(before < 0)[:, 0]
        hidden_before[first] = hidden.repeat_interleave(ctx.sequences.lengths, 0)[first] if hidden.any() else 0.0
        steps, d_gates, hidden_before = len(d_gates), with_room(d_gates), with_room(hidden_before)
        d_weight = product(read.t(), d_gates).t()
        d_scales = d_gates[:, 4 * size :].split(size, dim=1) if weights else ()
        d_weights, start = [], inputs
        for number, weight in enumerate(weights, start=4):
            d_weights.append(d_weight[number * size : (number + 1) * size, start : start + weight.shape[1]])
            start += weight.shape[1]
        needed = ctx.needs_input_grad
        return (
            None,
            None,
            None,
            product(d_gates, weight_input)[:steps] if needed[3] else None,
            d_hidden,
            d_cell,
            d_weight[:, :inputs],
            product(hidden_before.t(), d_gates[:, : 4 * size]).t(),
            d_weight[:, -1],
            *(
                (d_scale @ weight)[:steps] if need else None
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


def behavior_lstm(
    recurrence: Recurrence,
    x: Tensor,
    signals: Sequence[Tensor],
    state: tuple[Tensor, Tensor],
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
    recurrence : Recurrence
    x : Tensor
        ``(S, input)``.
    signals, weights : sequence of Tensor
        Of the gates that scale the input gate, T before A: ``(S, ·)`` and ``(H, ·)`` each.
    state : tuple of Tensor
        ``(h, c)`` before each sequence, ``(B, H)`` each.
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
    sequences = Sequences(lengths.cumsum(0) - lengths, lengths, None if commit is None else commit.contiguous())
    # Under autocast some come in half precision; what is added up over steps does not.
    x, *given = (t.float() for t in (x, *signals, *state))
    outputs: tuple[Tensor, Tensor] = _BehaviorLSTM.apply(  # type: ignore[no-untyped-call]
        recurrence,
        sequences,
        hard,
        x,
        *given[len(signals) :],
        weight_input,
        weight_hidden,
        bias,
        *given[: len(signals)],
        *weights,
    )
    return outputs
