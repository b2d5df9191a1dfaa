"""What the mixture answers one user, at all levels: :class:`~hup.models.hup.mixture.probabilities.Probabilities`.

A live answer goes over a handful of visits, where the machinery around each operation on tensors would cost more than
the operation. Tests hold both equal. Where a compiler is there, a kernel answers instead, which is faster by far
(:mod:`hup.models.hup.mixture.single.kernel`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from hup.models.hup.mixture.agreement import trust_in_order
from hup.models.hup.mixture.network import MixtureNetwork, Weights
from hup.models.hup.mixture.single.agreement import One, Tree
from hup.models.hup.mixture.single.contributions import Contributions
from hup.models.hup.mixture.single.counted import CountedLevel, Parts, softmax
from hup.models.hup.mixture.single.kernel import KernelAnswer, MixtureKernel
from hup.models.hup.mixture.single.reranking import SingleReranker
from hup.models.hup.mixture.single.runs import visits_at_end
from hup.models.hup.mixture.visits import RunTable, Visits
from hup.nn.mixture import log_popularity
from hup.nn.single import array
from hup.sessions.levels import ITEM, Level

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_TINY = np.float32(1e-30)


@dataclass(frozen=True)
class LevelAnswer:
    """What one level says by itself, and what that is made of.

    Attributes
    ----------
    visits : Visits
    parts : Parts
    counted : One
        By what was counted.
    alone : One
        That, pooled with the profile.
    pooled : tuple of ndarray
        :data:`~hup.models.hup.mixture.reranking.POOLED`, ``(n + U,)`` each; none without a profile.
    rest : float
        Weight of what was counted beside the profile.
    """

    visits: Visits
    parts: Parts
    counted: One
    alone: One
    pooled: tuple[Floats, ...]
    rest: float

    @property
    def runs(self) -> list[int]:
        """Run of every visit."""
        runs: list[int] = self.visits.run.tolist()
        return runs

    def shares(self) -> list[float]:
        """Weigh the visits by what they bring to repeat and memory; they sum to 1."""
        return self.parts.shares()

    def contributions(self, codes: Sequence[int]) -> Contributions:
        """Tell what brings about the probabilities of some codes."""
        n_known, outside = len(self.counted.known), self.counted.code.tolist()
        columns = [code if code < n_known else n_known + outside.index(code) for code in codes]
        base = np.concatenate([self.counted.known, self.counted.probability])[columns]
        parts, asked = self.parts, np.asarray(codes, dtype=np.int64)
        repeat = (self.visits.code == asked[:, None]) * (parts.repeat * parts.weights[0])
        slot = np.full(n_known, -1)
        inside = np.flatnonzero(asked < n_known)
        slot[asked[inside]] = inside
        memory = np.zeros(repeat.shape, dtype=np.float32)
        for relation, near in enumerate(parts.near):
            place = slot[near.code]
            there = np.flatnonzero(place >= 0)
            visit = near.visit[there]
            memory[place[there], visit] += parts.memory[visit, relation] * near.share[there]
        profile = np.zeros(len(codes), dtype=np.float32)
        if self.pooled:
            _, dense, followed, _ = self.pooled
            profile = dense[columns] + followed[columns]
        rest = np.float32(self.rest)
        return Contributions(rest * base + profile, rest * repeat, rest * (memory * parts.weights[1]), profile)


class SingleMixture:
    """A mixture network's twin for one user.

    Parameters
    ----------
    network : MixtureNetwork
        Its weights are shared: what is changed in place is seen.
    """

    def __init__(self, network: MixtureNetwork) -> None:
        self.network = network
        self.levels = {
            level: CountedLevel(level, network.mixture(level), network.counts(level)) for level in network.ranked
        }
        parents = network.parents()
        self.tree = Tree([parents[level].numpy() for level in network.ranked[:-1]])
        self.rerankers = {
            level: SingleReranker(
                network.reranker(level), self.levels[level], network.paths(level).numpy(), network.n_reranked
            )
            for level in network.ordered
        }
        self.kernel = MixtureKernel.of(network, self.levels)

    def answer(self, table: RunTable, profiles: Mapping[Level, Floats]) -> SingleAnswer | KernelAnswer:
        """Mix for the end of a session.

        Parameters
        ----------
        table : RunTable
            Of one session, not empty.
        profiles : mapping of Level to ndarray
            ``(d,)`` profile vectors; empty where the pyramid takes no part.
        """
        return SingleAnswer(self, table, profiles) if self.kernel is None else self.kernel.answer(table, profiles)

    def level(self, level: Level, table: RunTable, profile: Floats | None, weights: Weights) -> LevelAnswer:
        """Tell what a level says by itself."""
        counts, current = self.levels[level], int(table.item[-1])
        visits = visits_at_end(table, level, most=self.network.most_visits)
        parts = counts.parts(visits, current)
        n_known = len(parts.known)
        outside = np.flatnonzero(visits.code >= n_known)
        run, repeated = visits.run[outside], parts.weights[0] * parts.repeat[outside]
        counted = One(parts.known, visits.code[outside], repeated, table.parents(level)[run])
        said, pooled, rest = np.concatenate([counted.known, repeated]), tuple[Floats, ...](), 1.0
        if profile is not None:
            said, pooled = self._pooled(level, counted, table.categories[run], profile, current, weights)
            rest = 1 - weights.dense - weights.similar
        alone = One(said[:n_known], counted.code, said[n_known:], counted.parent)
        return LevelAnswer(visits, parts, counted, alone, pooled, rest)

    def _pooled(
        self, level: Level, counted: One, path: Ints, profile: Floats, current: int, weights: Weights
    ) -> tuple[Floats, tuple[Floats, Floats, Floats, Floats]]:
        """Pool what was counted with what the profile says, as :class:`~hup.nn.pooling.Pool` does, ``(n + U,)``.

        Returns
        -------
        said : ndarray
            The probabilities.
        pooled : tuple of ndarray
            :data:`~hup.models.hup.mixture.reranking.POOLED`.
        """
        table, similar = self.network.pyramid.target_table(level), self.network.similar
        with torch.inference_mode():
            liking = array(table.vectors()) @ profile
        bias, base, n_known = self.levels[level].log_popularity, counted.known, len(counted.known)
        if len(counted.code):
            ancestors = torch.from_numpy(path[:, : len(table.n_ancestors)])
            with torch.inference_mode():
                own = array(table(torch.from_numpy(counted.code), ancestors)) @ profile
                nobody = array(log_popularity(torch.zeros(len(own))))
            liking, bias = np.concatenate([liking, own]), np.concatenate([bias, nobody])
            base = np.concatenate([base, counted.probability])
        logits = liking + bias
        if not level.is_category and 0 <= current < n_known:
            logits[current] = -np.inf
        mass = base.sum()
        dense = softmax(logits) if np.isfinite(logits).any() else np.zeros_like(logits)
        dense *= np.float32(weights.dense) * mass
        followed = np.zeros_like(dense)
        if level == ITEM and similar is not None:
            codes, shares = similar.followed_one(profile, current)
            np.add.at(followed, codes, shares * (np.float32(weights.similar) * mass))
        counts = base * np.float32(1 - weights.dense - weights.similar)
        mixed = counts + dense + followed
        raised = np.float32(weights.strength) * liking
        raised -= raised.max()
        mixed *= np.exp(raised, out=raised)
        mixed *= mass / np.maximum(mixed.sum(), _TINY)
        return mixed, (counts, dense, followed, liking)


class SingleAnswer:
    """What the mixture answers at the end of one session.

    Parameters
    ----------
    mixture : SingleMixture
    table : RunTable
    profiles : mapping of Level to ndarray
    """

    def __init__(self, mixture: SingleMixture, table: RunTable, profiles: Mapping[Level, Floats]) -> None:
        self.mixture, self._weights = mixture, mixture.network.all_weights()
        self.levels = {
            level: mixture.level(level, table, profiles.get(level), weights) for level, weights in self._weights.items()
        }
        self._table, self._current = table, int(table.item[-1])

    def of(self, level: Level) -> One:
        """Give the probabilities of a level, a marginal of the one distribution of all levels."""
        return self._agreed[level]

    @cached_property
    def _agreed(self) -> dict[Level, One]:
        alone = {level: answer.alone for level, answer in self.levels.items()}
        alone[ITEM] = alone[ITEM].without(self._current)
        said, network = self._agreed_by(alone, 0.0), self.mixture.network
        for level in network.ordered:
            strength = self._weights[level].reranking
            if strength and level == ITEM:
                said = self._agreed_by(alone | {level: self._in_order(level, said[level], strength)}, strength)
            elif strength:
                said = self.mixture.tree.moved(said, level, self._in_order(level, said[level], strength))
        return said

    def _in_order(self, level: Level, said: One, strength: float) -> One:
        """Put the likeliest codes of a level in their learned order."""
        asked, current = self.levels[level], -1 if level.is_category else self._current
        path = self._table.categories[asked.visits.run]
        reranker = self.mixture.rerankers[level]
        return reranker.rerank(asked.visits, path, asked.parts, said, current, strength, asked.pooled)

    def _agreed_by(self, said: Mapping[Level, One], strength: float) -> dict[Level, One]:
        trust = {level: trust_in_order(weights.trust, strength) for level, weights in self._weights.items()}
        return self.mixture.tree.agreed(said, trust)
