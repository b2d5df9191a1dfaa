"""Recency: the session's own items and categories, last seen first, then popularity. The row that models must beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hup.recommender.candidates import Scores
from hup.recommender.popularity import EXACT_IN_FLOAT32, Popularity
from hup.sessions.batches import Histories


class Recency(Popularity):
    """Rank what the session has visited by its last event, latest first; everything else below, by popularity.

    Nothing is learned but the popularity counts. The session's own codes never tie: each was last seen at an event of
    its own.
    """

    kind: ClassVar[str] = "recency"
    levels_independent: ClassVar[bool] = True

    def score(self, histories: Histories, level: str) -> Scores:
        """Score known codes by popularity, and the session's own ones above all by the place of their last event."""
        grades = self.grades(level)
        n_known = len(grades)
        own_codes = histories.own_unknown(level, n_known).codes
        highest = n_known + int(histories.offsets.diff().max())
        dtype = torch.float32 if highest < EXACT_IN_FLOAT32 else torch.float64

        session, codes = histories.session(), histories.codes(level)
        place = torch.arange(len(codes)) - histories.offsets[session]
        value = (n_known + 1 + place).to(dtype)  # above every grade

        known = grades.to(dtype).repeat(len(histories), 1)
        seen = (codes >= 0) & (codes < n_known)
        at = session[seen] * n_known + codes[seen]
        known.view(-1).scatter_reduce_(0, at, value[seen], "amax")

        own = torch.zeros(own_codes.shape, dtype=dtype)
        new = codes >= n_known
        at = _columns(own_codes, session[new], codes[new])
        own.view(-1).scatter_reduce_(0, at, value[new], "amax")
        return Scores(known=known, own=own, own_codes=own_codes)


def _columns(own_codes: Tensor, session: Tensor, codes: Tensor) -> Tensor:
    """Find where each (session, code) stands in the flattened ``own_codes``, ``(N,)``."""
    if not len(codes):
        return codes
    base = int(codes.max()) + 2
    rows = torch.arange(len(own_codes))[:, None]
    keys, order = (rows * base + own_codes + 1).flatten().sort()
    return order[torch.searchsorted(keys, session * base + codes + 1)]
