"""How far the vectors of a table still differ: the alarm for a loss that is solved by making all vectors equal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

#: Vectors pointing the same way on average, or spanning hardly more than one direction, cannot rank anything.
ALARM_COSINE = 0.9
ALARM_RANK = 1.5


@dataclass(frozen=True)
class Spread:
    """Spread of a table's vectors.

    Attributes
    ----------
    mean_cosine : float
        Mean cosine over all pairs of different vectors.
    effective_rank : float
        Exponential of the entropy of the normalised singular values, from 1 to the vector size (Roy and Vetterli 2007).
    vectors : int
        Number of rows.
    """

    mean_cosine: float
    effective_rank: float
    vectors: int

    @property
    def collapsed(self) -> bool:
        """Whether the table can hardly tell its rows apart."""
        return self.vectors > 1 and (self.mean_cosine > ALARM_COSINE or self.effective_rank < ALARM_RANK)


def spread(vectors: Tensor) -> Spread:
    """Measure a table, ``(n, d)``; a single vector has nothing to tell apart and never counts as collapsed."""
    n = vectors.shape[0]
    if n < 2:
        return Spread(1.0, 1.0, n)
    unit = functional.normalize(vectors.detach().double(), dim=1)
    # The sum over all pairs is the squared length of the sum of unit vectors.
    mean_cosine = (unit.sum(0).square().sum() - unit.square().sum()) / (n * (n - 1))
    # Singular values by way of the (d, d) Gram matrix: cheap for any number of rows.
    singular = torch.linalg.eigvalsh(unit.t() @ unit).clamp(min=0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(singular.dtype).tiny)
    entropy = -torch.special.xlogy(share, share).sum()
    return Spread(float(mean_cosine), float(entropy.exp()), n)
