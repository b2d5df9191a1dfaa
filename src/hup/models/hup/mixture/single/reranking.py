"""The likeliest codes of one user ranked anew: :mod:`hup.models.hup.mixture.reranking`, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.neighbor_shares import WEIGHTS
from hup.models.hup.mixture.reranking import LATEST, LEAST_PROBABILITY, LEAST_REPEAT, LEAST_SHARE
from hup.models.hup.mixture.single.agreement import One
from hup.models.hup.mixture.single.counted import CountedLevel, Parts, softmax
from hup.models.hup.mixture.visits import Visits
from hup.nn.mixture import log_popularity
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
    counted : CountedLevel
        Of its level.
    paths : ndarray
        ``(n, K)`` int64, as for :meth:`~hup.models.hup.mixture.reranking.Candidates.of`.
    most : int
        How many are ranked anew.
    """

    def __init__(self, reranker: Reranker, counted: CountedLevel, paths: Ints, most: int) -> None:
        self.reranker, self.counted, self.paths, self.most = reranker, counted, paths, most

    def rerank(
        self,
        visits: Visits,
        path: Ints,
        parts: Parts,
        said: One,
        current: int,
        strength: float,
        pooled: Sequence[Floats],
    ) -> One:
        """Give probabilities in which the likeliest codes share anew what they have together.

        Parameters
        ----------
        visits : Visits
        path : ndarray
            ``(P, K)`` int64, categories of every visit, or more.
        parts : Parts
        said : One
            The probabilities as they were, those of the vocabulary without the current item.
        current : int
            Item that the user is on, which is no candidate; -1 = none such.
        strength : float
        pooled : sequence of ndarray
            :data:`~hup.models.hup.mixture.reranking.POOLED`, ``(n + U,)`` each; none without a profile.
        """
        n_known, path = len(said.known), path[:, : self.paths.shape[1]]
        values = np.concatenate([said.known, said.probability])
        others = values.copy()
        others[n_known:][said.code == current] = 0
        best = best_columns(torch.from_numpy(others)[None], min(self.most, n_known))
        column, probability = best.place[0].numpy(), best.score[0].numpy()
        seen = self._signals(visits, path, parts, column, probability, len(others), pooled)
        signals = torch.from_numpy(seen)
        with torch.inference_mode():
            judged = self.reranker(signals[None])[0].numpy()
        logits = np.log(np.maximum(probability, LEAST_PROBABILITY)) + np.float32(strength) * judged
        values[column] = softmax(logits) * probability.sum()
        return replace(said, known=values[:n_known], probability=values[n_known:])

    def _signals(
        self,
        visits: Visits,
        path: Ints,
        parts: Parts,
        column: Ints,
        probability: Floats,
        n: int,
        pooled: Sequence[Floats],
    ) -> Floats:
        """See what there is of candidates, ``(M, F)``, as :class:`.Candidates` does; of ``n`` columns in all."""
        n_known, n_candidates = len(parts.known), len(column)
        slot = np.full(n, -1)
        slot[column] = np.arange(n_candidates)
        of_visits, outside = visits.code.copy(), np.flatnonzero(visits.code >= n_known)
        of_visits[outside] = n_known + np.arange(len(outside))
        inside = np.flatnonzero(of_visits >= 0)
        visited = slot[of_visits[inside]]
        inside, visited = inside[visited >= 0], visited[visited >= 0]
        repeat, is_visit, of_visit = (np.zeros((n_candidates, n), np.float32) for n in (1, 1, visits.signals.shape[1]))
        of_candidates = self.paths[np.minimum(column, n_known - 1)]
        beyond = visits.code[inside] >= n_known
        of_candidates[visited[beyond]] = path[inside[beyond]]
        repeat[visited, 0], is_visit[visited], of_visit[visited] = parts.repeat[inside], 1, visits.signals[inside]
        shares = self._shares(visits, parts, slot, n_candidates)  # (weights, relations, M)
        near = shares[list(WEIGHTS).index("current")]
        support = np.log1p(parts.support[-1])
        n_rows = n_candidates, 1
        popularity = self.counted.log_popularity[np.minimum(column, n_known - 1)]
        columns = (
            np.log(np.maximum(probability, LEAST_PROBABILITY))[:, None],
            np.where(column < n_known, popularity, log_popularity(torch.zeros(())).numpy())[:, None],
            np.log(repeat + np.float32(LEAST_REPEAT)),
            is_visit,
            np.log(shares.reshape(-1, n_candidates).T + LEAST_SHARE),
            np.log1p(near.T * parts.support[-1]),
            np.tile(support, n_rows),
            np.tile(np.log(np.maximum(parts.weights, LEAST_SHARE)), n_rows),
            of_visit,
            np.tile(visits.context[0], n_rows),
            _of_categories(of_candidates, path, visits.since),
            *(np.log(np.maximum(part[column], LEAST_PROBABILITY))[:, None] for part in pooled[:-1]),
            *(liking[column][:, None] for liking in pooled[-1:]),
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


def _of_categories(of_candidates: Ints, path: Ints, since: Ints) -> Floats:
    """Compare categories ``(M, K)`` with the current ones and all that were visited, ``(M, 2 K)``."""
    weight = WEIGHTS["recent"](since)
    same = of_candidates[:, None] == path  # (M, P, K)
    share = np.einsum("mpk,p->mk", same, weight / weight.sum())
    return np.stack([same[:, -1], share], axis=2).reshape(len(of_candidates), -1).astype(np.float32)
