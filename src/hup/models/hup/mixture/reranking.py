"""The likeliest items, ranked anew by signals that are looked at together.

The mixture adds up what it counts, and what the profile says: a neighbour of two visits is as likely as two neighbours
of one each. Here a small network sees all of it at once, for each of the likeliest items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
#: Of a candidate besides, where the profile takes part: the shares of the parts that are pooled, and how it is liked.
POOLED = ("counted", "dense", "similar", "liking")


def n_signals(of_visits: int, of_context: int, *, profile: bool) -> int:
    """Count all signals of a candidate, F."""
    return len(SIGNALS) + of_visits + of_context + profile * len(POOLED)


@dataclass(frozen=True)
class Candidates:
    """The likeliest items of ``Q`` queries.

    Attributes
    ----------
    code : Tensor
        ``(Q, M)`` int64.
    probability : Tensor
        ``(Q, M)``, as the mixture says.
    signals : Tensor
        ``(Q, M, F)``: :data:`SIGNALS`, mostly logarithms, then those of visits and the context of
        :class:`~hup.models.hup.mixture.visits.Visits`, then :data:`POOLED`.
    """

    code: Tensor
    probability: Tensor
    signals: Tensor

    @classmethod
    def of(
        cls,
        answer: Answer,
        known: Tensor,
        current: Tensor,
        most: int,
        pooled: Callable[[Tensor], Sequence[Tensor]] | None = None,
    ) -> Candidates:
        """Choose candidates, and look at them.

        Parameters
        ----------
        answer : Answer
            Of the item level.
        known : Tensor
            ``(Q, n)``, probabilities of the vocabulary.
        current : Tensor
            ``(Q,)`` items that the users are on; they are none.
        most : int
            How many, M; fewer where the vocabulary is smaller. Of equal ones those with smaller codes.
        pooled : callable, optional
            Takes codes ``(Q, M)`` and gives :data:`POOLED` of them; none where the profile takes no part.
        """
        row = ((current >= 0) & (current < known.shape[1])).nonzero().squeeze(1)
        others = known.index_put((row, current[row]), known.new_zeros(()))
        best = best_columns(others, most)
        probability, code = best.score, best.place
        visit = _visits_on(answer, code)
        context = placed(answer.visits.context, known).unsqueeze(1).expand(-1, code.shape[1], -1)
        columns = [
            probability.clamp(min=LEAST_PROBABILITY).log(),
            log_popularity(answer.counts.popularity)[code],
            *_of_repeat(answer, visit),
            *(placed(column, known) for column in _of_neighbors(answer, code.cpu().numpy())),
            *answer.mixed.weights.clamp(min=LEAST_SHARE).log().t().unsqueeze(2).expand(-1, -1, code.shape[1]),
        ]
        signals = [torch.stack(columns, dim=2), _of_visits(answer, visit), context]
        if pooled is not None:
            *parts, liking = pooled(code)
            logarithms = [part.clamp(min=LEAST_PROBABILITY).log() for part in parts]
            signals.append(torch.stack([*logarithms, liking], dim=2))
        return cls(code, probability, torch.cat(signals, dim=2))

    @property
    def logarithm(self) -> Tensor:
        """Of the probability, ``(Q, M)``."""
        return self.probability.clamp(min=LEAST_PROBABILITY).log()

    def logits(self, reranker: Reranker, strength: float) -> Tensor:
        """Score the candidates, ``(Q, M)``: with strength 0 as they were, with 1 as the network says."""
        logits: Tensor = self.logarithm + strength * reranker(self.signals)
        return logits

    def reranked(self, known: Tensor, reranker: Reranker, strength: float) -> Tensor:
        """Give probabilities ``(Q, n)`` in which the candidates share anew what they have together."""
        mass = self.probability.sum(dim=1, keepdim=True)
        return known.scatter(1, self.code, torch.softmax(self.logits(reranker, strength), dim=1) * mass)


def _visits_on(answer: Answer, code: Tensor) -> Tensor:
    """Find the visit of each candidate, ``(Q, M)``; -1 where the session has not been on it."""
    visits, size = answer.visits, answer.counts.co_visits.size
    inside = np.flatnonzero((visits.code >= 0) & (visits.code < size))
    place = placed(visits.query[inside], code), placed(visits.code[inside], code)
    visit = code.new_full((len(code), size), -1).index_put(place, placed(inside, code))
    return visit.gather(1, code)


def _of_repeat(answer: Answer, visit: Tensor) -> tuple[Tensor, Tensor]:
    """Share that repeat gives each candidate, its logarithm, and whether it is a visit."""
    repeat = torch.where(visit >= 0, answer.mixed.repeat[visit.clamp(min=0)], 0)
    return (repeat + LEAST_REPEAT).log(), (visit >= 0).float()


def _of_visits(answer: Answer, visit: Tensor) -> Tensor:
    """Signals of the visits that candidates are, ``(Q, M, F)``; 0 where they are none."""
    signals = placed(answer.visits.signals, visit)[visit.clamp(min=0)]
    return signals * (visit >= 0).unsqueeze(2)


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
