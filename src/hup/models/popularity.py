"""POP: rank by how often the training split visited an item or a category."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.batches import Histories
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.models.base import Recommender, Scores

EVENTS_PER_BLOCK = 1 << 22
EXACT_IN_FLOAT32 = 1 << 24  # whole numbers up to here


class Popularity(Recommender):
    """Most visited first, the same list for everyone.

    A visit is a run: at the item level an item run, at level k a run of events of one ``category_k``. Runs, not events,
    are counted, as a long look at one item is one visit. Codes that training never saw share the last place.
    """

    name: ClassVar[str] = "popularity"

    def __init__(self) -> None:
        self._grades: dict[str, Tensor] = {}

    def fit(self, dataset: Dataset) -> Self:
        """Count the runs of the training split."""
        counts = {"item": run_counts(dataset, "item")}
        for k in range(1, dataset.levels + 1):
            counts[f"category_{k}"] = run_counts(dataset, f"category_{k}")
        self._grades = {level: _grades(count) for level, count in counts.items()}
        return self

    def grades(self, level: str) -> Tensor:
        """Popularity of every known code of a level as a small integer, ``(n_known,)`` float32, at least 1.

        Equal counts have equal grades and a higher count has a higher grade. Unlike counts, grades are exact in float32
        for every vocabulary of less than 2^24 codes.

        Raises
        ------
        HupError
            The model is not fitted, or knows no such level.
        """
        if level not in self._grades:
            known = ", ".join(self._grades) or "none: call fit(dataset) first"
            raise HupError(f"{self.name} has no level {level!r}; its levels are: {known}.")
        return self._grades[level]

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by grade; the session's own unknown codes get 0."""
        grades = self.grades(level)
        codes = histories.own_unknown(level, len(grades)).codes
        return Scores(
            known=grades.expand(len(histories), -1),
            own=torch.zeros(codes.shape, dtype=grades.dtype),
            own_codes=codes,
        )


def run_counts(dataset: Dataset, level: str) -> NDArray[np.int64]:
    """Count the runs of every code of a level in the training split, ``(n_known,)``.

    Parameters
    ----------
    dataset : Dataset
    level : str
        ``"item"`` or ``"category_k"``.
    """
    column = None if level == "item" else int(level.removeprefix("category_")) - 1
    n_known = dataset.n_train_items if column is None else dataset.n_train_categories[column]
    counts = np.zeros(n_known, dtype=np.int64)
    train = dataset.sessions("train")
    starts = dataset.offsets[train.start : train.stop]
    last = int(dataset.offsets[train.stop])
    for low in range(int(dataset.offsets[train.start]), last, EVENTS_PER_BLOCK):
        high = min(low + EVENTS_PER_BLOCK, last)
        # One event of the block before goes along, to tell whether the block's first event goes on with its run.
        before = max(low - 1, 0)
        codes = dataset.item[before:high]
        if column is not None:
            codes = dataset.taxonomy.paths[codes, column]
        begins = np.ones(len(codes), dtype=bool)
        begins[1:] = codes[1:] != codes[:-1]
        begins[starts[np.searchsorted(starts, low) : np.searchsorted(starts, high)] - before] = True
        visited = codes[low - before :][begins[low - before :]]
        counts += np.bincount(visited[visited >= 0], minlength=n_known)
    return counts


def _grades(counts: NDArray[np.int64]) -> Tensor:
    _, grades = np.unique(counts, return_inverse=True)
    dtype = torch.float32 if len(counts) < EXACT_IN_FLOAT32 else torch.float64
    return torch.from_numpy(grades + 1).to(dtype)
