"""Linear blends of models that know different things; the weights are chosen on the validation split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.evaluation.metrics import cutoff
from hup.models.counted.evidence import EvidenceRecommender, share_of_highest
from hup.models.counted.item_knn import ItemKNN, ItemKNNConfig
from hup.models.counted.session_index import last_visits
from hup.models.counted.slist import SLIST, SLISTConfig
from hup.models.counted.stan import STAN, STANConfig
from hup.models.counted.vsknn import VSKNN, VSKNNConfig
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores, excluded_codes, target_ranks
from hup.recommender.popularity import popularity_grades
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.levels import Level

#: Below every difference that matters: popularity orders what the components leave equal.
POPULARITY_SHARE = 1e-6
#: Weight of recency where nothing says which; the other components share the rest alike.
DEFAULT_RECENCY = 0.75
SESSIONS_PER_BLOCK, BYTES_PER_BLOCK = 256, 128 * 2**20


class Weights(Section):
    """Fixed weights of the components, in their order; the last one is recency's."""

    item: tuple[NonNegativeFloat, ...] | None = None
    category: tuple[NonNegativeFloat, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, tree: Any) -> Any:
        # TOML and JSON have no tuples.
        if not isinstance(tree, dict):
            return tree
        return {key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()}


class BlendConfig(Section):
    """Options that all blends have."""

    weights: Weights = Field(
        Weights(),
        description="fixed weights of the components, recency last; without them the validation split decides",
    )
    steps: PositiveInt = Field(20, description="the weights tried are multiples of 1 / steps")
    recency_power: float = Field(0.3, gt=0, description="recency is rank ** -power over the session's own codes")
    validation_sessions: PositiveInt = Field(5_000, description="most validation sessions to choose by, evenly spaced")


@dataclass(frozen=True)
class ComponentShares:
    """What the weights multiply at one level, for ``B`` histories.

    Attributes
    ----------
    known : list of Tensor
        ``(B, n_known)`` of every component, recency's last, in [0, 1].
    popularity : Tensor
        ``(n_known,)`` in (0, 1].
    own, own_codes : Tensor
        ``(B, U)``, recency's for the codes beyond the vocabulary; see :class:`Scores`.
    """

    known: list[Tensor]
    popularity: Tensor
    own: Tensor
    own_codes: Tensor

    def blended(self, weights: Sequence[float]) -> Scores:
        """Add the shares up, each times its weight."""
        total = weighted([*self.known, self.popularity], [*weights, POPULARITY_SHARE])
        return Scores(total, weights[-1] * self.own, self.own_codes)


