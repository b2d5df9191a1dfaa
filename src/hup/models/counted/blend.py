"""Linear blends of models that know different things; the weights are chosen by time-ordered folds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.data.folds import Fold, folds
from hup.errors import HupError
from hup.evaluation.metrics import gain
from hup.evaluation.neighbors import NeighborLists
from hup.evaluation.protocol import NEIGHBORS
from hup.models.counted.blend_weights import Weights, best_weights, weight_grid
from hup.models.counted.evidence import EvidenceRecommender, share_of_highest
from hup.models.counted.item_knn import ItemKNN, ItemKNNConfig
from hup.models.counted.shares import ComponentShares, Shortlist, recency_shares, without
from hup.models.counted.slist import SLIST, SLISTConfig
from hup.models.counted.stan import STAN, STANConfig
from hup.models.counted.vsknn import VSKNN, VSKNNConfig
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores, excluded_codes
from hup.recommender.popularity import popularity_grades
from hup.sessions.batches import Histories, histories_and_targets

SESSIONS_PER_BLOCK, BYTES_PER_BLOCK = 256, 128 * 2**20


class BlendConfig(Section):
    """Options that all blends have."""

    weights: Weights = Field(
        Weights(),
        description="fixed weights of the components, recency last; without them time-ordered folds decide",
    )
    steps: PositiveInt = Field(20, description="the weights tried are multiples of 1 / steps")
    recency_power: float = Field(0.3, gt=0, description="recency is rank ** -power over the session's own codes")
    enough_sessions: PositiveInt = Field(
        5_000,
        description="sessions that suffice to choose weights by: those of the validation split and, where they are "
        "fewer, of the late part of training",
    )


class Blend(Recommender):
    """Weighted sum of components, each in shares of its highest evidence for a candidate of the history, and recency.

    Recency is ``rank ** -recency_power`` over the session's own codes, latest first, and so knows items that training
    never saw. The weights of a level are those with the best mean gain
    (:func:`hup.evaluation.metrics.gain`) over the sessions of all :func:`hup.data.folds.folds`, each ranked
    by components that were fitted on what came before it; of equal ones those with the most recency. Then the
    components are fitted on all of training. Where no session counts, recency has three quarters and the others share
    the rest.
    """

    config: BlendConfig
    levels_independent: ClassVar[bool] = True

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._components = self.components()
        for key in ("item", "category"):
            self._check_weights(f"weights.{key}", getattr(self.config.weights, key))
        self.weights: dict[str, tuple[float, ...]] = {}

    @abstractmethod
    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted components besides recency, by their names."""

    def _check_weights(self, key: str, weights: tuple[float, ...] | None) -> None:
        names = [*self._components, "recency"]
        if weights is not None and (len(weights) != len(names) or not sum(weights)):
            raise HupError(
                f"{self.kind}: {key} is {list(weights)}, expected {len(names)} numbers that are not all 0, for "
                f"{', '.join(names)}."
            )

    def fit(self, dataset: Dataset) -> Self:
        """Choose the weights that are not given, then fit the components on the training split."""
        self._fit_components(dataset)
        fixed = self.config.weights
        given = {level: fixed.category if level.is_category else fixed.item for level in self.levels}
        chosen = self._chosen(dataset, [level for level, weights in given.items() if not weights])
        self.weights = {level: given[level] or chosen[level] for level in self.levels}
        self.metrics = {"weights": {level: list(weights) for level, weights in self.weights.items()}}
        return self

    def _fit_components(self, dataset: Dataset) -> None:
        self._take(dataset)
        for component in self._components.values():
            component.fit(dataset)

    def _chosen(self, dataset: Dataset, levels: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Choose the weights of some levels; the components of this model are not used."""
        tried = weight_grid(len(self._components) + 1, self.config.steps)
        gains = {level: np.zeros(len(tried)) for level in levels}
        for fold in folds(dataset, self.config.enough_sessions) if levels else ():
            before = type(self)(self.config)
            before.retrieval = self.retrieval
            before._fit_components(fold.dataset)
            for level in levels:
                gains[level] += before._gains(fold, level, tried)
        return {level: best_weights(tried, of_level) for level, of_level in gains.items()}

    def _gains(self, fold: Fold, level: str, tried: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
        """Add up what every weights gain on the sessions of a fold, ``(len(tried),)``."""
        none = fold.dataset.taxonomy.no_category
        block = max(1, min(SESSIONS_PER_BLOCK, BYTES_PER_BLOCK // (4 * max(self.vocabulary.size(level), 1))))
        total = np.zeros(len(tried))
        for start in range(0, len(fold.sessions), block):
            histories, targets = histories_and_targets(fold.dataset, fold.sessions[start : start + block])
            wanted = targets.wanted(level, none).numpy()
            shares, excluded = self._shares(histories, level), excluded_codes(histories, level, none)
            candidates = None
            if self.retrieval is not None and level == "item":
                lists = NeighborLists(self.retrieval(fold.dataset), histories.item, NEIGHBORS)
                candidates = lists.union(histories.session(), histories.item, len(histories))
            shortlist = Shortlist(shares, targets.codes(level), excluded, candidates)
            total += [gain(shortlist.ranks(weights, self.name)[wanted]).sum() for weights in tried]
        return total

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by the weighted sum."""
        self._check_level(level)
        return self._shares(histories, level).blended(self.weights[level])

    def _shares(self, histories: Histories, level: str) -> ComponentShares:
        excluded = excluded_codes(histories, level, self.vocabulary.no_category)
        evidence = [without(part.evidence(histories, level), excluded) for part in self._components.values()]
        recency, own, own_codes = recency_shares(
            histories, level, self.vocabulary.size(level), self.config.recency_power
        )
        popularity = share_of_highest(popularity_grades(self.vocabulary, level)[None])[0].float()
        return ComponentShares([*map(share_of_highest, evidence), recency], popularity, own, own_codes)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the components, and the weights."""
        tensors = {
            f"weights.{level}": torch.tensor(weights, dtype=torch.float64) for level, weights in self.weights.items()
        }
        for name, component in self._components.items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in component.tensors().items()}
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up components and weights."""
        self.weights = {level: tuple(tensors[f"weights.{level}"].tolist()) for level in self.levels}
        for level, weights in self.weights.items():
            if len(weights) != len(self._components) + 1:
                raise RuntimeError(f"weights.{level} are {len(weights)}, expected {len(self._components) + 1}")
        for name, component in self._components.items():
            component._vocabulary = self.vocabulary
            start = f"{name}."
            component.restore({k.removeprefix(start): tensor for k, tensor in tensors.items() if k.startswith(start)})


class VSKNNRecencyConfig(BlendConfig):
    """Options of VSKNN + recency."""

    vsknn: VSKNNConfig = VSKNNConfig()


class VSKNNRecency(Blend):
    """VSKNN, blended with recency."""

    kind: ClassVar[str] = "vsknn+recency"
    options: ClassVar[type[Section]] = VSKNNRecencyConfig
    config: VSKNNRecencyConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("recency_power=0.5",),
        *(tuple(f"vsknn.{override}" for override in overrides) for overrides in VSKNN.tuning[1:]),
    )

    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted VSKNN."""
        return {"vsknn": VSKNN(self.config.vsknn)}


class SLISTRecencyConfig(BlendConfig):
    """Options of SLIST + recency."""

    slist: SLISTConfig = SLISTConfig()


class SLISTRecency(Blend):
    """SLIST, blended with recency."""

    kind: ClassVar[str] = "slist+recency"
    options: ClassVar[type[Section]] = SLISTRecencyConfig
    config: SLISTRecencyConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(tuple(f"slist.{override}" for override in overrides) for overrides in SLIST.tuning),
        ("recency_power=0.5",),
    )

    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted SLIST."""
        return {"slist": SLIST(self.config.slist)}


class STANItemKNNRecencyConfig(BlendConfig):
    """Options of STAN + Item-KNN + recency."""

    steps: PositiveInt = Field(10, description="the weights tried are multiples of 1 / steps")
    stan: STANConfig = STANConfig()
    item_knn: ItemKNNConfig = ItemKNNConfig(damping=20.0, itself=True)


class STANItemKNNRecency(Blend):
    """STAN and a damped Item-KNN, blended with recency."""

    kind: ClassVar[str] = "stan+item-knn+recency"
    options: ClassVar[type[Section]] = STANItemKNNRecencyConfig
    config: STANItemKNNRecencyConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("recency_power=0.5",),
        *(tuple(f"stan.{override}" for override in overrides) for overrides in STAN.tuning[1:]),
    )

    def components(self) -> dict[str, EvidenceRecommender]:
        """Make the unfitted STAN and Item-KNN."""
        return {"stan": STAN(self.config.stan), "item_knn": ItemKNN(self.config.item_knn)}
