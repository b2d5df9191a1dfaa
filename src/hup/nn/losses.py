"""Losses over profiles."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cosine_proximity(profile: Tensor, target: Tensor) -> Tensor:
    """Mean over a batch of the negative cosine between profile and target (Eq. 6); both ``(Q, d)``, result ``()``."""
    return -functional.cosine_similarity(profile, target, dim=1).mean()
