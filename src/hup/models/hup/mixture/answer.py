"""What was counted says of queries, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.models.hup.mixture.co_visits import CoVisits
from hup.models.hup.mixture.visits import Visits
from hup.nn.mixture import Mixed


@dataclass(frozen=True)
class Counts:
    """What is counted of the known codes of a level.

    Attributes
    ----------
    co_visits : CoVisits
    popularity : Tensor
        ``(n,)``, runs of every code.
    """

    co_visits: CoVisits
    popularity: Tensor


@dataclass(frozen=True)
class Answer:
    """What was counted says of every query at a level, with what it is made of.

    Attributes
    ----------
    counts : Counts
    visits : Visits
    mixed : Mixed
    support : ndarray
        ``(P, 3)``, how much is known of the neighbours of every visit's code, by relation.
    parent : ndarray
        ``(P,)`` int64, code of the next coarser level that every visit's code belongs to; -1 = none.
    path : ndarray
        ``(P, K)`` int64, categories of the item of every visit's run.
    """

    counts: Counts
    visits: Visits
    mixed: Mixed
    support: NDArray[np.float64]
    parent: NDArray[np.int64]
    path: NDArray[np.int64]

    def shares(self) -> list[float]:
        """Weigh the visits of a single query by what they bring to repeat and memory; they sum to 1."""
        repeat, memory = self.mixed.weights[0, :2]
        weights = repeat * self.mixed.repeat + memory * self.mixed.memory.sum(dim=1)
        total = float(weights.sum())
        # A session of one run that training never saw has nothing to repeat or to remember.
        shares: list[float] = (weights / total if total > 0 else torch.full_like(weights, 1 / len(weights))).tolist()
        return shares
