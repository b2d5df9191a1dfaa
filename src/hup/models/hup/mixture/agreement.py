"""Probabilities of all levels as marginals of one distribution.

Every level has learned for itself what comes next, and all know something: the items of a category say how likely it
is, and so does the category's own level. Bottom-up the two are pooled, top-down every category's probability is shared
out among its children, in proportion to their own. So the items of a category sum to what it has, and the item that the
user is on is left out, as it is not what comes next.

The likeliest items are put in their learned order once the levels agree, so the order starts from what all of them
know. What it moves is then agreed upon anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from hup.sessions.levels import Level

LEAST = 1e-12


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

    @cached_property
    def own_column(self) -> Tensor:
        """Count what each session has beyond the vocabulary from 0, ``(U,)``; queries stand one after the other."""
        counts = torch.bincount(self.query, minlength=len(self.known))
        place = torch.arange(len(self.query), device=self.query.device)
        return place - (counts.cumsum(0) - counts).index_select(0, self.query)

    def beside(self, known: Tensor, own: Tensor, fill: float) -> Tensor:
        """Lay values of the vocabulary ``(B, n)`` and of what is beyond it ``(U,)`` side by side, ``(B, n + u)``."""
        if not len(self.query):
            return known  # as it is, for there may be very many of the vocabulary
        more = known.new_full((len(known), int(self.own_column.max()) + 1), fill)
        return torch.cat([known, more.index_put((self.query, self.own_column), own)], dim=1)

    def with_columns(self, values: Tensor) -> Distribution:
        """Take other probabilities, as :meth:`beside` lays them."""
        n_known = self.known.shape[1]
        return replace(self, known=values[:, :n_known], probability=values[:, n_known:][self.query, self.own_column])

    @property
    def mass(self) -> Tensor:
        """Sum over all codes, ``(B,)``; what is missing to 1 is the probability of something unseen."""
        return self.known.sum(dim=1).index_add(0, self.query, self.probability)

    def of_codes(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Give the probability of one code of each query, and whether it has one: ``(B,)`` each."""
        inside = (code >= 0) & (code < self.known.shape[1])
        probability = self.known.gather(1, torch.where(inside, code, 0).unsqueeze(1)).squeeze(1) * inside
        own = self.code == code.index_select(0, self.query)
        has = torch.zeros_like(probability).index_add(0, self.query, own.to(probability.dtype)) > 0
        return probability.index_add(0, self.query, self.probability * own), inside | has

    def times(self, factor: Tensor) -> Distribution:
        """Scale every query's probabilities by a factor, ``(B,)``."""
        probability = self.probability * factor.index_select(0, self.query)
        return replace(self, known=self.known * factor.unsqueeze(1), probability=probability)


def agreed(
    alone: Mapping[Level, Distribution], parents: Mapping[Level, Tensor], trust: Mapping[Level, float]
) -> dict[Level, Distribution]:
    """Make one distribution of what the levels say.

    Parameters
    ----------
    alone : mapping of Level to Distribution
        As each level by itself says it, finest first; items without the current one.
    parents : mapping of Level to Tensor
        For every level but the coarsest ``(n,)`` int64, the parent of each known code.
    trust : mapping of Level to float
        Of every category level, how much the items' word counts in it, 0 to 1; see :func:`pooled`.

    Returns
    -------
    dict of Level to Distribution
        Each level has the mass that it had: what is unseen at a level is in proportion to what is seen.
    """
    made = dict(alone)
    for level, said in by_items(alone, parents).items():
        made[level] = pooled(alone[level], said, trust[level])
    for finer, level in reversed(list(pairwise(made))):
        made[finer] = _in_mass(shared_out(made[finer], parents[finer], made[level]), made[finer])
    return made


def moved(
    said: Mapping[Level, Distribution], parents: Mapping[Level, Tensor], level: Level, to: Distribution
) -> dict[Level, Distribution]:
    """Let a level of one distribution have other probabilities: finer ones share them out, coarser ones follow.

    Parameters
    ----------
    said : mapping of Level to Distribution
        As :func:`agreed` gives it.
    parents
        As for :func:`agreed`.
    level : Level
    to : Distribution
        Of that level, with the mass that it had.

    Returns
    -------
    dict of Level to Distribution
        Each level has the mass that it had. A coarser category has as many times what it had as its children have.
    """
    made, levels = dict(said) | {level: to}, list(said)
    place = levels.index(level)
    for below, above in reversed(list(pairwise(levels[: place + 1]))):
        made[below] = _in_mass(shared_out(said[below], parents[below], made[above]), said[below])
    for below, above in pairwise(levels[place:]):
        before, after = (summed(of[below], parents[below], said[above]) for of in (said, made))
        made[above] = _in_mass(_as_many_times(said[above], before, after), said[above])
    return made


