"""Ragged sequences in time-major order, so that each recurrent step works on full rows and never on padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
