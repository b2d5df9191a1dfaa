"""What models have in common that add up evidence for every candidate: scores of 0 and more, popularity below them."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.popularity import popularity_grades
from hup.sessions.batches import Histories


class EvidenceRecommender(Recommender):
    """A recommender that finds evidence for some of the known codes, and none for the others."""

    @abstractmethod
    def evidence(self, histories: Histories, level: str) -> Tensor:
        """Evidence for every known code, ``(B, n_known)`` float32: 0 = none, more is better."""

    def score(self, histories: Histories, level: str) -> Scores:
        """Score codes with evidence in (1, 2], by their share of the highest; the others below, by popularity.

        Ties count against a model, so what it has no opinion of is not left to a tie. The session's own codes that
        training never saw come last.
        """
        self._check_level(level)
        # In double precision: 1 + a small share would be 1 in single precision, and so a tie.
        known = share_of_highest(self.evidence(histories, level), torch.float64)
        grades = popularity_grades(self.vocabulary, level)
        below = grades / (grades.max() + 1) if len(grades) else grades
        codes = histories.own_unknown(level, known.shape[1]).codes
        some = known > 0
        return Scores(
            known=torch.where(some, known.add_(1), below.to(known.dtype)),
            own=torch.zeros(codes.shape, dtype=known.dtype),
            own_codes=codes,
        )


def share_of_highest(evidence: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Divide every row ``(B, n)`` by its highest value, in the precision asked for; rows of 0 stay so."""
    dtype = dtype or evidence.dtype
    if not evidence.shape[1]:
        return evidence.to(dtype)
    highest = evidence.amax(dim=1, keepdim=True).to(dtype)
    return evidence / torch.where(highest > 0, highest, 1)
