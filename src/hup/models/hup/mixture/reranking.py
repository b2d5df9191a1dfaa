"""The likeliest items, or categories of the finest level, ranked anew by signals that are looked at together.

The mixture adds up what it counts, and what the profile says: a neighbour of two visits is as likely as two neighbours
of one each. Here a small network sees all of it at once, for each of the likeliest codes. What a session has beyond the
vocabulary is among them: of a short log, or of today's new items, that is most of what users come back to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.models.hup.mixture.agreement import Distribution
from hup.models.hup.mixture.answer import Answer
from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.neighbor_shares import WEIGHTS, NeighborShares
from hup.nn.devices import placed
from hup.nn.mixture import log_popularity
from hup.nn.reranker import Reranker
from hup.recommender.best import best_columns

LATEST = 20  # visits whose neighbours are looked at
LEAST_PROBABILITY, LEAST_REPEAT, LEAST_SHARE = 1e-9, 1e-3, 1e-4

HIDDEN = 64  # units of a layer of the network

#: What is seen of a candidate, besides the signals of the visit that it is, or 0, and the context of the query.
SIGNALS = (
    "probability",
    "popularity",
    "repeat",
    "visited",
    *(f"{weight}, {relation}" for weight in WEIGHTS for relation in RELATIONS),
    *(f"counts {relation}" for relation in RELATIONS),
    *(f"support {relation}" for relation in RELATIONS),
    *(f"weight of {part}" for part in ("repeat", "memory", "explore", "unseen")),
)
#: Of a candidate at every category level: whether it is of the current category, and that one's share of the visits,
#: the later ones weighing more.
CATEGORY = ("is current", "share of visits")
#: Of a candidate besides, where the profile takes part: the shares of the parts that are pooled, and how it is liked.
POOLED = ("counted", "dense", "similar", "liking")


def n_signals(of_visits: int, of_context: int, levels: int, *, profile: bool) -> int:
    """Count all signals of a candidate, F, with so many category levels."""
    return len(SIGNALS) + of_visits + of_context + levels * len(CATEGORY) + profile * len(POOLED)


@dataclass(frozen=True)
class Candidates:
    """The likeliest codes of ``Q`` queries at a level.

    Attributes
    ----------
    column : Tensor
        ``(Q, M)`` int64, place among the vocabulary and what the session has beyond it.
    code : Tensor
        ``(Q, M)`` int64.
    probability : Tensor
        ``(Q, M)``, as the mixture says.
    signals : Tensor
        ``(Q, M, F)``: :data:`SIGNALS`, mostly logarithms, then those of visits and the context of
        :class:`~hup.models.hup.mixture.visits.Visits`, then :data:`CATEGORY` of every level, coarsest first, then
        :data:`POOLED`.
    """

    column: Tensor
    code: Tensor
    probability: Tensor
    signals: Tensor

    @classmethod
    def of(
        cls,
        answer: Answer,
        said: Distribution,
        current: Tensor,
        paths: Tensor,
        most: int,
        pooled: Callable[[Tensor], Sequence[Tensor]] | None = None,
    ) -> Candidates:
        """Choose candidates, and look at them.

        Parameters
        ----------
        answer : Answer
            Of the level.
        said : Distribution
            Probabilities of the level; those of the vocabulary without the current items.
        current : Tensor
            ``(Q,)`` items that the users are on; they are none. -1 = none such.
        paths : Tensor
            ``(n, K)`` int64, categories of the vocabulary, coarsest first; of categories so many that a category is the
            last one of its own.
        most : int
            How many, M; no more than the vocabulary has. Of equal ones those with smaller codes.
        pooled : callable, optional
            Takes columns ``(Q, M)`` and gives :data:`POOLED` of them; none where the profile takes no part.
        """
        n_known = said.known.shape[1]
        most = min(most, n_known)
        of_own = said.probability.masked_fill(said.code == current.index_select(0, said.query), 0)
        best = best_columns(said.beside(said.known, of_own, 0), most)
        probability, column = best.score, best.place
        visit = _visits_on(answer, said, column)
        of_visit = placed(answer.visits.code, column)[visit.clamp(min=0)]
        code = torch.where(column < n_known, column, of_visit)  # what is beyond the vocabulary is a visit
        popularity = answer.counts.popularity
        of_popularity = log_popularity(torch.cat([popularity, popularity.new_zeros(1)]))
        context = placed(answer.visits.context, probability).unsqueeze(1).expand(-1, most, -1)
        columns = [
            probability.clamp(min=LEAST_PROBABILITY).log(),
            of_popularity[column.clamp(max=n_known)],
            *_of_repeat(answer, visit),
            *(placed(one, probability) for one in _of_neighbors(answer, code.cpu().numpy())),
            *answer.mixed.weights.clamp(min=LEAST_SHARE).log().t().unsqueeze(2).expand(-1, -1, most),
        ]
        of_categories = _of_categories(answer, _paths_of(answer, paths, column, visit))
        signals = [torch.stack(columns, dim=2), _of_visits(answer, visit), context, of_categories]
        if pooled is not None:
            *parts, liking = pooled(column)
            logarithms = [part.clamp(min=LEAST_PROBABILITY).log() for part in parts]
            signals.append(torch.stack([*logarithms, liking], dim=2))
        return cls(column, code, probability, torch.cat(signals, dim=2))

    @property
    def logarithm(self) -> Tensor:
        """Of the probability, ``(Q, M)``."""
        return self.probability.clamp(min=LEAST_PROBABILITY).log()

    def logits(self, reranker: Reranker, strength: float) -> Tensor:
        """Score the candidates, ``(Q, M)``: with strength 0 as they were, with 1 as the network says."""
        logits: Tensor = self.logarithm + strength * reranker(self.signals)
        return logits

    def reranked(self, said: Distribution, reranker: Reranker, strength: float) -> Distribution:
        """Give probabilities in which the candidates share anew what they have together."""
        mass = self.probability.sum(dim=1, keepdim=True)
        shares = torch.softmax(self.logits(reranker, strength), dim=1) * mass
        return said.with_columns(said.beside(said.known, said.probability, 0).scatter(1, self.column, shares))


def _visits_on(answer: Answer, said: Distribution, column: Tensor) -> Tensor:
    """Find the visit of each candidate, ``(Q, M)``; -1 where the session has not been on it."""
    query, code = (placed(part, column) for part in (answer.visits.query, answer.visits.code))
    visit = torch.arange(len(code), device=code.device)
    outside = code >= said.known.shape[1]
    on = said.beside(column.new_full(said.known.shape, -1), visit[outside], -1)
    inside = (code >= 0) & ~outside
    return on.index_put_((query[inside], code[inside]), visit[inside]).gather(1, column)


def _of_repeat(answer: Answer, visit: Tensor) -> tuple[Tensor, Tensor]:
    """Share that repeat gives each candidate, its logarithm, and whether it is a visit."""
    repeat = torch.where(visit >= 0, answer.mixed.repeat[visit.clamp(min=0)], 0)
    return (repeat + LEAST_REPEAT).log(), (visit >= 0).float()


def _of_visits(answer: Answer, visit: Tensor) -> Tensor:
    """Signals of the visits that candidates are, ``(Q, M, F)``; 0 where they are none."""
    signals = placed(answer.visits.signals, visit)[visit.clamp(min=0)]
    return signals * (visit >= 0).unsqueeze(2)


def _paths_of(answer: Answer, paths: Tensor, column: Tensor, visit: Tensor) -> NDArray[np.int64]:
    """Categories of candidates, ``(Q, M, K)``; what a session has beyond the vocabulary has those of its visit."""
    inside = (column < len(paths)).cpu().numpy()[:, :, None]
    known = paths[column.clamp(max=len(paths) - 1)].cpu().numpy()
    visited = answer.path[visit.clamp(min=0).cpu().numpy()][:, :, : paths.shape[1]]
    found: NDArray[np.int64] = np.where(inside, known, visited)
    return found


def _of_categories(answer: Answer, path: NDArray[np.int64]) -> Tensor:
    """Compare categories ``(Q, M, K)`` with the current ones and all that were visited, ``(Q, M, 2 K)``."""
    visits, n_queries = answer.visits, len(path)
    now = answer.path[visits.since == 0]
    weight = WEIGHTS["recent"](visits.since)
    total = np.bincount(visits.query, weight, n_queries)
    columns = []
    for level in range(path.shape[2]):
        code, visited = path[:, :, level], answer.path[:, level]
        width = int(max(code.max(initial=0), visited.max(initial=0))) + 1
        cells, place = np.unique(visits.query * width + visited, return_inverse=True)
        sums = np.bincount(place, weight, len(cells))
        asked = np.arange(n_queries)[:, None] * width + code
        found = np.minimum(np.searchsorted(cells, asked), len(cells) - 1)
        share = np.where(cells[found] == asked, sums[found], 0) / total[:, None]
        columns += [code == now[:, level, None], share]
    signals = np.stack(columns, axis=2) if columns else np.zeros((*path.shape[:2], 0))
    return placed(signals.astype(np.float32), answer.mixed.weights)


def _of_neighbors(answer: Answer, code: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Shares near the visits, weighed in several ways; counts near the current visit, and how much is known of it."""
    shares = NeighborShares.of(answer.counts.co_visits, answer.visits, LATEST)
    query, flat = np.repeat(np.arange(len(code)), code.shape[1]), code.ravel()
    of_all = {
        (weight, relation): shares.at(weight, relation, query, flat).reshape(code.shape)
        for weight in WEIGHTS
        for relation in RELATIONS
    }
    columns = [np.log(share + LEAST_SHARE) for share in of_all.values()]
    supports = shares.support.T[:, :, None]
    near = [of_all["current", relation] for relation in RELATIONS]
    columns += [np.log1p(share * support) for share, support in zip(near, supports, strict=True)]
    columns += [np.log1p(np.broadcast_to(support, code.shape)) for support in supports]
    return [column.astype(np.float32) for column in columns]
