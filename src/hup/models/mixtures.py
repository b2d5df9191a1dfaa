"""Linear mixtures of models that know different things; the weights are chosen on the validation split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from hup.config import Section
from hup.data.batches import Histories, histories_and_targets
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.models.base import Recommender, Scores
from hup.models.counted import EvidenceRecommender, share_of_highest
from hup.models.item_knn import ItemKNN, ItemKNNConfig
from hup.models.popularity import popularity_grades
from hup.models.session_index import visits_of
from hup.models.stan import STAN, STANConfig
from hup.models.target_ranks import target_ranks
from hup.models.vsknn import VSKNN, VSKNNConfig

#: Below every difference that matters: popularity orders what the components leave equal.
POPULARITY_SHARE = 1e-6
SESSIONS_PER_BLOCK = 256
#: Length of the list by which weights are chosen: of items, and of categories.
CUTOFF = {True: 20, False: 5}


class Weights(Section):
    """Fixed weights of the components, in their order; the last one is recency's."""

    item: tuple[float, ...] | None = None
    category: tuple[float, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()}


class MixtureConfig(Section):
    """Options that all mixtures have."""

    weights: Weights = Field(Weights(), description="fixed weights; without them the validation split decides")
    steps: PositiveInt = Field(20, description="the weights tried are multiples of 1 / steps")
    recency_power: float = Field(0.3, gt=0, description="recency is rank ** -power over the session's own codes")
    validation_sessions: PositiveInt = Field(5_000, description="most validation sessions to choose by, evenly spaced")


class Mixture(Recommender):
    """Weighted sum of components, each in shares of its highest evidence for a history, and recency.

    Recency is ``rank ** -recency_power`` over the session's own codes, latest first, and so knows items that training
    never saw. The weights of a level are those with the best sum of Recall and MRR on the validation split.
    """

    config: MixtureConfig

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._components = self.components()
        self.weights: dict[str, tuple[float, ...]] = {}

    @abstractmethod
    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted components, by their names."""

    def fit(self, dataset: Dataset) -> Self:
        """Fit the components on the training split and, where no weights are given, choose them on validation."""
        self._take(dataset)
        for component in self._components.values():
            component.fit(dataset)
        fixed = self.config.weights
        given = {level: fixed.item if level == "item" else fixed.category for level in self.levels}
        for level, weights in given.items():
            if weights is not None and len(weights) != len(self._components) + 1:
                raise HupError(
                    f"weights of {level}: {len(weights)} are given, expected {len(self._components) + 1}: "
                    f"{', '.join(self._components)}, recency."
                )
        self.weights = {level: given[level] or self._chosen(dataset, level) for level in self.levels}
        self.metrics = {"weights": {level: list(weights) for level, weights in self.weights.items()}}
        return self

    def _chosen(self, dataset: Dataset, level: str) -> tuple[float, ...]:
        """Choose the weights with the best Recall + MRR on the validation split; all alike where that is empty."""
        n, steps = len(self._components) + 1, self.config.steps if len(self._components) == 1 else 10
        grid = [parts for parts in product(range(steps + 1), repeat=n) if sum(parts) == steps]
        sessions = np.asarray(dataset.sessions("validation"), dtype=np.int64)
        if not len(sessions):
            return (1 / n,) * n
        most = min(self.config.validation_sessions, len(sessions))
        sessions = sessions[np.arange(most) * len(sessions) // most]
        totals = np.zeros(len(grid))
        for start in range(0, most, SESSIONS_PER_BLOCK):
            histories, targets = histories_and_targets(dataset, sessions[start : start + SESSIONS_PER_BLOCK])
            wanted = targets.wanted(level, self.vocabulary.no_category).numpy()
            if level == "item":
                excluded = histories.current("item")
            else:
                excluded = torch.full((len(histories),), self.vocabulary.no_category[int(level[9:]) - 1])
            parts = self._parts(histories, level)
            for place, tried in enumerate(grid):
                scores = self._mixed(histories, level, parts, tuple(part / steps for part in tried))
                ranks = target_ranks(scores, targets.codes(level), excluded=excluded, name=self.name)
                within = ranks[wanted] <= CUTOFF[level == "item"]
                totals[place] += (within * (1 + 1 / ranks[wanted])).sum()
        return tuple(part / steps for part in grid[int(totals.argmax())])

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by the weighted sum."""
        self._check_level(level)
        return self._mixed(histories, level, self._parts(histories, level), self.weights[level])

    def _parts(self, histories: Histories, level: str) -> list[Tensor]:
        return [share_of_highest(part.evidence(histories, level)) for part in self._components.values()]

    def _mixed(self, histories: Histories, level: str, parts: list[Tensor], weights: tuple[float, ...]) -> Scores:
        known, own, own_codes = recency_shares(histories, level, self.vocabulary.size(level), self.config.recency_power)
        total = weights[-1] * known
        for part, weight in zip(parts, weights[:-1], strict=True):
            total += weight * part
        grades = popularity_grades(self.vocabulary, level)
        if len(grades):
            total += POPULARITY_SHARE * (grades / grades.max()).float()
        return Scores(total, weights[-1] * own, own_codes)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the components, and the weights."""
        found = {
            f"weights.{level}": torch.tensor(weights, dtype=torch.float64) for level, weights in self.weights.items()
        }
        for name, component in self._components.items():
            found |= {f"{name}.{key}": tensor for key, tensor in component.tensors().items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up components and weights."""
        self.weights = {level: tuple(tensors[f"weights.{level}"].tolist()) for level in self.levels}
        for name, component in self._components.items():
            component._vocabulary = self.vocabulary
            start = f"{name}."
            component.restore({k.removeprefix(start): tensor for k, tensor in tensors.items() if k.startswith(start)})


