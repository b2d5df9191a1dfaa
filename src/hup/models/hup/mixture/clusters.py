"""Vectors in groups that lie together, so that the nearest ones are found without a look at all."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ROUNDS = 5
_VECTORS_AT_ONCE = 8192


def clustered(vectors: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Cluster vectors of length 1 by cosine (spherical k-means, begun from evenly spaced ones).

    Parameters
    ----------
    vectors : Tensor
        ``(N, d)``.
    n : int
        Clusters, 1 to N. Some may end up empty.

    Returns
    -------
    centers, cluster : Tensor
        ``(n, d)``, of length 1, and ``(N,)`` int64.
    """
    centers = vectors[torch.linspace(0, len(vectors) - 1, n).long().to(vectors.device)]
    for _ in range(_ROUNDS):
        sums = torch.zeros_like(centers).index_add_(0, nearest(vectors, centers), vectors)
        there = sums.any(dim=1, keepdim=True)
        centers = torch.where(there, functional.normalize(sums), centers)
    return centers, nearest(vectors, centers)


def nearest(vectors: Tensor, centers: Tensor) -> Tensor:
    """Find the center with the greatest cosine to each vector, ``(N,)``."""
    return torch.cat([(some @ centers.t()).argmax(dim=1) for some in vectors.split(_VECTORS_AT_ONCE)])
