"""Probabilities of what comes next, as the mixtures of all levels say them together.

A level by itself says what it has learned. Together they agree along the tree: a category's probability is shared out
among its children, and the item that the user is on is left out, as it is not what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.network import Answer, MixtureNetwork
from hup.nn.mixture import class_log_softmax
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
    current : Tensor
        ``(B,)`` items that the users are on.
    """

    network: MixtureNetwork
    answers: Mapping[Level, Answer]
    current: Tensor

    def of(self, level: Level) -> Distribution:
        """Give the probabilities of a level; those of categories agree with the levels above."""
        return self.settled(level, self.alone(level))

    def settled(self, level: Level, alone: Distribution) -> Distribution:
        """Make what the mixture of a level says by itself agree with the rest; see :meth:`of`."""
        if not level.is_category:
            return without_current(alone, self.current)
        if level.k == 1:
            return alone
        parents = self.network.pyramid.target_table(level).ancestors[:, -1]
        return shared_out(alone, parents, self.of(Level.category(level.k - 1)))

    def alone(self, level: Level) -> Distribution:
        """Give the probabilities as the mixture of a level says them by itself."""
        answer, size = self.answers[level], self.network.co_visits[level].size
        visits, mixed = answer.visits, answer.mixed
        known = self._explored(level) * mixed.weights[:, 2:3]
        known = known + mixed.weights[:, 1:2] * self._remembered(level)
        query, code = torch.from_numpy(visits.query), torch.from_numpy(visits.code)
        repeated = mixed.repeat * mixed.weights[:, 0].index_select(0, query)
        inside = (code >= 0) & (code < size)
        known = known.index_put((query[inside], code[inside]), repeated[inside], accumulate=True)
        outside = ~inside & (code >= 0)
        parent = torch.from_numpy(answer.parent)[outside]
        return Distribution(known, query[outside], code[outside], repeated[outside], parent)

    def contributions(self, level: Level, codes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Tell what every visit of a single query brings to the probability of some codes.

        Returns
        -------
        repeat, memory : Tensor
            ``(len(codes), P)`` each; what is missing to the probability is explore's.
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

    def _explored(self, level: Level) -> Tensor:
        """Distribution of explore over the known codes, ``(B, n)``; items share out what their category has."""
        network = self.network
        logits = network.mixture(level).logits(self.answers[level].mixed.preference, network.vectors(level))
        if level.is_category:
            return torch.softmax(logits, dim=1)
        known = (self.current < logits.shape[1]).nonzero().squeeze(1)
        logits[known, self.current[known]] = -torch.inf
        above = self.alone(network.ranked[1]).known
        within = torch.exp(class_log_softmax(logits, network.classes, above.shape[1]))
        return within * above.index_select(1, network.classes)

    def _remembered(self, level: Level) -> Tensor:
        """Distribution of the memory over the known codes, ``(B, n)``."""
        answer, counted = self.answers[level], self.network.co_visits[level]
        visits, n_queries = answer.visits, len(self.current)
        out = np.zeros((n_queries, counted.size), dtype=np.float32)
        attention = answer.mixed.memory.numpy()
        for relation, counts in enumerate(counted.counts):
            there = answer.support[:, relation] > 0
            weight = attention[there, relation] / answer.support[there, relation]
            place = (visits.query[there], visits.code[there])
            asked = sp.csr_array((weight.astype(np.float32), place), shape=(n_queries, counted.size))
            out += (asked @ counts).toarray()
        return torch.from_numpy(out)


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
