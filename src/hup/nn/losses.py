"""Losses over profiles."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cosine_proximity(profile: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean over a batch of the negative cosine between profile and target (Eq. 6).

    Parameters
    ----------
    profile, target : Tensor
        ``(Q, d)``.
    counted : Tensor, optional
        ``(Q,)`` bool, the rows that have a target; default all.

    Returns
    -------
    Tensor
        ``()``; 0, with gradients of 0, where no row counts.
    """
    cosine = functional.cosine_similarity(profile, target, dim=1)
    if counted is None or bool(counted.all()):
        return -cosine.mean()
    return -(cosine * counted).sum() / counted.sum().clamp(min=1)
