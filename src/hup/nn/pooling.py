"""How what was counted and what the profile says become one distribution.

With B the mixture of repeat, memory and popularity, and ``E(v) ∝ exp(profile · v + bias_v)`` what the profile says of
everything, ``P(v) ∝ ((1 - share) B(v) + share E(v)) · exp(strength · profile · v)``. So the profile brings in what
nobody counted, and raises what is near to it in every part alike: it also says *which* item comes back. With both
numbers 0 P is B.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """What is pooled, for ``Q`` queries and their candidates.

    Attributes
    ----------
    base : Tensor
        ``(Q, m)``, B; a row may sum to less than 1.
    dense : Tensor
        ``(Q, m)``, E, each row with the sum that it has in ``base``.
    liking : Tensor
        ``(Q, m)``, dot products of the profile with the candidates' vectors.
    """

    base: Tensor
    dense: Tensor
    liking: Tensor

    @classmethod
    def of(cls, base: Tensor, liking: Tensor, bias: Tensor) -> Pool:
        """Pool a mixture with likings; ``bias`` is ``(Q, m)``, ``-inf`` = the profile has no say."""
        mass = base.sum(dim=1, keepdim=True)
        return cls(base, torch.nan_to_num(torch.softmax(liking + bias, dim=1)) * mass, liking)

    def probabilities(self, share: float, strength: float) -> Tensor:
        """Give P, ``(Q, m)``, each row with the sum that it has in B."""
        raised = self._raised(strength)
        mixed = torch.lerp(self.base, self.dense, share) * raised
        mass = self.base.sum(dim=1, keepdim=True)
        shares: Tensor = mixed * (mass / mixed.sum(dim=1, keepdim=True).clamp(min=1e-30))
        return shares

    def sums(self, strength: float, column: Tensor) -> tuple[Tensor, Tensor]:
        """Sum what is raised, by B and by E: of one candidate a query, ``(Q, 2)``, and of all, ``(Q, 2)``.

        For any ``share``, P of the candidate is the ratio of the sums weighed by it: many shares cost no more than one.
        """
        raised = self._raised(strength)
        both = torch.stack([self.base * raised, self.dense * raised], dim=2)
        rows = torch.arange(len(column))
        return both[rows, column], both.sum(dim=1)

    def _raised(self, strength: float) -> Tensor:
        scaled = strength * self.liking
        # A factor a row changes nothing.
        return torch.exp(scaled - scaled.max(dim=1, keepdim=True).values)
