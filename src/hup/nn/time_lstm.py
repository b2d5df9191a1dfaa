"""Time-LSTM (Zhu et al. 2017): an LSTM whose time gates see how long the user took until the next item."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hup.nn.behavior_lstm import Packing

Version = Literal[1, 2, 3]
State = tuple[Tensor, Tensor]


class TimeLSTMLayer(nn.Module):
    """Versions 1, 2 and 3 of the Time-LSTM.

    Version 1 is an LSTM with peepholes, whose input gate is scaled by ``T = σ(W_xt x + tanh(W_tt Δ) + b_t)`` and whose
    output gate sees Δ, too. Version 2 has two time gates: T1 decides what of the item counts for the next
    recommendation, T2 what is kept for later ones. ``W_t1 <= 0``, so the longer the interval, the less an
    item counts now. Version 3 couples the gates: what is let in replaces as much of what was there, and there is no
    forget gate.

    A state ``(h, c)`` is carried on; the output of a step is made of its own provisional cell in versions 2 and 3.

    Parameters
    ----------
    input_size, hidden_size : int
    version : {1, 2, 3}
    """

    def __init__(self, input_size: int, hidden_size: int, version: Version = 1) -> None:
        super().__init__()
        self.hidden_size, self.version = hidden_size, version
        self.gates = ("input", "cell", "output", *(("forget",) if version < 3 else ()))
        n_gates, n_times = len(self.gates), 1 if version == 1 else 2
        self.project_input = nn.Linear(input_size, (n_gates + n_times) * hidden_size)
        self.project_hidden = nn.Linear(hidden_size, n_gates * hidden_size, bias=False)
        self.weight_interval = nn.Parameter(torch.empty(n_times, hidden_size).uniform_(-0.1, 0.1))
        self.weight_output_interval = nn.Parameter(torch.zeros(hidden_size))
        # Peepholes of the input, forget and output gates.
        self.peephole = nn.Parameter(torch.zeros(2 if version == 3 else 3, hidden_size))
        if version < 3:
            start = self.gates.index("forget") * hidden_size
            self.project_input.bias.data[start : start + hidden_size] = 1.0

    def interval_weights(self) -> Tensor:
        """Give the interval's weights in the time gates, ``(n_times, H)``; that of T1 is never above 0."""
        if self.version == 1:
            return self.weight_interval
        return torch.stack([-functional.softplus(self.weight_interval[0]), self.weight_interval[1]])

    def time_gates(self, projected: Tensor, interval: Tensor) -> Tensor:
        """Compute T, or T1 and T2, ``(n_times, S, H)``.

        Parameters
        ----------
        projected : Tensor
            ``(S, ·)``, from ``project_input``.
        interval : Tensor
            ``(S,)``, a number that grows with the time to the next item.
        """
        weights = self.interval_weights()
        of_input = projected[:, len(self.gates) * self.hidden_size :].view(len(interval), len(weights), -1)
        of_time = torch.tanh(interval.view(-1, 1, 1) * weights)
        return torch.sigmoid(of_input + of_time).transpose(0, 1)

    def step(self, projected: Tensor, times: Tensor, interval: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Make one step for every row.

        Parameters
        ----------
        projected, times, interval : Tensor
            ``(R, ·)``, ``(n_times, R, H)`` and ``(R,)``.
        state : tuple of Tensor
            ``(h, c)``, each ``(R, H)``.

        Returns
        -------
        hidden, cell : Tensor
            ``(R, H)``.
        """
        h, c = state
        size = self.hidden_size
        parts = projected[:, : len(self.gates) * size] + self.project_hidden(h)
        of = dict(zip(self.gates, parts.split(size, dim=1), strict=True))
        let_in = torch.sigmoid(of["input"] + self.peephole[0] * c)
        new = torch.tanh(of["cell"])
        if self.version == 3:
            provisional = (1 - let_in * times[0]) * c + let_in * times[0] * new
            kept = (1 - let_in) * c + let_in * times[1] * new
        else:
            forget = torch.sigmoid(of["forget"] + self.peephole[2] * c)
            provisional = forget * c + let_in * times[0] * new
            kept = provisional if self.version == 1 else forget * c + let_in * times[1] * new
        seen = of["output"] + interval.unsqueeze(1) * self.weight_output_interval + self.peephole[1] * provisional
        return torch.sigmoid(seen) * torch.tanh(provisional), kept

    def forward(self, x: Tensor, interval: Tensor, open_interval: Tensor, lengths: Tensor) -> Tensor:
        """Hidden state at every step, with what is known at that moment.

        A step is made twice: once *open*, with the interval that is known while the user is on the item, which gives
        the output; once *closed*, with the interval that has passed by the time of the next one, which is carried on.
        So no output knows when its target comes, unless ``open_interval`` tells it.

        Parameters
        ----------
        x : Tensor
            ``(S, input)``, sequences one after the other.
        interval, open_interval : Tensor
            ``(S,)``.
        lengths : Tensor
            ``(B,)`` int64, summing to ``S``, each at least 1.

        Returns
        -------
        Tensor
            ``(S, H)``.
        """
        projected = self.project_input(x)
        packing = Packing.of(lengths.to(x.device))
        in_order = projected.index_select(0, packing.index)
        passed = interval.index_select(0, packing.index)
        times = self.time_gates(in_order, passed)
        rows = packing.batch_sizes[0]
        h, c = x.new_zeros(rows, self.hidden_size), x.new_zeros(rows, self.hidden_size)
        before_h, before_c, start = [], [], 0
        for size in packing.batch_sizes:
            h, c = h[:size], c[:size]
            before_h.append(h)
            before_c.append(c)
            stop = start + size
            h, c = self.step(in_order[start:stop], times[:, start:stop], passed[start:stop], (h, c))
            start = stop
        shown = open_interval.index_select(0, packing.index)
        state = (torch.cat(before_h), torch.cat(before_c))
        output, _ = self.step(in_order, self.time_gates(in_order, shown), shown, state)
        hidden: Tensor = output.index_select(0, packing.place)
        return hidden
