"""One level of the pyramid: its recurrence, its attention and its profile (Eq. 4, Eq. 5 and §4.5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hup.config import Network
from hup.nn.attention import Attention
from hup.nn.behavior_lstm import BehaviorLSTM
from hup.nn.dropout import Dropout
from hup.nn.gru import GRU


@dataclass(frozen=True)
class LevelProfile:
    """Profile of one level for ``Q`` queries.

    Attributes
    ----------
    vector : Tensor
        ``(Q, d)``, p_l of §4.5.
    weights : Tensor
        ``(P,)`` attention weights α of all pairs, query by query; without attention 1 for the last step, else 0.
    step, query : Tensor
        ``(P,)``; the pair's step (closed steps first, then open ones) and its query.
    """

    vector: Tensor
    weights: Tensor
    step: Tensor
    query: Tensor


class PyramidLevel(nn.Module):
    """One level.

    Parameters
    ----------
    input_size : int, optional
        None = the level has no recurrent layer of its own.
    interval_size, signal_size : int
        Sizes of the embeddings of intervals, and of the behavior type (over micro-behaviors) or dwell (over runs).
    output_size : int
        Size of the profile.
    network : Network
    time_gate, behavior_gate, signal : bool
        Whether the recurrent layer may have these gates here, and the attention its signal.
    """

    def __init__(
        self,
        input_size: int | None,
        interval_size: int,
        signal_size: int,
        output_size: int,
        network: Network,
        *,
        time_gate: bool = True,
        behavior_gate: bool = True,
        signal: bool = True,
    ) -> None:
        super().__init__()
        hidden = network.hidden
        self.rnn: BehaviorLSTM | GRU | None = None
        if input_size is not None and network.cell == "gru":
            self.rnn = GRU(input_size, hidden)
        elif input_size is not None:
            self.rnn = BehaviorLSTM(
                input_size,
                hidden,
                interval_size if time_gate and network.time_gate else 0,
                signal_size if behavior_gate and network.behavior_gate else 0,
                hard_gates=network.hard_gates,
            )
        self.attention = (
            Attention(
                hidden,
                signal_size if signal and network.attention_signal else 0,
                network.attention_hidden,
                squash=network.attention_tanh,
            )
            if network.attention
            else None
        )
        self.head = nn.Linear(hidden, output_size)
        self.tanh = network.head_tanh
        self.dropout = Dropout(network.dropout)

    def run(
        self, x: Tensor, interval: Tensor, signal: Tensor, lengths: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Run the recurrence over ragged sequences; see :meth:`BehaviorLSTM.run`."""
        assert self.rnn is not None, "the layer of another level stands in"
        return self.rnn.run(
            self.dropout(x),
            interval if self.rnn.interval_size else None,
            signal if self.rnn.behavior_size else None,
            lengths,
            state,
        )

    def profile(self, y: Tensor, signal: Tensor, last: Tensor, step: Tensor, query: Tensor) -> LevelProfile:
        """Attend over ``y`` and make the profile; see :meth:`Attention.forward`."""
        if self.attention is None:
            context, weights = last, torch.ones_like(query, dtype=last.dtype)
            weights[:-1] = (query[1:] != query[:-1]).to(last.dtype)  # a query's last step stands last among its pairs
        else:
            context, weights = self.attention(y, signal if self.attention.signal else None, last, step, query)
        vector = self.head(self.dropout(context))
        return LevelProfile(torch.tanh(vector) if self.tanh else vector, weights, step, query)
