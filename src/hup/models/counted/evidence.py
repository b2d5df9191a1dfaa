"""What models have in common that add up evidence for every candidate: scores of 0 and more, popularity below them."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from hup.config import Section
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.known_scores import Common, Exceptions
from hup.recommender.popularity import popularity_grades
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories


class EvidenceRecommender(Recommender):
    """A recommender that finds evidence for some of the known codes, and none for the others."""

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._below: tuple[Vocabulary, dict[str, Common]] | None = None

    @abstractmethod
    def found(self, histories: Histories, level: str) -> sp.csr_array:
        """Evidence for some of the known codes, ``(B, n_known)`` float32: what is above 0 counts, more is better."""

    def evidence(self, histories: Histories, level: str) -> Tensor:
        """Evidence for every known code, ``(B, n_known)`` float32: 0 = none."""
        return torch.from_numpy(self.found(histories, level).toarray()).clamp_(min=0)

    def score(self, histories: Histories, level: str) -> Scores:
        """Score codes with evidence in (1, 2], by their share of the highest; the others below, by popularity.

        Ties count against a model, so what it has no opinion of is not left to a tie. The session's own codes that
        training never saw come last.
        """
        self._check_level(level)
        found = self.found(histories, level)
        row = np.repeat(np.arange(len(histories)), np.diff(found.indptr))
        some = found.data > 0
        row, code, value = row[some], found.indices[some].astype(np.int64), found.data[some]
        highest = np.zeros(len(histories), dtype=value.dtype)
        np.maximum.at(highest, row, value)
        # In double precision: 1 + a small share would be 1 in single precision, and so a tie.
        share = value / highest[row].astype(np.float64)
        codes = histories.own_unknown(level, found.shape[1]).codes
        return Scores(
            known=Exceptions(
                len(histories),
                self._popularity(level),
                torch.from_numpy(row),
                torch.from_numpy(code),
                torch.from_numpy(1 + share),
            ),
            own=torch.zeros(codes.shape, dtype=torch.float64),
            own_codes=codes,
        )

    def _popularity(self, level: str) -> Common:
        """Scores in (0, 1) for what there is no evidence for."""
        if self._below is None or self._below[0] is not self.vocabulary:
            self._below = self.vocabulary, {}
        made = self._below[1]
        if level not in made:
            grades = popularity_grades(self.vocabulary, level)
            made[level] = Common((grades / (grades.max() + 1) if len(grades) else grades).double())
        return made[level]


def share_of_highest(evidence: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Divide every row ``(B, n)`` by its highest value, in the precision asked for; rows of 0 stay so."""
    dtype = dtype or evidence.dtype
    if not evidence.shape[1]:
        return evidence.to(dtype)
    highest = evidence.amax(dim=1, keepdim=True).to(dtype)
    return evidence / torch.where(highest > 0, highest, 1)
