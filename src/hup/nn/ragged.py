"""Sums and softmax over ragged groups of rows.

Rows are gathered by `index_select`, whose backward pass adds in a fixed order; indexing with a tensor does not.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
