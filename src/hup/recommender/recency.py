"""Recency: the session's own items and categories, last seen first, then popularity. The row that models must beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hup.recommender.candidates import Scores
from hup.recommender.known_scores import Exceptions
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
        grades = self._common(level)
        n_known = len(grades.scores)
        own_codes = histories.own_unknown(level, n_known).codes
        highest = n_known + int(histories.offsets.diff().max())
        dtype = torch.float32 if highest < EXACT_IN_FLOAT32 else torch.float64

        session, code, last = _last_events(histories, level)
        value = (n_known + 1 + last - histories.offsets[session]).to(dtype)  # above every grade
        seen = code < n_known
        known = Exceptions(len(histories), grades.to(dtype), session[seen], code[seen], value[seen])

        own = torch.zeros(own_codes.shape, dtype=dtype)
        new = ~seen
        own.view(-1)[_columns(own_codes, session[new], code[new])] = value[new]
        return Scores(known=known, own=own, own_codes=own_codes)


def _last_events(histories: Histories, level: str) -> tuple[Tensor, Tensor, Tensor]:
    """Give every code of each session, and the event at which it was last: session, code and event, ``(M,)`` each."""
    session, codes = histories.session(), histories.codes(level)
    event = (codes >= 0).nonzero().squeeze(1)
    key = session[event] * (int(codes.max()) + 1) + codes[event]
    order = key.argsort(stable=True)
    key = key[order]
    last = torch.ones(len(key), dtype=torch.bool)
    last[:-1] = key[1:] != key[:-1]
    event = event[order[last]]
    return session[event], codes[event], event


def _columns(own_codes: Tensor, session: Tensor, codes: Tensor) -> Tensor:
    """Find where each (session, code) stands in the flattened ``own_codes``, ``(N,)``."""
    if not len(codes):
        return codes
    base = int(codes.max()) + 2
    rows = torch.arange(len(own_codes))[:, None]
    keys, order = (rows * base + own_codes + 1).flatten().sort()
    return order[torch.searchsorted(keys, session * base + codes + 1)]
