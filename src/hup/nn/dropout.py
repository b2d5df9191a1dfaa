"""Dropout that draws eight numbers at once: PyTorch's own draws one at a time, which is a tenth of a training step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_PARTS = 256  # a share is rounded to one of so many


class Dropout(nn.Module):
    """Zeros out a share of all numbers in training, and scales the others up so that the mean stays.

    Parameters
    ----------
    share : float
        From 0 to below 1; it is rounded to 256ths.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped = min(round(share * _PARTS), _PARTS - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Drop from ``x`` of any shape; outside training it stays as it is."""
        if not self.training or not self.dropped:
            return x
        drawn = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = drawn.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(_PARTS / (_PARTS - self.dropped))
