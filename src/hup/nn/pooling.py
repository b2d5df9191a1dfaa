"""How what was counted and what the profile says become one distribution.

With B the mixture of repeat, memory and popularity, ``E(v) ∝ exp(profile · v + bias_v)`` what the profile says of
everything, and N what followed the most similar profiles of training sessions,
``P(v) ∝ ((1 - dense - similar) B(v) + dense E(v) + similar N(v)) · exp(strength · profile · v)``. So the profile brings
in what nobody counted, and raises what is near to it in every part alike: it also says *which* item comes back. With
all three numbers 0 P is B.
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
    similar : Tensor
        ``(Q, m)``, N, each row with that sum, too; 0 where there is none.
    liking : Tensor
        ``(Q, m)``, dot products of the profile with the candidates' vectors.
    """

    base: Tensor
    dense: Tensor
    similar: Tensor
    liking: Tensor

    @classmethod
    def of(cls, base: Tensor, liking: Tensor, bias: Tensor, similar: Tensor | None = None) -> Pool:
        """Pool a mixture with likings; ``bias`` is ``(Q, m)``, ``-inf`` = the profile has no say.

        Rows of ``similar`` sum to 1, or to 0 where nothing is similar.
        """
        mass = base.sum(dim=1, keepdim=True)
        followed = base.new_zeros(()).expand(base.shape) if similar is None else similar * mass
        return cls(base, torch.nan_to_num(torch.softmax(liking + bias, dim=1)) * mass, followed, liking)

    def probabilities(self, dense: float, similar: float, strength: float) -> Tensor:
        """Give P, ``(Q, m)``, each row with the sum that it has in B."""
        raised = self._raised(strength)
        mixed = self.mixed(dense, similar) * raised
        mass = self.base.sum(dim=1, keepdim=True)
        shares: Tensor = mixed * (mass / mixed.sum(dim=1, keepdim=True).clamp(min=1e-30))
        return shares

    def at(self, column: Tensor) -> Pool:
        """Take some candidates of every query, ``(Q, M)``; their parts keep what they had of all."""
        return Pool(*(part.gather(1, column) for part in (self.base, self.dense, self.similar, self.liking)))

    def weighed(self, dense: float, similar: float) -> tuple[Tensor, Tensor, Tensor]:
        """Give the terms of :meth:`mixed`."""
        return (1 - dense - similar) * self.base, dense * self.dense, similar * self.similar

    def mixed(self, dense: float, similar: float) -> Tensor:
        """Give the weighed sum of B, E and N, ``(Q, m)``."""
        said = torch.lerp(self.base, self.dense, dense)
        return said + similar * (self.similar - self.base) if similar else said

    def sums(self, strength: float, column: Tensor) -> tuple[Tensor, Tensor]:
        """Sum what is raised, by B, E and N: of one candidate a query, ``(Q, 3)``, and of all, ``(Q, 3)``.

        For any shares, P of the candidate is the ratio of the sums weighed by them: many cost no more than one.
        """
        raised, at = self._raised(strength), column.unsqueeze(1)
        parts = [part * raised for part in (self.base, self.dense, self.similar)]
        of_one = torch.cat([part.gather(1, at) for part in parts], dim=1)
        return of_one, torch.stack([part.sum(dim=1) for part in parts], dim=1)

    def _raised(self, strength: float) -> Tensor:
        scaled = strength * self.liking
        # A factor a row changes nothing.
        return torch.exp(scaled - scaled.max(dim=1, keepdim=True).values)
