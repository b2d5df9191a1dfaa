"""What models have in common that know of every code what it says for the others, and add up a session's codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.models.counted.evidence import EvidenceRecommender
from hup.models.counted.history_matrix import history_matrix
from hup.recommender.similar import Likeness
from hup.sessions.batches import Histories
from hup.sessions.levels import Level
from hup.sessions.runs import training_runs


class ItemToItemConfig(Section):
    """Options of all models that go from code to code."""

    neighbors: PositiveInt = Field(500, description="codes that are kept of every code: those it says most of")
    decay: float = Field(
        0.8,
        ge=0,
        le=1,
        description="weight of a run relative to the next one: 0 = the last run alone, 1 = all alike",
    )


class ItemToItem(EvidenceRecommender):
    """A recommender with a matrix for every level, of what each code says for each code.

    A session's evidence for a candidate is the sum over its codes, each at its last run, later ones weighing more.
    Negative sums are no evidence.
    """

    config: ItemToItemConfig
    levels_independent: ClassVar[bool] = True
    #: Whether a category level has a step for every item run, as the question is which category the next *item* is in,
    #: instead of one for every run of its own.
    item_runs: ClassVar[bool] = False

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._matrices: dict[str, sp.csr_array] | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Make the matrices from the training sessions of every level."""
        self._take(dataset)
        self._matrices = {
            level: self.matrix(*training_runs(dataset, level, self._of(level)), self.vocabulary.size(level))
            for level in self.levels
        }
        return self

    def _of(self, level: str) -> str:
        return "item" if self.item_runs else level

    @abstractmethod
    def matrix(self, codes: NDArray[np.int64], offsets: NDArray[np.int64], n_known: int) -> sp.csr_array:
        """Make the matrix of a level, ``(n_known, n_known)`` float32: in row ``i`` what ``i`` says for all codes.

        Parameters
        ----------
        codes, offsets : ndarray
            Steps of the training sessions (:func:`hup.sessions.runs.training_runs`).
        n_known : int
        """

    def found(self, histories: Histories, level: str) -> sp.csr_array:
        """Add up what the session's codes say."""
        matrix = self._fitted(self._matrices)[level]
        weights = history_matrix(histories, level, matrix.shape[0], self.config.decay, self._of(level))
        return sp.csr_array(weights @ matrix)

    def likeness(self, level: Level, code: int) -> Likeness:
        """Give what the code says for others; of codes that it says nothing for nothing is known."""
        said = torch.from_numpy(self._fitted(self._matrices)[level][[code]].toarray()[0])
        return Likeness(said.masked_fill(said <= 0, -torch.inf), "co-visits")

    def tensors(self) -> dict[str, Tensor]:
        """Matrices of every level in compressed rows."""
        parts = {}
        for level, matrix in self._fitted(self._matrices).items():
            for part in ("data", "indices", "indptr"):
                parts[f"{level}.{part}"] = torch.from_numpy(np.ascontiguousarray(getattr(matrix, part)))
        return parts

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the matrices."""

        def rows(level: str) -> Any:
            n = self.vocabulary.size(level)
            parts = (tensors[f"{level}.{part}"].numpy() for part in ("data", "indices", "indptr"))
            return sp.csr_array(tuple(parts), shape=(n, n))

        self._matrices = {level: rows(level) for level in self.levels}
