"""What is counted in training sessions for the trees: neighbours and popularity of every level, vectors of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.data.dataset import Dataset
from hup.models.boosted.options import LightGBMConfig
from hup.models.boosted.queries import Queries
from hup.models.hup.mixture.co_visits import CoVisits, count_co_visits
from hup.models.hup.mixture.earlier import with_earlier
from hup.models.hup.mixture.neighbor_shares import NeighborShares
from hup.models.hup.mixture.visits import RunTable
from hup.models.skipgram import word2vec_vectors
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.earlier import looked_back_on
from hup.sessions.left_out import without
from hup.sessions.levels import ITEM, Level, ranked_levels
from hup.sessions.runs import code_counts, training_runs

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LevelCounts:
    """What is counted of one level.

    Attributes
    ----------
    co_visits : CoVisits
    popularity : ndarray
        ``(n,)`` int64, runs of every known code.
    """

    co_visits: CoVisits
    popularity: Ints

    @property
    def size(self) -> int:
        """Known codes."""
        return len(self.popularity)

    @cached_property
    def by_popularity(self) -> Ints:
        """Codes that have been visited, the most popular first; of equal ones the smaller code."""
        order = np.argsort(-self.popularity, kind="stable")
        return order[self.popularity[order] > 0]


@dataclass(frozen=True)
class Counted:
    """What is counted, of some levels.

    Attributes
    ----------
    levels : mapping of Level to LevelCounts
    vectors : ndarray
        ``(n_items, d)`` float32 of length 1; 0 where an item has none.
    paths : ndarray
        ``(n_items, K)`` int64 categories of every known item.
    parents : tuple of ndarray
        For level 1 … K: code of every category's parent; -1 at the first level.
    earlier : int
        Item runs of a user's earlier sessions that are looked at; 0 where hardly a user comes back.
    """

    levels: Mapping[Level, LevelCounts]
    vectors: Floats
    paths: Ints
    parents: tuple[Ints, ...]
    earlier: int

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        vocabulary: Vocabulary,
        config: LightGBMConfig,
        finest: Level,
        left_out: range = range(0),
    ) -> Self:
        """Count training sessions.

        Parameters
        ----------
        dataset : Dataset
        vocabulary : Vocabulary
            Of the whole training split.
        config : LightGBMConfig
        finest : Level
            It and all coarser ones are counted; vectors are fitted for the item level alone.
        left_out : range
            Training sessions that are not counted, as they are to be asked what the counts say of them.
        """
        items, offsets = without(*training_runs(dataset, ITEM), left_out)
        counted, vectors = {}, torch.zeros(0, config.vector_size)
        for level in (finest, *coarser(finest, vocabulary.levels)):
            codes = level.of_items(items, dataset.taxonomy.paths)
            size = vocabulary.size(level)
            co_visits = count_co_visits(
                codes,
                offsets,
                size,
                window=config.window,
                neighbors=config.neighbors,
                with_itself=level.is_category,
            )
            counted[level] = LevelCounts(co_visits, code_counts(codes, offsets, size))
            if level == ITEM:
                vectors = word2vec_vectors(
                    dataset,
                    ITEM,
                    config.vector_size,
                    window=config.window,
                    epochs=config.vector_epochs,
                    budget=config.vector_budget,
                    seed=config.seed,
                    left_out=left_out,
                )
        earlier = looked_back_on(dataset, config.earlier)
        return cls(counted, _unit(vectors), vocabulary.paths, vocabulary.parents, earlier)

    def tensors(self) -> dict[str, Tensor]:
        """Give all but what the vocabulary has, by name."""
        tensors = {
            f"{level}.{name}": tensor
            for level, counts in self.levels.items()
            for name, tensor in counts.co_visits.tensors().items()
        }
        return tensors | {"vectors": torch.from_numpy(self.vectors), "earlier": torch.tensor(self.earlier)}

    @classmethod
    def restored(cls, vocabulary: Vocabulary, tensors: Mapping[str, Tensor], window: int) -> Self:
        """Take up what :meth:`tensors` gave of all levels.

        Raises
        ------
        KeyError
            A tensor is not there.
        """
        levels = {}
        for level in ranked_levels(vocabulary.levels):
            prefix = f"{level}."
            parts = {name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)}
            co_visits = CoVisits.restored(parts, window, with_itself=level.is_category)
            levels[level] = LevelCounts(co_visits, vocabulary.counts[level].astype(np.int64))
        vectors, earlier = tensors["vectors"].numpy(), int(tensors["earlier"])
        return cls(levels, vectors, vocabulary.paths, vocabulary.parents, earlier)

    def with_earlier(self, table: RunTable, histories: Histories) -> RunTable:
        """Put what the users did in earlier sessions before a table of histories, where that is looked at."""
        return with_earlier(table, histories, most=self.earlier, n_known=len(self.paths))

    def ancestors(self, level: Level, codes: Ints, k: int) -> Ints:
        """Category of level ``k``, at most the level's own, of known codes of a level."""
        if not level.is_category:
            of_items: Ints = self.paths[codes, k - 1]
            return of_items
        for finer in range(level.k, k, -1):
            codes = self.parents[finer - 1][codes]
        return codes


def coarser(level: Level, n_levels: int) -> tuple[Level, ...]:
    """Levels above one, finest first: of items all K levels of categories."""
    first = level.k - 1 if level.is_category else n_levels
    return tuple(Level.category(k) for k in range(first, 0, -1))


def _unit(vectors: Tensor) -> Floats:
    """Vectors ``(n, d)`` at length 1; zeros stay."""
    scaled: Floats = functional.normalize(vectors, dim=1).numpy()
    return scaled


def shares_of(counted: Counted, queries: Queries, level: Level, latest: int) -> dict[Level, NeighborShares]:
    """Look around the visits at a level and at all coarser ones; see :meth:`NeighborShares.of`."""
    return {
        one: NeighborShares.of(counted.levels[one].co_visits, queries.visits[one], latest)
        for one in (level, *coarser(level, len(counted.parents)))
    }
