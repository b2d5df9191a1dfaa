"""Probabilities of what comes next, as the mixtures of all levels say them together.

A level by itself says what it has learned. Together they agree along the tree: a category's probability is shared out
among its children, and the item that the user is on is left out, as it is not what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.counted import counted_probabilities
from hup.models.hup.mixture.network import Answer, MixtureNetwork
from hup.nn.mixture import log_popularity
from hup.nn.pooling import Pool
from hup.sessions.levels import Level


@dataclass(frozen=True)
class Distribution:
    """Probabilities of one level for ``B`` queries.

    Attributes
    ----------
    known : Tensor
        ``(B, n)``, of the vocabulary.
    query, code, probability : Tensor
        ``(U,)`` each: of what the sessions have beyond it.
    parent : Tensor
        ``(U,)`` int64, its code at the next coarser level, -1 = none.
    """

    known: Tensor
    query: Tensor
    code: Tensor
    probability: Tensor
    parent: Tensor


@dataclass(frozen=True)
class Probabilities:
    """What a network answers at the end of ``B`` sessions.

    Attributes
    ----------
    network : MixtureNetwork
    answers : mapping of Level to Answer
    profiles : mapping of Level to Tensor
        ``(B, d)`` profile vectors; empty where the pyramid takes no part.
    current : Tensor
        ``(B,)`` items that the users are on.
    """

    network: MixtureNetwork
    answers: Mapping[Level, Answer]
    profiles: Mapping[Level, Tensor]
    current: Tensor

    def of(self, level: Level) -> Distribution:
        """Give the probabilities of a level; those of categories agree with the levels above."""
        alone = self.alone(level)
        if not level.is_category:
            return without_current(alone, self.current)
        if level.k == 1:
            return alone
        parents = self.network.pyramid.target_table(level).ancestors[:, -1]
        return shared_out(alone, parents, self.of(Level.category(level.k - 1)))

    def alone(self, level: Level) -> Distribution:
        """Give the probabilities as a level says them by itself: what was counted, pooled with the profile."""
        counted = self.counted(level)
        if not self.profiles:
            return counted
        share, strength = self.network.weights[self.network.ranked.index(level)].tolist()
        said = self.pool(level, counted).probabilities(share, strength)
        n_known = counted.known.shape[1]
        outside = said[:, n_known:][counted.query, _column(counted.query, len(said))]
        return Distribution(said[:, :n_known], counted.query, counted.code, outside, counted.parent)

    def counted(self, level: Level) -> Distribution:
        """Give the probabilities by what was counted at a level alone."""
        answer = self.answers[level]
        visits, mixed = answer.visits, answer.mixed
        known = counted_probabilities(self.network, level, answer, self.current)
        query, code = torch.from_numpy(visits.query), torch.from_numpy(visits.code)
        outside = code >= known.shape[1]
        repeated = mixed.repeat * mixed.weights[:, 0].index_select(0, query)
        parent = torch.from_numpy(answer.parent)[outside]
        return Distribution(known, query[outside], code[outside], repeated[outside], parent)

    def pool(self, level: Level, counted: Distribution) -> Pool:
        """Lay what was counted beside what the profile says: of the vocabulary, then of what sessions have beyond."""
        answer, profile, table = self.answers[level], self.profiles[level], self.network.pyramid.target_table(level)
        outside = torch.from_numpy(answer.visits.code) >= counted.known.shape[1]
        path = torch.from_numpy(answer.path)[outside, : len(table.n_ancestors)]
        own = profile.index_select(0, counted.query) * table(counted.code, path)
        bias = log_popularity(self.network.mixture(level).counts).repeat(len(profile), 1)
        if not level.is_category:
            row = ((self.current >= 0) & (self.current < bias.shape[1])).nonzero().squeeze(1)
            bias[row, self.current[row]] = -torch.inf
        place = counted.query, _column(counted.query, len(profile))
        n_own = int(place[1].max()) + 1 if len(counted.query) else 0

        def beside(values: Tensor, others: Tensor, fill: float) -> Tensor:
            more = values.new_full((len(values), n_own), fill)
            return torch.cat([values, more.index_put(place, others)], dim=1)

        nobody = log_popularity(torch.zeros(len(counted.query)))
        return Pool.of(
            beside(counted.known, counted.probability, 0),
            beside(profile @ table.vectors().t(), own.sum(dim=1), 0),
            beside(bias, nobody, -torch.inf),
        )

    def contributions(self, level: Level, codes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Tell what every visit of a single query brings to what was counted for some codes.

        Returns
        -------
        repeat, memory : Tensor
            ``(len(codes), P)`` each; what is missing to :meth:`counted` is explore's.
        """
        answer = self.answers[level]
        visits, mixed = answer.visits, answer.mixed
        asked = np.asarray(codes, dtype=np.int64)
        repeat = torch.from_numpy(visits.code == asked[:, None]) * mixed.repeat * mixed.weights[0, 0]
        n_visits = len(visits.code)
        counts = self.network.co_visits[level].looked_up(np.tile(visits.code, len(asked)), np.repeat(asked, n_visits))
        counts = counts.reshape(len(asked), n_visits, len(RELATIONS))
        share = np.divide(counts, answer.support, out=np.zeros_like(counts), where=answer.support > 0)
        memory = (mixed.memory * torch.from_numpy(share.astype(np.float32))).sum(dim=2) * mixed.weights[0, 1]
        return repeat, memory


