"""The contract of every recommender: fit on the training split, score items and categories of every level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from hup.data.batches import Histories
from hup.data.dataset import Dataset


@dataclass(frozen=True)
class Scores:
    """Scores of one level for ``B`` histories; higher is better.

    Attributes
    ----------
    known : Tensor
        ``(B, n_known)``, every code of the training vocabulary.
    own : Tensor
        ``(B, U)``, the history's own codes that the vocabulary lacks.
    own_codes : Tensor
        ``(B, U)`` int64, their codes, ``-1`` = padding.
    """

    known: Tensor
    own: Tensor
    own_codes: Tensor


class Recommender(ABC):
    """A model that ranks items and categories for session prefixes.

    Levels are named ``"item"`` and ``"category_1"`` (coarsest) … ``"category_K"`` (finest).
    """

    name: ClassVar[str]

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn from the dataset's training split alone (model selection may look at the validation split)."""

    @abstractmethod
    def score(self, histories: Histories, level: str) -> Scores:
        """Score every candidate of a level for each history."""
