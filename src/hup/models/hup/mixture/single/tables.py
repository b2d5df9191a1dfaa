"""A mixture's tables as its kernel reads them: pointers to all weights and counts, and sums of vectors."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.similar import NEAREST, TEMPERATURE, SimilarProfiles
from hup.models.hup.mixture.single import structures as c
from hup.models.hup.mixture.single.counted import CountedLevel
from hup.models.hup.mixture.visit_signals import visit_sizes
from hup.nn.mixture import Attention
from hup.nn.reranker import Reranker
from hup.nn.single_kernel import Tree, address
from hup.nn.tables import TreeTable
from hup.sessions.levels import Level

#: From so many codes on, likings are worked out from 8 bits a number, and anew for all that is likely. Of fewer codes
#: all vectors are near to the processor anyway.
COARSE_FROM = 1 << 14
_TOGETHER = 32  # as in native/coarse.hpp

Floats = NDArray[np.float32]


class MixtureTables:
    """All that a network's answers are made of.

    They are pointed at, so what is changed in place is seen; but for target vectors, which are sums.

    Parameters
    ----------
    network : MixtureNetwork
    levels : mapping of Level to CountedLevel
    """

    def __init__(self, network: MixtureNetwork, levels: Mapping[Level, CountedLevel]) -> None:
        self._network = network
        self._pointed_at: list[object] = [one.detach() for one in (*network.parameters(), *network.buffers())]
        of_levels = (c.LevelTables * len(levels))(*(self._level(*one) for one in levels.items()))
        similar = None if network.similar is None else self._similar(network.similar)
        self._pointed_at += [of_levels, similar]
        n_categories = len(levels) - 1
        n_signals, n_context = visit_sizes(network.n_behaviors, n_categories, earlier=network.most_earlier > 0)
        self.model = c.Model(
            of_levels,
            len(levels),
            n_categories,
            network.n_behaviors,
            n_signals,
            n_context,
            network.mixture(next(iter(levels))).part.in_features,
            network.most_visits,
            address(network.weights),
            None if similar is None else ctypes.addressof(similar),
        )

    def _level(self, level: Level, counted: CountedLevel) -> c.LevelTables:
        mixture, co_visits = self._network.mixture(level), counted.co_visits
        table, parents = self._network.pyramid.target_table(level), self._network.parents().get(level)
        assert isinstance(table, TreeTable)
        near = [
            c.Near(self._at(one.indptr, np.int64), self._at(one.indices, np.int32), self._at(one.data, np.float32))
            for one in co_visits.counts
        ]
        with torch.inference_mode():
            vectors = table.vectors().detach().numpy()
        return c.LevelTables(
            co_visits.size,
            level.k,
            (c.Near * len(near))(*near),
            self._at(co_visits.totals, np.float64),
            address(mixture.counts),
            self._at(counted.popularity, np.float32),
            self._at(counted.log_popularity, np.float32),
            _attention(mixture.pointer),
            _attention(mixture.neighbors),
            *_linear(mixture.context),
            *_linear(mixture.part),
            (ctypes.c_int64 * 4)(*mixture.has),
            None if parents is None else self._at(parents.numpy(), np.int32),
            Tree.of(table),
            self._at(vectors, np.float32),  # shared
            self._coarse(vectors) if len(vectors) >= COARSE_FROM else c.Coarse(),
            self._reranker(level) if level in self._network.ordered else None,
        )

    def _reranker(self, level: Level) -> int:
        tables = _reranker(self._network.reranker(level), self._network.n_reranked)
        self._pointed_at.append(tables)
        return ctypes.addressof(tables)

    def _coarse(self, vectors: Floats) -> c.Coarse:
        numbers, steps = coarse(vectors)
        return c.Coarse(self._at(numbers, np.int8), self._at(steps, np.float32))

    def _similar(self, similar: SimilarProfiles) -> c.SimilarTables:
        tables = (address(one) for one in (similar.kept, similar.centers, similar.codes, similar.bounds))
        n_clusters, size = similar.centers.shape
        return c.SimilarTables(*tables, n_clusters, size, min(NEAREST, n_clusters), TEMPERATURE)

    def _at(self, array: NDArray[np.generic], kind: type[np.generic]) -> int:
        """Give the place of an array's numbers, of a kind, and keep them there."""
        kept = np.ascontiguousarray(array, dtype=kind)
        self._pointed_at.append(kept)
        return kept.ctypes.data


def coarse(vectors: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Round vectors ``(n, d)`` to 8 bits a number.

    Returns
    -------
    numbers : ndarray
        ``(blocks, pairs, 32, 2)`` int8: 32 vectors lie together, two columns of each, then the next two.
    steps : ndarray
        ``(blocks * 32,)``, what the numbers of each vector are multiplied by.
    """
    n, d = vectors.shape
    filled = np.pad(vectors, ((0, -n % _TOGETHER), (0, d % 2)))
    steps = np.abs(filled).max(axis=1) / np.float32(127)
    numbers = np.rint(filled / np.where(steps > 0, steps, 1)[:, None]).astype(np.int8)
    return numbers.reshape(-1, _TOGETHER, (d + 1) // 2, 2).transpose(0, 2, 1, 3), steps


def _linear(layer: nn.Linear) -> tuple[int | None, int | None]:
    return address(layer.weight), address(layer.bias)


def _attention(attention: Attention) -> c.Attention:
    rule, score = address(attention.rule.weight), address(attention.score.weight)
    return c.Attention(rule, *_linear(attention.signals), score, attention.score.out_features)


def _reranker(reranker: Reranker, most: int) -> c.RerankerTables:
    first, _, second, _, last = reranker.layers
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    assert isinstance(last, nn.Linear)
    settled = address(reranker.mean), address(reranker.spread)
    sizes = len(reranker.mean), first.out_features, most
    return c.RerankerTables(*settled, *_linear(first), *_linear(second), address(last.weight), *sizes)
