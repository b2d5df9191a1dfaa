"""The likeliest items of one user ranked anew: :mod:`hup.models.hup.mixture.reranking`, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.neighbor_shares import WEIGHTS
from hup.models.hup.mixture.reranking import LATEST, LEAST_PROBABILITY, LEAST_REPEAT, LEAST_SHARE
from hup.models.hup.mixture.single.counted import CountedLevel, Parts, softmax
from hup.models.hup.mixture.visits import Visits
from hup.nn.reranker import Reranker
from hup.recommender.best import best_columns

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class SingleReranker:
    """A reranker's twin.

    Parameters
    ----------
    reranker : Reranker
        Its weights are shared: what is changed in place is seen.
    items : CountedLevel
    most : int
        How many are ranked anew.
    """

    def __init__(self, reranker: Reranker, items: CountedLevel, most: int) -> None:
        self.reranker, self.items, self.most = reranker, items, most

    def rerank(
        self, visits: Visits, parts: Parts, said: Floats, current: int, strength: float, pooled: Sequence[Floats]
    ) -> Floats:
        """Give probabilities ``(n,)`` in which the likeliest items share anew what they have together.

        Parameters
        ----------
        visits : Visits
        parts : Parts
        said : ndarray
            ``(n,)``, the probabilities as they were.
        current : int
            Item that the user is on; it is no candidate.
        strength : float
        pooled : sequence of ndarray
            :data:`~hup.models.hup.mixture.reranking.POOLED`, ``(n,)`` or longer each; none without a profile.
        """
        known = said.copy()
        if 0 <= current < len(known):
            known[current] = 0
        best = best_columns(torch.from_numpy(known)[None], self.most)
        code, probability = best.place[0].numpy(), best.score[0].numpy()
        signals = torch.from_numpy(self._signals(visits, parts, code, probability, pooled))
        with torch.inference_mode():
            judged = self.reranker(signals[None])[0].numpy()
        logits = np.log(np.maximum(probability, LEAST_PROBABILITY)) + np.float32(strength) * judged
        if 0 <= current < len(known):
            known[current] = said[current]
        known[code] = softmax(logits) * probability.sum()
        return known

    def _signals(
        self, visits: Visits, parts: Parts, code: Ints, probability: Floats, pooled: Sequence[Floats]
    ) -> Floats:
        """See what there is of candidates, ``(M, F)``, as :class:`.Candidates` does."""
        slot = np.full(len(parts.known), -1)
        slot[code] = np.arange(len(code))
        inside = np.flatnonzero((visits.code >= 0) & (visits.code < len(slot)))
        visited = slot[visits.code[inside]]
        inside, visited = inside[visited >= 0], visited[visited >= 0]
        repeat, is_visit, of_visit = (np.zeros((len(code), n), np.float32) for n in (1, 1, visits.signals.shape[1]))
        repeat[visited, 0], is_visit[visited], of_visit[visited] = parts.repeat[inside], 1, visits.signals[inside]
        shares = self._shares(visits, parts, slot, len(code))  # (weights, relations, M)
        near = shares[list(WEIGHTS).index("current")]
        support = np.log1p(parts.support[-1])
        n_rows = len(code), 1
        columns = (
            np.log(np.maximum(probability, LEAST_PROBABILITY))[:, None],
            self.items.log_popularity[code][:, None],
            np.log(repeat + np.float32(LEAST_REPEAT)),
            is_visit,
            np.log(shares.reshape(-1, len(code)).T + LEAST_SHARE),
            np.log1p(near.T * parts.support[-1]),
            np.tile(support, n_rows),
            np.tile(np.log(np.maximum(parts.weights, LEAST_SHARE)), n_rows),
            of_visit,
            np.tile(visits.context[0], n_rows),
            *(np.log(np.maximum(part[code], LEAST_PROBABILITY))[:, None] for part in pooled[:-1]),
            *(liking[code][:, None] for liking in pooled[-1:]),
        )
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def _shares(self, visits: Visits, parts: Parts, slot: Ints, n_candidates: int) -> NDArray[np.float64]:
        """Give what the latest visits say of candidates: ``(len(WEIGHTS), len(RELATIONS), M)``."""
        since = visits.since
        first = max(0, len(since) - LATEST)
        said = np.zeros((len(since) - first, len(RELATIONS), n_candidates))
        for relation, near in enumerate(parts.near):
            low = np.searchsorted(near.visit, first)
            place = slot[near.code[low:]]
            there = np.flatnonzero(place >= 0)
            said[near.visit[low:][there] - first, relation, place[there]] = near.share[low:][there]
        weights = np.stack([weigh(since[first:]) for weigh in WEIGHTS.values()])
        shares: NDArray[np.float64] = np.tensordot(weights, said, axes=1)
        return shares