class VSKNNRecencyConfig(MixtureConfig):
    """Options of VSKNN + recency."""

    vsknn: VSKNNConfig = VSKNNConfig()


class VSKNNRecency(Mixture):
    """VSKNN, mixed with recency."""

    kind: ClassVar[str] = "vsknn+recency"
    options: ClassVar[type[Section]] = VSKNNRecencyConfig
    config: VSKNNRecencyConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("recency_power=1.0",),
        *(tuple(f"vsknn.{override}" for override in overrides) for overrides in VSKNN.tuning[1:]),
    )

    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted VSKNN."""
        return {"vsknn": VSKNN(self.config.vsknn)}


class STANItemKNNRecencyConfig(MixtureConfig):
    """Options of STAN + Item-KNN + recency."""

    stan: STANConfig = STANConfig()
    item_knn: ItemKNNConfig = ItemKNNConfig(damping=20.0, itself=True)


class STANItemKNNRecency(Mixture):
    """STAN and a damped Item-KNN, mixed with recency."""

    kind: ClassVar[str] = "stan+item-knn+recency"
    options: ClassVar[type[Section]] = STANItemKNNRecencyConfig
    config: STANItemKNNRecencyConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("recency_power=1.0",),
        *(tuple(f"stan.{override}" for override in overrides) for overrides in STAN.tuning[1:]),
    )

    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted STAN and Item-KNN."""
        return {"stan": STAN(self.config.stan), "item_knn": ItemKNN(self.config.item_knn)}


def recency_shares(histories: Histories, level: str, n_known: int, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Give a session's own codes ``rank ** -power`` by their last run, latest first, and all others 0.

    The code that the user is on has rank 1 at the category levels, and none at the item level, where it is no
    candidate.

    Returns
    -------
    known : Tensor
        ``(B, n_known)`` float32.
    own, own_codes : Tensor
        ``(B, U)``, for the codes beyond the vocabulary; see :class:`Scores`.
    """
    highest = int(histories.codes(level).max()) + 1 if len(histories.item) else 0
    visits = visits_of(histories, level, max(highest, n_known))
    order = np.lexsort((visits.back, visits.row))
    row, code = visits.row[order], visits.code[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row) + (0 if level == "item" else 1)
    share = torch.from_numpy(np.power(np.maximum(rank, 1.0), -power).astype(np.float32))
    rows, codes = torch.from_numpy(row), torch.from_numpy(code)
    known = torch.zeros(len(histories), n_known)
    inside = codes < n_known
    known[rows[inside], codes[inside]] = share[inside]
    own_codes = histories.own_unknown(level, n_known).codes
    # Every own code is among the visits; codes of a row stand in one order in both, so a match by value finds them.
    own = torch.zeros(own_codes.shape)
    outside = torch.nonzero(~inside).flatten()
    if len(outside):
        match = own_codes[rows[outside]] == codes[outside].unsqueeze(1)
        own[rows[outside], match.long().argmax(dim=1)] = share[outside]
    return known, own, own_codes
