"""Ragged groups of rows: sums, softmax and GRUs over them, without padding.

Rows are gathered by `index_select`, whose backward pass adds in a fixed order; indexing with a tensor does not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from hup.nn.behavior_lstm import Packing


def segment_softmax(scores: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Softmax within each segment.

    Parameters
    ----------
    scores : Tensor
        ``(P,)``.
    segment : Tensor
        ``(P,)`` int64, the segment of each score.
    n_segments : int

    Returns
    -------
    Tensor
        ``(P,)``, summing to 1 in each segment that has a score.
    """
    highest = scores.new_full((n_segments,), -torch.inf).scatter_reduce(0, segment, scores.detach(), "amax")
    exponent = torch.exp(scores - highest.index_select(0, segment))
    return exponent / segment_sum(exponent, segment, n_segments).index_select(0, segment)


def segment_sum(values: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Sum rows within each segment: ``(P, …)`` → ``(n_segments, …)``; a segment without rows is 0."""
    return values.new_zeros(n_segments, *values.shape[1:]).index_add(0, segment, values)


def run_gru(gru: nn.GRU, x: Tensor, lengths: Tensor, state: Tensor | None = None) -> Tensor:
    """Run a one-layer GRU over sequences that stand one after the other.

    Parameters
    ----------
    gru : nn.GRU
        One layer, one direction.
    x : Tensor
        ``(S, input)``.
    lengths : Tensor
        ``(B,)`` int64, summing to ``S``; a length may be 0.
    state : Tensor, optional
        ``(B, H)``; default zeros.

    Returns
    -------
    Tensor
        ``(S, H)``, the hidden state after each step, in the order of ``x``.
    """
    if not len(x):
        return x.new_zeros(0, gru.hidden_size)
    packing = Packing.of(lengths.to(x.device))
    running = packing.order[: packing.batch_sizes[0]]  # sequences with a step
    packed = PackedSequence(x.index_select(0, packing.index), torch.tensor(packing.batch_sizes))
    first = None if state is None else state.index_select(0, running).unsqueeze(0)
    output, _ = gru(packed, first)
    hidden: Tensor = output.data.index_select(0, packing.place)
    return hidden
