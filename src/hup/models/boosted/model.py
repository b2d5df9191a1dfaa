"""LightGBM's lambdarank over what the mixture of ``best`` sees: what a shop's own team would build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.evaluation.metrics import cutoff
from hup.models.boosted.candidates import candidates_of
from hup.models.boosted.counted import Counted, shares_of
from hup.models.boosted.features import features
from hup.models.boosted.groups import training_groups, validation_groups
from hup.models.boosted.options import LightGBMConfig
from hup.models.boosted.queries import Queries
from hup.models.boosted.ranker import Ranker
from hup.models.hup.mixture.visits import run_table
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.popularity import popularity_grades
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level

_TREES = "trees."
_TIE = 1e-6  # share of popularity in the score of a candidate: it orders what the trees leave equal


class LightGBM(Recommender):
    """Boosted trees that rank the candidates of a session, for every level by themselves.

    Candidates are what the session has visited, what is near that in other sessions, and what is popular. Trees see of
    them what the mixture of the preset ``best`` sees: signals of the visit, shares near the visits by relation,
    popularity, categories, cosines of skip-gram vectors, and the session's context. LambdaRank (Burges 2010) lifts the
    one that came next, at the ends of training sessions and at runs before them.
    """

    kind: ClassVar[str] = "lightgbm"
    options: ClassVar[type[Section]] = LightGBMConfig
    config: LightGBMConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("prefix_share=1.0",),
        ("extra_trees=false",),
        ("window=2",),
        ("objective='rank_xendcg'",),
        ("num_leaves=15", "learning_rate=0.03"),
        ("queries=60000",),
    )
    levels_independent: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._counted: Counted | None = None
        self._rankers: dict[Level, Ranker] = {}

    @property
    def learns_from_validation(self) -> bool:
        """The trees do, once their number is chosen."""
        return self.config.patience > 0

    def fit(self, dataset: Dataset) -> Self:
        """Count the training split, and grow the trees of every level."""
        self._take(dataset)
        config = self.config
        self._counted = Counted.of(dataset, self.vocabulary, config, ITEM)
        self._rankers = {}
        for level in self.levels:
            train = training_groups(dataset, self.vocabulary, config, level)
            if train:
                validation = validation_groups(dataset, self._counted, config, level)
                self._rankers[level] = Ranker.of(train, validation, config, cutoff(level))
        self.metrics = {"trees": {level: ranker.n_trees for level, ranker in self._rankers.items()}}
        return self

    def score(self, histories: Histories, level: str) -> Scores:
        """Score candidates above 1, by the trees; all else below, by popularity."""
        of_level = self._check_level(level)
        counted, config = self._fitted(self._counted), self.config
        table = counted.with_earlier(run_table(histories, len(self.vocabulary.behaviors)), histories)
        queries = Queries.of(table, config.visits)
        shares = shares_of(counted, queries, of_level, config.latest)
        candidates = candidates_of(
            counted,
            queries,
            shares[of_level],
            of_level,
            most=config.candidates,
            popular=config.popular,
            no_category=self.vocabulary.no_category,
        )
        value = np.ones(len(candidates))
        if of_level in self._rankers:
            _, described = features(counted, queries, shares, of_level, candidates)
            value += 1 / (1 + np.exp(-self._rankers[of_level].scores(described)))
        return self._laid_out(histories, level, *map(torch.from_numpy, (candidates.query, candidates.code, value)))

    def _laid_out(self, histories: Histories, level: str, query: Tensor, code: Tensor, value: Tensor) -> Scores:
        """Lay the values of candidates out over all codes."""
        grades = popularity_grades(self.vocabulary, level).double()
        known = (grades / (len(grades) + 1)).repeat(len(histories), 1)
        inside = code < len(grades)
        place = (query[inside], code[inside])
        known[place] = value[inside] + _TIE * known[place]
        own_codes = histories.own_unknown(level, len(grades)).codes
        own = torch.zeros(own_codes.shape, dtype=known.dtype)
        row = query[~inside]
        if len(row):
            # Every code beyond the vocabulary is one of the history's own, so each of them has its column.
            own[row, (own_codes[row] == code[~inside].unsqueeze(1)).long().argmax(dim=1)] = value[~inside]
        return Scores(known, own, own_codes)

    def tensors(self) -> dict[str, Tensor]:
        """Give what was counted, and the trees of every level as text."""
        return self._fitted(self._counted).tensors() | {
            f"{_TREES}{level}": ranker.tensor() for level, ranker in self._rankers.items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up counts and trees."""
        self._counted = Counted.restored(self.vocabulary, tensors, self.config.window)
        self._rankers = {
            level: Ranker.restored(tensors[f"{_TREES}{level}"])
            for level in self.levels
            if f"{_TREES}{level}" in tensors
        }
