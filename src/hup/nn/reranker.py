"""A learned order of candidates: what their signals say together is added to the logarithm of their probability."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hup.nn.products import Linear

_SPAN = 4.0  # standard deviations beyond which a signal says no more


class Reranker(nn.Module):
    """Two hidden layers over the signals of every candidate; it starts as nothing.

    Parameters
    ----------
    n_signals : int
        Signals F of a candidate.
    hidden : int
        Units of a layer.

    Attributes
    ----------
    mean, spread : Parameter
        ``(F,)``, by which signals are made comparable; not learned by descent.
    """

    def __init__(self, n_signals: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(n_signals, hidden),
            nn.SiLU(),
            Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 1, bias=False),
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        self.mean = nn.Parameter(torch.zeros(n_signals))
        self.spread = nn.Parameter(torch.ones(n_signals))
        self.requires_grad_(False)  # it is taught apart from the rest of a network

    def settle(self, signals: Tensor) -> None:
        """Make signals ``(N, F)`` comparable, from now on."""
        self.mean.data.copy_(signals.mean(dim=0))
        self.spread.data.copy_(signals.std(dim=0).clamp(min=1e-3))

    def comparable(self, signals: Tensor) -> Tensor:
        """Make signals ``(..., F)`` comparable with each other."""
        return ((signals - self.mean) / self.spread).clamp(-_SPAN, _SPAN)

    def of_comparable(self, signals: Tensor) -> Tensor:
        """Give what is added for signals ``(Q, M, F)`` that have been made comparable: ``(Q, M)``."""
        said: Tensor = self.layers(signals)
        return said.squeeze(2)

    def forward(self, signals: Tensor) -> Tensor:
        """Give what is added to each candidate's logarithm, for signals ``(Q, M, F)``: ``(Q, M)``."""
        return self.of_comparable(self.comparable(signals))
