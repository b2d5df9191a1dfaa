"""Item-KNN: what appeared in the same sessions (Deshpande and Karypis 2004), as §5.3 of the paper writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.models.counted.evidence import EvidenceRecommender
from hup.models.counted.history_matrix import history_matrix
from hup.sessions.batches import Histories
from hup.sessions.runs import session_matrix, training_runs

ITEMS_PER_BLOCK = 4096


class ItemKNNConfig(Section):
    """Options of Item-KNN."""

    neighbors: PositiveInt = Field(500, description="most similar codes that are kept of every code")
    decay: float = Field(
        0.8,
        ge=0,
        le=1,
        description="weight of a run relative to the next one: 0 = the last run alone, 1 = all alike",
    )
    itself: bool = Field(False, description="count a code as similar to itself, by the same formula")
    damping: float = Field(
        0.0, ge=0, description="added to Freq(i) and Freq(j) in the denominator, so that rare codes count less"
    )


class ItemKNN(EvidenceRecommender):
    """Similar to what the session visited, by ``sim(i, j) = Freq(ij) / (Freq(i) · Freq(j))`` (§5.3).

    ``Freq`` counts the training sessions in which a code, or both codes, show up. A session's score of a candidate is
    the sum of its similarities to the session's codes, later ones weighing more.
    """

    kind: ClassVar[str] = "item-knn"
    options: ClassVar[type[Section]] = ItemKNNConfig
    config: ItemKNNConfig
    levels_independent: ClassVar[bool] = True
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("itself=true",),
        ("itself=true", "decay=0.95"),
        ("decay=0.95",),
        ("decay=0.5",),
        ("decay=0.0",),
    )

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._similar: dict[str, sp.csr_array] | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Count in how many training sessions codes, and pairs of them, show up."""
        self._take(dataset)
        self._similar = {
            level: self._similarities(session_matrix(*training_runs(dataset, level), self.vocabulary.size(level)))
            for level in self.levels
        }
        return self

    def _similarities(self, sessions: sp.csr_array) -> sp.csr_array:
        """Keep the most similar codes of every code, ``(n, n)``, from sessions ``(S, n)`` of 0 and 1."""
        frequency = np.asarray(sessions.sum(axis=0)).ravel() + self.config.damping
        inverse = sp.diags_array(1 / np.maximum(frequency, 1e-12))
        columns = sp.csc_array(sessions)
        blocks = []
        for low in range(0, sessions.shape[1], ITEMS_PER_BLOCK):
            together = sp.csr_array(columns[:, low : low + ITEMS_PER_BLOCK].T @ sessions)
            if not self.config.itself:
                together.setdiag(0, k=low)
                together.eliminate_zeros()
            of_block = sp.diags_array(inverse.diagonal()[low : low + ITEMS_PER_BLOCK])
            blocks.append(_highest(sp.csr_array(of_block @ together @ inverse), self.config.neighbors))
        return sp.csr_array(sp.vstack(blocks, format="csr").astype(np.float32))

    def evidence(self, histories: Histories, level: str) -> Tensor:
        """Add up the similarities to the session's codes."""
        similar = self._fitted(self._similar)[level]
        weights = history_matrix(histories, level, similar.shape[0], self.config.decay)
        return torch.from_numpy((weights @ similar).toarray())

    def tensors(self) -> dict[str, Tensor]:
        """Similarities of every level in compressed rows."""
        parts = {}
        for level, similar in self._fitted(self._similar).items():
            for part in ("data", "indices", "indptr"):
                parts[f"{level}.{part}"] = torch.from_numpy(np.ascontiguousarray(getattr(similar, part)))
        return parts

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the similarities."""

        def rows(level: str) -> Any:
            n = self.vocabulary.size(level)
            parts = (tensors[f"{level}.{part}"].numpy() for part in ("data", "indices", "indptr"))
            return sp.csr_array(tuple(parts), shape=(n, n))

        self._similar = {level: rows(level) for level in self.levels}


def _highest(rows: sp.csr_array, n: int) -> sp.csr_array:
    """Keep the ``n`` highest values of every row; of equal ones those of lower codes."""
    counts = np.diff(rows.indptr)
    row = np.repeat(np.arange(rows.shape[0]), counts)
    order = np.lexsort((rows.indices, -rows.data, row))
    place = np.arange(len(order)) - np.repeat(rows.indptr[:-1], counts)
    kept = order[place < n]
    return sp.csr_array((rows.data[kept], (row[kept], rows.indices[kept])), shape=rows.shape)