class Blend(Recommender):
    """Weighted sum of components, each in shares of its highest evidence for a candidate of the history, and recency.

    Recency is ``rank ** -recency_power`` over the session's own codes, latest first, and so knows items that training
    never saw. The weights of a level are those with the best MRR on the validation split, of equal ones those with the
    most recency. Where no validation session counts, recency has three quarters and the others share the rest.
    """

    config: BlendConfig

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
        """Fit the components on the training split and, where no weights are given, choose them on validation."""
        self._take(dataset)
        for component in self._components.values():
            component.fit(dataset)
        fixed = self.config.weights
        given = {level: fixed.category if level.is_category else fixed.item for level in self.levels}
        self.weights = {level: given[level] or self._chosen(dataset, level) for level in self.levels}
        self.metrics = {"weights": {level: list(weights) for level, weights in self.weights.items()}}
        return self

    def _chosen(self, dataset: Dataset, level: str) -> tuple[float, ...]:
        """Choose the weights with the best MRR on the validation split."""
        tried = weight_grid(len(self._components) + 1, self.config.steps)
        length = cutoff(level)
        sessions = np.asarray(dataset.sessions("validation"), dtype=np.int64)
        most = min(self.config.validation_sessions, len(sessions))
        sessions = sessions[np.arange(most) * len(sessions) // max(most, 1)]
        block = max(1, min(SESSIONS_PER_BLOCK, BYTES_PER_BLOCK // (4 * max(self.vocabulary.size(level), 1))))
        none = dataset.taxonomy.no_category
        total, counted = np.zeros(len(tried)), 0
        for start in range(0, most, block):
            histories, targets = histories_and_targets(dataset, sessions[start : start + block])
            wanted = targets.wanted(level, none).numpy()
            counted += int(wanted.sum())
            codes, shares = shortlist(self._shares(histories, level), length)
            nothing = torch.zeros(len(histories), 0)
            for place, weights in enumerate(tried):
                rank = target_ranks(
                    Scores(nothing, weighted(shares, [*weights, POPULARITY_SHARE]), codes),
                    targets.codes(level),
                    excluded=excluded_codes(histories, level, none),
                    name=self.name,
                )[wanted]
                total[place] += ((rank <= length) / rank).sum()
        if not counted:
            n = len(self._components)
            return (*((1 - DEFAULT_RECENCY) / n for _ in range(n)), DEFAULT_RECENCY)
        return tried[int(total.argmax())]

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by the weighted sum."""
        self._check_level(level)
        return self._shares(histories, level).blended(self.weights[level])

    def _shares(self, histories: Histories, level: str) -> ComponentShares:
        excluded = excluded_codes(histories, level, self.vocabulary.no_category)
        evidence = [_without(part.evidence(histories, level), excluded) for part in self._components.values()]
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


def weight_grid(n: int, steps: int) -> list[tuple[float, ...]]:
    """List all ``n`` weights that are multiples of ``1 / steps`` and sum to 1, those with most of the last first."""
    grid = [parts for parts in product(range(steps + 1), repeat=n) if sum(parts) == steps]
    return [tuple(part / steps for part in parts) for parts in sorted(grid, key=lambda parts: -parts[-1])]


def weighted(shares: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Add tensors of one shape (or that broadcast to the first one's) up, each times its weight."""
    total = weights[0] * shares[0]
    for share, weight in zip(shares[1:], weights[1:], strict=True):
        total += weight * share
    return total


def shortlist(shares: ComponentShares, length: int) -> tuple[Tensor, list[Tensor]]:
    """Gather the codes that can be among the first ``length`` of a history, whatever the weights.

    They are those with a share of any component, and the most popular ones: whatever has no share is behind these, and
    they are more than ``length`` by the one that may be no candidate.

    Returns
    -------
    codes : Tensor
        ``(B, W)`` int64, ``-1`` = padding; known ones and those beyond the vocabulary.
    shares : list of Tensor
        ``(B, W)`` of every component, then popularity.
    """
    n = len(shares.popularity)
    popular = (
        shares.popularity >= shares.popularity.topk(min(length + 1, n)).values.min() if n else shares.popularity > 0
    )
    row, code = reduce(torch.logical_or, (share > 0 for share in shares.known), popular).nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=len(shares.own))
    column = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]

    def listed(values: Tensor, own: Tensor, fill: int) -> Tensor:
        table = values.new_full((len(counts), int(counts.max())), fill)
        table[row, column] = values
        return torch.cat([table, own], dim=1)

    nothing = torch.zeros_like(shares.own)
    *others, recency = shares.known
    return listed(code, shares.own_codes, -1), [
        *(listed(share[row, code], nothing, 0) for share in others),
        listed(recency[row, code], shares.own, 0),
        listed(shares.popularity[code], nothing, 0),
    ]


def recency_shares(histories: Histories, level: str, n_known: int, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Give a session's own codes ``rank ** -power`` by their last run, latest first, and all others 0.

    The code that the user is on has rank 1 at the category levels. At the item level, where it is no candidate, the one
    before it has.

    Returns
    -------
    known : Tensor
        ``(B, n_known)`` float32.
    own, own_codes : Tensor
        ``(B, U)``, for the codes beyond the vocabulary; see :class:`Scores`.
    """
    highest = int(histories.codes(level).max()) + 1 if len(histories.item) else 0
    visits = last_visits(histories, level, max(highest, n_known))
    order = np.lexsort((visits.back, visits.row))
    row, code = visits.row[order], visits.code[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row) + int(Level(level).is_category)
    share = torch.from_numpy(np.power(np.maximum(rank, 1.0), -power).astype(np.float32))
    rows, codes = torch.from_numpy(row), torch.from_numpy(code)
    known = torch.zeros(len(histories), n_known)
    inside = codes < n_known
    known[rows[inside], codes[inside]] = share[inside]
    own_codes = histories.own_unknown(level, n_known).codes
    own = torch.zeros(own_codes.shape)
    outside = torch.nonzero(~inside).flatten()
    if len(outside):
        # Every code beyond the vocabulary is one of the history's own, so each of them has its column.
        match = own_codes[rows[outside]] == codes[outside].unsqueeze(1)
        own[rows[outside], match.long().argmax(dim=1)] = share[outside]
    return known, own, own_codes


def _without(evidence: Tensor, excluded: Tensor) -> Tensor:
    """Take the evidence ``(B, n)`` for one code of each history away, so that it is nobody's measure."""
    row = torch.nonzero((excluded >= 0) & (excluded < evidence.shape[1])).flatten()
    return evidence.index_put((row, excluded[row]), evidence.new_zeros(()))