def _column(query: Tensor, n_queries: int) -> Tensor:
    """Count the rows of each query from 0; they stand one after the other."""
    counts = torch.bincount(query, minlength=n_queries)
    return torch.arange(len(query)) - (counts.cumsum(0) - counts).index_select(0, query)


def without_current(items: Distribution, current: Tensor) -> Distribution:
    """Leave the item out that each user is on, as it is not what comes next; the others share what it had.

    Parameters
    ----------
    items : Distribution
    current : Tensor
        ``(B,)`` int64.
    """
    row = (current < items.known.shape[1]).nonzero().squeeze(1)
    known, left = items.known.clone(), items.known.new_ones(len(current))
    left[row] -= known[row, current[row]]
    known[row, current[row]] = 0
    factor = 1 / left.clamp(min=1e-6)
    probability = items.probability * factor.index_select(0, items.query)
    return Distribution(known * factor.unsqueeze(1), items.query, items.code, probability, items.parent)


def shared_out(alone: Distribution, parents: Tensor, above: Distribution) -> Distribution:
    """Share the probability of each coarser category out among its children, in proportion to their own.

    Parameters
    ----------
    alone : Distribution
        As a level itself says it.
    parents : Tensor
        ``(n,)`` int64, the parent of each known code.
    above : Distribution
        Of the next coarser level, final.

    Returns
    -------
    Distribution
        In which the children of a category sum to its probability, so that none has more than it; what has no parent
        among those of ``above`` keeps its own probability.
    """
    n_queries, n_above = above.known.shape
    width = 1 + int(
        max(n_above, above.code.max() if len(above.code) else 0, alone.parent.max() if len(alone.parent) else 0)
    )
    # One key for a query's parent, whether the vocabulary has it or not.
    key = alone.query * width + alone.parent.clamp(min=0)
    sums = alone.known.new_zeros(n_queries, width)
    sums[:, :n_above].index_add_(1, parents, alone.known)
    sums.view(-1).index_add_(0, key, torch.where(alone.parent >= 0, alone.probability, 0))
    total = alone.known.new_zeros(n_queries, width)
    total[:, :n_above] = above.known
    total[above.query, above.code] = above.probability
    factor = torch.where((sums > 0) & (total > 0), total / sums.clamp(min=1e-30), 1)
    outside = torch.where(alone.parent >= 0, factor.view(-1).index_select(0, key), 1)
    known = alone.known * factor.index_select(1, parents)
    return Distribution(known, alone.query, alone.code, alone.probability * outside, alone.parent)
