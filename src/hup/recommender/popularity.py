"""POP: rank by how often the training split visited an item or a category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.known_scores import Common, Exceptions
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories

EXACT_IN_FLOAT32 = 1 << 24  # whole numbers up to here


class Popularity(Recommender):
    """Most visited first, the same list for everyone.

    A visit is a run: at the item level an item run, at level k a run of events of one ``category_k``. Runs, not events,
    are counted, as a long look at one item is one visit. Codes that training never saw share the last place.
    """

    kind: ClassVar[str] = "popularity"
    levels_independent: ClassVar[bool] = True

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._grades: dict[str, Common] | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Count the runs of the training split."""
        self._take(dataset)
        self.restore({})
        return self

    def tensors(self) -> dict[str, Tensor]:
        """Nothing: the counts are the vocabulary's."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Grade the vocabulary's counts."""
        self._grades = {level: Common(popularity_grades(self.vocabulary, level)) for level in self.levels}

    def grades(self, level: str) -> Tensor:
        """Popularity of every known code of a level; see :func:`popularity_grades`.

        Raises
        ------
        HupError
            The model is not fitted, or knows no such level.
        """
        return self._common(level).scores

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by grade; the session's own unknown codes get 0."""
        grades = self._common(level)
        codes = histories.own_unknown(level, len(grades.scores)).codes
        return Scores(
            known=Exceptions.none(len(histories), grades),
            own=torch.zeros(codes.shape, dtype=grades.scores.dtype),
            own_codes=codes,
        )

    def _common(self, level: str) -> Common:
        self._check_level(level)
        return self._fitted(self._grades)[level]


def popularity_grades(vocabulary: Vocabulary, level: str) -> Tensor:
    """Popularity of every known code of a level as a small integer, ``(n_known,)`` float32, at least 1.

    Equal counts have equal grades and a higher count has a higher grade. Unlike counts, grades are exact in float32
    for every vocabulary of less than 2^24 codes.
    """
    counts = vocabulary.counts[level]
    _, grades = np.unique(counts, return_inverse=True)
    dtype = torch.float32 if len(counts) < EXACT_IN_FLOAT32 else torch.float64
    return torch.from_numpy(grades + 1).to(dtype)
