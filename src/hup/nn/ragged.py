"""Ragged groups of rows: sums and softmax over them, and sequences laid out step by step, without padding.

Rows are gathered by `index_select`, whose backward pass adds in a fixed order; indexing with a tensor does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


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