def trust_in_order(trust: float, strength: float) -> float:
    """Give the trust in items of which the likeliest are in their learned order, which is followed so far, 0 to 1.

    The order knows more than what the trust was chosen for. Followed in full it is the root of it, so where items know
    nothing of categories, as most of these have no known item, they are still not trusted.
    """
    return math.pow(trust, 1 - strength / 2)


def by_items(alone: Mapping[Level, Distribution], parents: Mapping[Level, Tensor]) -> dict[Level, Distribution]:
    """Sum what the finest level says, by every category level; parameters as for :func:`agreed`."""
    said = dict(alone)
    for finer, level in pairwise(alone):
        said[level] = summed(said[finer], parents[finer], alone[level])
    return {level: said[level] for level in list(said)[1:]}


def summed(fine: Distribution, parents: Tensor, like: Distribution) -> Distribution:
    """Sum a level's probabilities by category of the next coarser one.

    Parameters
    ----------
    fine : Distribution
    parents : Tensor
        ``(n,)`` int64, the parent of each known code.
    like : Distribution
        Of the coarser level; it gives the codes.
    """
    sums, _ = _by_parent(fine, parents, like)
    return replace(like, known=sums[:, : like.known.shape[1]], probability=sums[like.query, like.code])


def pooled(own: Distribution, said: Distribution, trust: float) -> Distribution:
    """Pool two distributions of a level geometrically, with the mass of the first.

    ``P ∝ own^(1 - trust) · said^trust``: 0 = ``own``, 1 = ``said``, and what both find likely gains most.
    """

    def pool(first: Tensor, second: Tensor) -> Tensor:
        return torch.exp((1 - trust) * first.clamp(min=LEAST).log() + trust * second.clamp(min=LEAST).log())

    both = replace(own, known=pool(own.known, said.known), probability=pool(own.probability, said.probability))
    return _in_mass(both, own)


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
    return replace(items, known=known).times(1 / left.clamp(min=1e-6))


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
    sums, key = _by_parent(alone, parents, above)
    total = torch.zeros_like(sums)
    total[:, : above.known.shape[1]] = above.known
    total[above.query, above.code] = above.probability
    factor = torch.where((sums > 0) & (total > 0), total / sums.clamp(min=1e-30), 1)
    outside = torch.where(alone.parent >= 0, factor.view(-1).index_select(0, key), 1)
    known = alone.known * factor.index_select(1, parents)
    return replace(alone, known=known, probability=alone.probability * outside)


def _in_mass(said: Distribution, like: Distribution) -> Distribution:
    """Give a distribution the mass of another one."""
    return said.times(like.mass / said.mass.clamp(min=LEAST))


def _as_many_times(said: Distribution, before: Distribution, after: Distribution) -> Distribution:
    """Multiply what is said by the ratio of two others, where there is one."""

    def ratio(first: Tensor, second: Tensor) -> Tensor:
        return torch.where(first > 0, second / first.clamp(min=1e-30), 1)

    known = said.known * ratio(before.known, after.known)
    return replace(said, known=known, probability=said.probability * ratio(before.probability, after.probability))


def _by_parent(fine: Distribution, parents: Tensor, above: Distribution) -> tuple[Tensor, Tensor]:
    """Sum by query and parent, ``(B, w)``, known or not; and tell the place of what sessions have beyond."""
    n_queries, n_above = above.known.shape
    width = 1 + int(
        max(n_above, above.code.max() if len(above.code) else 0, fine.parent.max() if len(fine.parent) else 0)
    )
    key = fine.query * width + fine.parent.clamp(min=0)
    sums = fine.known.new_zeros(n_queries, width)
    sums[:, :n_above].index_add_(1, parents, fine.known)
    sums.view(-1).index_add_(0, key, torch.where(fine.parent >= 0, fine.probability, 0))
    return sums, key
