"""Attention of one level over the steps of a history (Eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hup.nn.ragged import segment_softmax, segment_sum


class Attention(nn.Module):
    """Weighted sum of a level's outputs, ``s = Σ α_i y_i`` with ``α = softmax(f(y_i, y_T, a_i))`` (Eq. 5).

    ``f`` is a two-layer network: ``f = v · tanh(W_y y_i + W_T y_T + W_a a_i + b) + v_0``.

    Parameters
    ----------
    size : int
        Size of ``y``.
    signal_size : int
        Size of ``a`` (embedding of the behavior type, or of the dwell time); 0 = no signal.
    hidden_size : int
        Hidden units of ``f``; 0 makes ``f`` a single linear layer.
    squash : bool
        Pass the scores through tanh, as in the authors' code. It caps the ratio of two weights at e².
    """

    def __init__(self, size: int, signal_size: int, hidden_size: int, *, squash: bool = False) -> None:
        super().__init__()
        width = hidden_size or 1
        self.output = nn.Linear(size, width)
        self.last = nn.Linear(size, width, bias=False)
        self.signal = nn.Linear(signal_size, width, bias=False) if signal_size else None
        self.score = nn.Linear(hidden_size, 1) if hidden_size else None
        self.squash = squash

    def forward(
        self, y: Tensor, signal: Tensor | None, last: Tensor, step: Tensor, query: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend from each query over its steps.

        Parameters
        ----------
        y : Tensor
            ``(S, size)``, outputs of the level.
        signal : Tensor or None
            ``(S, signal)``, a_i of each output.
        last : Tensor
            ``(Q, size)``, y_T of each query.
        step, query : Tensor
            ``(P,)`` int64: pair p says that query ``query[p]`` looks at output ``step[p]``.

        Returns
        -------
        context : Tensor
            ``(Q, size)``, s of each query.
        weights : Tensor
            ``(P,)``, α of each pair.
        """
        keys = self.output(y)
        if self.signal is not None:
            assert signal is not None
            keys = keys + self.signal(signal)
        hidden = keys.index_select(0, step) + self.last(last).index_select(0, query)
        scores = (hidden if self.score is None else self.score(torch.tanh(hidden))).squeeze(1)
        if self.squash:
            scores = torch.tanh(scores)
        weights = segment_softmax(scores, query, last.shape[0])
        return segment_sum(weights.unsqueeze(1) * y.index_select(0, step), query, last.shape[0]), weights
