"""Probabilities of what comes next: as each level says them by itself, and as all of them agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import torch
from torch import Tensor

from hup.models.hup.mixture.agreement import Distribution, agreed, moved, trust_in_order, without_current
from hup.models.hup.mixture.answer import Answer
from hup.models.hup.mixture.counted import counted_probabilities
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.reranking import Candidates
from hup.nn.devices import placed
from hup.nn.mixture import log_popularity
from hup.nn.pooling import Pool
from hup.sessions.levels import ITEM, Level

Made = TypeVar("Made")


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
        """Give the probabilities of a level, a marginal of the one distribution of all levels."""
        return self.agreed[level]

    @cached_property
    def agreed(self) -> dict[Level, Distribution]:
        """Probabilities of all levels, with the likeliest items and finest categories in their learned orders."""
        said, network = self.items_ordered, self.network
        for level in network.ordered[1:]:
            if strength := network.follows(level):
                ordered = self.candidates(level).reranked(said[level], network.reranker(level), strength)
                said = moved(said, network.parents(), level, ordered)
        return said

    @cached_property
    def items_ordered(self) -> dict[Level, Distribution]:
        """Probabilities of all levels: agreed upon, then anew with the likeliest items in their learned order."""
        network, strength = self.network, self.network.follows(ITEM)
        # Where categories are taught by training sessions, the profile, which knows these by heart, is left out.
        if not strength or network.has_profile > bool(self.profiles):
            return self.unordered
        items = self.candidates(ITEM).reranked(self.unordered[ITEM], network.reranker(ITEM), strength)
        return self._agreed(self.alone | {ITEM: items}, strength)

    @cached_property
    def unordered(self) -> dict[Level, Distribution]:
        """Probabilities of all levels before items are ranked anew."""
        return self._agreed(self.alone, 0.0)

    @cached_property
    def alone(self) -> dict[Level, Distribution]:
        """Probabilities of all levels as each says them by itself, finest first; items without the current one."""
        alone = {level: self.pooled(level) for level in self.network.ranked}
        return alone | {ITEM: without_current(alone[ITEM], self.current)}

    def _agreed(self, said: Mapping[Level, Distribution], strength: float) -> dict[Level, Distribution]:
        weights = self.network.all_weights()
        trust = {level: trust_in_order(own.trust, strength) for level, own in weights.items()}
        return agreed(said, self.network.parents(), trust)

    def candidates(self, level: Level) -> Candidates:
        """Look at the likeliest codes of an ordered level, before they are ranked anew."""
        network, said, current = self.network, self.unordered, self.current
        if level.is_category:
            said, current = self.items_ordered, torch.full_like(current, -1)
        pooled = partial(self._parts_of, level) if self.profiles else None
        paths = network.paths(level)
        return Candidates.of(self.answers[level], said[level], current, paths, network.n_reranked, pooled)

    def _parts_of(self, level: Level, column: Tensor) -> tuple[Tensor, ...]:
        """Give what is pooled of some columns ``(Q, M)``, as it is weighed, and how they are liked."""
        pool, weights = self.pool(level).at(column), self.network.weights_of(level)
        return *pool.weighed(weights.dense, weights.similar), pool.liking

    def pooled(self, level: Level) -> Distribution:
        """Give the probabilities of what was counted, pooled with the profile."""
        return _once(self._pooled, level, self._with_profile)

    @cached_property
    def _pooled(self) -> dict[Level, Distribution]:
        return {}

    def _with_profile(self, level: Level) -> Distribution:
        counted = self.counted(level)
        if not self.profiles:
            return counted
        weights = self.network.weights_of(level)
        return counted.with_columns(self.pool(level).probabilities(weights.dense, weights.similar, weights.strength))

    def counted(self, level: Level) -> Distribution:
        """Give the probabilities by what was counted at a level alone: repeat, memory and popularity."""
        return _once(self._counted, level, self._added_up)

    @cached_property
    def _counted(self) -> dict[Level, Distribution]:
        return {}

    def _added_up(self, level: Level) -> Distribution:
        answer = self.answers[level]
        visits, mixed = answer.visits, answer.mixed
        known = counted_probabilities(level, answer, self.current)
        query, code = placed(visits.query, known), placed(visits.code, known)
        outside = code >= known.shape[1]
        repeated = mixed.repeat * mixed.weights[:, 0].index_select(0, query)
        parent = placed(answer.parent, known)[outside]
        return Distribution(known, query[outside], code[outside], repeated[outside], parent)

    def pool(self, level: Level) -> Pool:
        """Lay what was counted beside what the profile says: of the vocabulary, then of what sessions have beyond."""
        return _once(self._pools, level, self._pool)

    @cached_property
    def _pools(self) -> dict[Level, Pool]:
        return {}

    def _pool(self, level: Level) -> Pool:
        counted = self.counted(level)
        answer, profile, table = self.answers[level], self.profiles[level], self.network.pyramid.target_table(level)
        outside = placed(answer.visits.code, profile) >= counted.known.shape[1]
        path = placed(answer.path, profile)[outside, : len(table.n_ancestors)]
        own = profile.index_select(0, counted.query) * table(counted.code, path)
        bias = log_popularity(self.network.mixture(level).counts).repeat(len(profile), 1)
        if not level.is_category:
            row = ((self.current >= 0) & (self.current < bias.shape[1])).nonzero().squeeze(1)
            bias[row, self.current[row]] = -torch.inf
        nobody = log_popularity(profile.new_zeros(len(counted.query)))
        similar = None
        if level == ITEM and self.network.similar is not None:
            followed = self.network.similar.followed(profile, self.current, bias.shape[1])
            similar = counted.beside(followed, profile.new_zeros(len(counted.query)), 0)
        return Pool.of(
            counted.beside(counted.known, counted.probability, 0),
            counted.beside(profile @ table.vectors().t(), own.sum(dim=1), 0),
            counted.beside(bias, nobody, -torch.inf),
            similar,
        )


def _once(made: dict[Level, Made], level: Level, make: Callable[[Level], Made]) -> Made:
    """Make what a level is asked for the first time: for probabilities, and then for where they come from."""
    if level not in made:
        made[level] = make(level)
    return made[level]
