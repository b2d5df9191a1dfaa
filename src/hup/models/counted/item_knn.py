"""Item-KNN: what appeared in the same sessions (Deshpande and Karypis 2004), as §5.3 of the paper writes it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from hup.config import Section
from hup.models.counted.item_to_item import ItemToItem, ItemToItemConfig
from hup.sessions.runs import session_matrix

ITEMS_PER_BLOCK = 4096


class ItemKNNConfig(ItemToItemConfig):
    """Options of Item-KNN."""

    itself: bool = Field(False, description="count a code as similar to itself, by the same formula")
    damping: float = Field(
        0.0, ge=0, description="added to Freq(i) and Freq(j) in the denominator, so that rare codes count less"
    )


class ItemKNN(ItemToItem):
    """Similar to what the session visited, by ``sim(i, j) = Freq(ij) / (Freq(i) · Freq(j))`` (§5.3).

    ``Freq`` counts the training sessions in which a code, or both codes, show up. A session's score of a candidate is
    the sum of its similarities to the session's codes, later ones weighing more.
    """

    kind: ClassVar[str] = "item-knn"
    options: ClassVar[type[Section]] = ItemKNNConfig
    config: ItemKNNConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("itself=true",),
        ("itself=true", "decay=0.95"),
        ("decay=0.95",),
        ("decay=0.5",),
        ("decay=0.0",),
    )

    def matrix(self, codes: NDArray[np.int64], offsets: NDArray[np.int64], n_known: int) -> sp.csr_array:
        """Count in how many training sessions codes, and pairs of them, show up; keep the most similar codes."""
        sessions = session_matrix(codes, offsets, n_known)
        frequency = np.asarray(sessions.sum(axis=0)).ravel() + self.config.damping
        inverse = sp.diags_array(1 / np.maximum(frequency, 1e-12))
        columns = sp.csc_array(sessions)
        blocks = []
        for low in range(0, n_known, ITEMS_PER_BLOCK):
            together = sp.csr_array(columns[:, low : low + ITEMS_PER_BLOCK].T @ sessions)
            if not self.config.itself:
                together.setdiag(0, k=low)
                together.eliminate_zeros()
            of_block = sp.diags_array(inverse.diagonal()[low : low + ITEMS_PER_BLOCK])
            blocks.append(_highest(sp.csr_array(of_block @ together @ inverse), self.config.neighbors))
        return sp.csr_array(sp.vstack(blocks, format="csr").astype(np.float32))


def _highest(rows: sp.csr_array, n: int) -> sp.csr_array:
    """Keep the ``n`` highest values of every row; of equal ones those of lower codes."""
    counts = np.diff(rows.indptr)
    row = np.repeat(np.arange(rows.shape[0]), counts)
    order = np.lexsort((rows.indices, -rows.data, row))
    place = np.arange(len(order)) - np.repeat(rows.indptr[:-1], counts)
    kept = order[place < n]
    return sp.csr_array((rows.data[kept], (row[kept], rows.indices[kept])), shape=rows.shape)
