"""Behavior-LSTM (Eq. 4): an LSTM whose input gate is scaled by a time gate T and a behavior gate A."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hup.nn.kernels import fused
from hup.nn.kernels.layer import behavior_lstm
from hup.nn.kernels.reference import hard_sigmoid
from hup.nn.kernels.serving import recurrence_for

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Packing:
    """Where the steps of ``B`` sequences stand once they are laid out step by step, longest sequence first.

    Attributes
    ----------
    order : Tensor
        ``(B,)`` sequences by falling length.
    index : Tensor
        ``(S,)`` flat (sequence-major) step that stands at each packed place.
    place : Tensor
        ``(S,)`` packed place of each flat step; the inverse of ``index``.
    batch_sizes : list of int
        Rows that are still running at each step, non-increasing; their sum is ``S``.
    """

    order: Tensor
    index: Tensor
    place: Tensor
    batch_sizes: list[int]

    @classmethod
    def of(cls, lengths: Tensor) -> Packing:
        """Pack sequences of the given lengths, ``(B,)``; a length may be 0."""
        longest = int(lengths.max()) if lengths.numel() else 0
        order = torch.argsort(lengths, descending=True, stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(order.numel(), device=order.device)
        # Rows running at step t: all sequences longer than t.
        ended = torch.bincount(lengths, minlength=longest + 1)[:longest].cumsum(0)
        sizes = lengths.numel() - ended
        step_start = sizes.cumsum(0) - sizes
        row = torch.repeat_interleave(torch.arange(lengths.numel(), device=lengths.device), lengths)
        starts = lengths.cumsum(0) - lengths
        time = torch.arange(row.numel(), device=row.device) - starts[row]
        place = step_start[time] + rank[row] if row.numel() else row
        index = torch.empty_like(place)
        index[place] = torch.arange(place.numel(), device=place.device)
        return cls(order, index, place, sizes.tolist())


class BehaviorLSTM(nn.Module):
    """Recurrent layer of the pyramid (Eq. 4).

    ``T = σ(W_T [x, Δ] + b_T)`` and ``A = σ(W_A [x, a] + b_A)`` do not depend on the hidden state, so all input
    projections are one matrix product for the whole sequence, and the recurrence is that of an LSTM with
    ``C_t = F_t ⊙ C_{t-1} + I_t ⊙ (T_t ⊙ A_t) ⊙ C̃_t``. A gate of size 0 is absent (= 1): without both this is an LSTM,
    with the time gate alone the layer of the HUP-TLSTM ablation.

    Parameters
    ----------
    input_size, hidden_size : int
        Sizes of ``x_t`` and ``h_t``.
    interval_size, behavior_size : int
        Sizes of ``Δ_t`` (embedding of the time to the next behavior) and of ``a_t`` (embedding of the behavior
        type, or of the dwell time); 0 = no such gate.
    hard_gates : bool
        Hard sigmoid ``clip(0.2 x + 0.5, 0, 1)`` in all gates, as in the authors' code.

    Attributes
    ----------
    weight_input : Parameter
        ``(6H, input)``, gate order I, F, C, O, T, A; the rows of an absent gate are absent.
    weight_hidden : Parameter
        ``(4H, H)``, gate order I, F, C, O.
    weight_interval : Parameter or None
        ``(H, interval)``.
    weight_behavior : Parameter or None
        ``(H, behavior)``.
    bias : Parameter
        ``(6H,)``, forget part 1 at the start; the parts of an absent gate are absent.
    """

    weight_interval: nn.Parameter | None
    weight_behavior: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        interval_size: int = 0,
        behavior_size: int = 0,
        *,
        hard_gates: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.interval_size, self.behavior_size = interval_size, behavior_size
        self.hard_gates = hard_gates
        n_gates = 4 + (interval_size > 0) + (behavior_size > 0)
        self.weight_input = nn.Parameter(torch.empty(n_gates * hidden_size, input_size))
        self.weight_hidden = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(n_gates * hidden_size))
        for name, size in (("weight_interval", interval_size), ("weight_behavior", behavior_size)):
            self.register_parameter(name, nn.Parameter(torch.empty(hidden_size, size)) if size else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot-uniform input weights, orthogonal recurrent weights, zero biases but 1 for the forget gate."""
        size = self.hidden_size
        for weight in (self.weight_input, self.weight_interval, self.weight_behavior):
            if weight is not None:
                for gate in weight.data.split(size):
                    nn.init.xavier_uniform_(gate)
        for gate in self.weight_hidden.data.split(size):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(self.bias)
        self.bias.data[size : 2 * size] = 1.0

    def extra_repr(self) -> str:
        """Sizes, as ``print(module)`` shows them."""
        return f"{self.input_size}, {self.hidden_size}, interval={self.interval_size}, behavior={self.behavior_size}"

    def forward(
        self,
        x: Tensor,
        interval: Tensor | None = None,
        behavior: Tensor | None = None,
        commit: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a padded batch of sequences.

        Parameters
        ----------
        x : Tensor
            ``(B, T, input)``.
        interval, behavior : Tensor, optional
            ``(B, T, interval)`` and ``(B, T, behavior)``; each is required where the layer has that gate.
        commit : Tensor, optional
            ``(B, T)`` bool. Where False the output is provisional: the next step starts from the last committed state.
            Padding at the end is simply not committed. Default: every step is committed.
        state : tuple of Tensor, optional
            ``(h, c)``, each ``(B, H)``; default zeros.

        Returns
        -------
        outputs : Tensor
            ``(B, T, H)``, the hidden state that each step computes.
        state : tuple of Tensor
            The last committed ``(h, c)``, each ``(B, H)``.
        """
        batch, steps, _ = x.shape
        if state is None:
            zeros = x.new_zeros(batch, self.hidden_size)
            state = (zeros, zeros)
        if batch == 0 or steps == 0:
            return x.new_zeros(batch, steps, self.hidden_size), state
        flat = [None if t is None else t.reshape(batch * steps, -1) for t in (x, interval, behavior)]
        assert flat[0] is not None
        lengths = torch.full((batch,), steps, device=x.device)
        flat_commit = None if commit is None else commit.reshape(-1)
        hidden, cell = self._recur(flat[0], flat[1], flat[2], lengths, flat_commit, state)
        hidden, cell = hidden.view(batch, steps, -1), cell.view(batch, steps, -1)
        if commit is None:
            return hidden, (hidden[:, -1], cell[:, -1])
        return hidden, _last_committed(hidden, cell, commit, state)

    def project(self, x: Tensor, interval: Tensor | None, behavior: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute all that does not depend on the hidden state.

        Parameters
        ----------
        x, interval, behavior : Tensor
            ``(S, input)``, ``(S, interval)``, ``(S, behavior)``.

        Returns
        -------
        gates : Tensor
            ``(S, 4H)``, pre-activations of I, F, C, O.
        scale : Tensor or None
            ``(S, H)``, T ⊙ A; None where both gates are absent.
        """
        self._check(interval, behavior)
        size = self.hidden_size
        projected = torch.addmm(self.bias, x, self.weight_input.t())
        parts = projected[:, 4 * size :].split(size, dim=1) if projected.shape[1] > 4 * size else ()
        sigmoid = hard_sigmoid if self.hard_gates else torch.sigmoid
        scale: Tensor | None = None
        signals = ((interval, self.weight_interval), (behavior, self.weight_behavior))
        present = [(signal, weight) for signal, weight in signals if signal is not None and weight is not None]
        for part, (signal, weight) in zip(parts, present, strict=True):
            gate = sigmoid(torch.addmm(part, signal, weight.t()))
            scale = gate if scale is None else scale * gate
        return projected[:, : 4 * size], scale

    def run(self, x: Tensor, interval: Tensor | None, behavior: Tensor | None, lengths: Tensor, state: State) -> State:
        """Run over ragged sequences, every step committed, no padding.

        Parameters
        ----------
        x, interval, behavior : Tensor
            ``(S, ·)``, the sequences one after the other.
        lengths : Tensor
            ``(B,)`` int64, summing to ``S``; 0 is allowed.
        state : tuple of Tensor
            ``(h, c)``, each ``(B, H)``.

        Returns
        -------
        hidden, cell : Tensor
            ``(S, H)``, after each step, in the order of ``x``.
        """
        if x.shape[0] == 0:
            return x.new_zeros(0, self.hidden_size), x.new_zeros(0, self.hidden_size)
        return self._recur(x, interval, behavior, lengths, None, state)

    def _recur(
        self,
        x: Tensor,
        interval: Tensor | None,
        behavior: Tensor | None,
        lengths: Tensor,
        commit: Tensor | None,
        state: State,
    ) -> State:
        """Run over ragged sequences, by the kernel where it is there; ``commit`` is ``(S,)``."""
        recurrence = recurrence_for(x)
        if recurrence is not None:
            self._check(interval, behavior)
            return behavior_lstm(
                recurrence,
                x,
                [signal for signal in (interval, behavior) if signal is not None],
                state,
                self.weight_input,
                self.weight_hidden,
                self.bias,
                [weight for weight in (self.weight_interval, self.weight_behavior) if weight is not None],
                lengths,
                commit,
                hard=self.hard_gates,
            )
        gates, scale = self.project(x, interval, behavior)
        packing = Packing.of(lengths)
        hidden, cell = fused.behavior_lstm(
            gates.index_select(0, packing.index),
            None if scale is None else scale.index_select(0, packing.index),
            self.weight_hidden,
            state[0].index_select(0, packing.order),
            state[1].index_select(0, packing.order),
            packing.batch_sizes,
            None if commit is None else commit.index_select(0, packing.index),
            hard=self.hard_gates,
        )
        return hidden.index_select(0, packing.place), cell.index_select(0, packing.place)

    def _check(self, interval: Tensor | None, behavior: Tensor | None) -> None:
        """Refuse a signal without its gate, and a gate without its signal."""
        for name, signal, size in (
            ("interval", interval, self.interval_size),
            ("behavior", behavior, self.behavior_size),
        ):
            if (signal is None) != (size == 0):
                given = "none was given" if signal is None else "one was given"
                raise ValueError(
                    f"this layer has {name}_size={size}, so {name} {'is needed' if size else 'must be None'}: {given}"
                )


def _last_committed(hidden: Tensor, cell: Tensor, commit: Tensor, state: State) -> State:
    """Last committed state of each row; ``hidden`` and ``cell`` are ``(B, T, H)``, ``commit`` is ``(B, T)``."""
    steps = torch.arange(1, commit.shape[1] + 1, device=commit.device)
    last = (commit * steps).amax(dim=1)  # 0 = never
    rows = torch.arange(commit.shape[0], device=commit.device)
    first_hidden, first_cell = state
    return (
        torch.cat([first_hidden.unsqueeze(1), hidden], dim=1)[rows, last],
        torch.cat([first_cell.unsqueeze(1), cell], dim=1)[rows, last],
    )
