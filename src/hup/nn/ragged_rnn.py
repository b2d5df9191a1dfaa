"""PyTorch's own recurrent layers over ragged sequences, without padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from hup.nn.kernels.packing import Packing


def run_gru(gru: nn.GRU, x: Tensor, lengths: Tensor, state: Tensor | None = None) -> Tensor:
    """Run a one-layer GRU over sequences that stand one after the other.

    Parameters
    ----------
    gru : nn.GRU
        One layer, one direction.
    x : Tensor
        ``(S, input)``.
    lengths : Tensor
        ``(B,)`` int64, summing to ``S``, each at least 1.
    state : Tensor, optional
        ``(B, H)``; default zeros.

    Returns
    -------
    Tensor
        ``(S, H)``, the hidden state after each step, in the order of ``x``.
    """
    packing = Packing.of(lengths)
    packed = PackedSequence(x.index_select(0, packing.index), torch.tensor(packing.batch_sizes))
    first = None if state is None else state.index_select(0, packing.order).unsqueeze(0)
    output, _ = gru(packed, first)
    hidden: Tensor = output.data.index_select(0, packing.place)
    return hidden
