"""VSKNN: vector multiplication session-kNN (Ludewig and Jannach 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor

from hup.config import Section
from hup.data.batches import Histories
from hup.data.dataset import Dataset
from hup.data.runs import training_runs
from hup.models.counted import EvidenceRecommender
from hup.models.session_index import SessionIndex, nearest, summed, visits_of

Decay = Literal["linear", "harmonic", "logarithmic", "quadratic", "constant"]


class VSKNNConfig(Section):
    """Options of VSKNN."""

    neighbors: PositiveInt = Field(100, description="sessions that count")
    newest: PositiveInt = Field(1000, description="sessions of a code that are looked at, the newest ones")
    decay: Decay = Field(
        "harmonic", description="how the weight of a code falls with the runs since it, for similarity"
    )
    item_decay: Decay = Field("linear", description="the same for the latest shared code, for the session's items")
    span: PositiveInt = Field(10, description="runs after which the linear weight is 0, and the quadratic a quarter")
    idf: bool = Field(True, description="weigh items by the logarithm of their rarity, in similarity and score")


class VSKNN(EvidenceRecommender):
    """What the sessions most like this one hold, where being alike means sharing its recent codes.

    A code weighs less the more runs lie between it and now. A session's similarity is the sum of the weights of the
    codes it shares; its codes are scored with its similarity, the weight of the latest shared code and their rarity.
    """

    kind: ClassVar[str] = "vsknn"
    options: ClassVar[type[Section]] = VSKNNConfig
    config: VSKNNConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("idf=false",),
        ("neighbors=500",),
        ("decay='linear'",),
        ("item_decay='harmonic'",),
        ("item_decay='constant'",),
    )

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._index: dict[str, SessionIndex] | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Index the training sessions of every level."""
        self._take(dataset)
        newest = self.config.newest
        self._index = {
            level: SessionIndex(*training_runs(dataset, level), self.vocabulary.size(level), newest)
            for level in self.levels
        }
        return self

    def evidence(self, histories: Histories, level: str) -> Tensor:
        """Add up the neighbours' codes."""
        index, config = self._fitted(self._index)[level], self.config
        visits = visits_of(histories, level, index.n_known)
        rarity = np.ones(index.n_known)
        if config.idf:
            rarity = np.log(1 + index.n_sessions / np.maximum(np.bincount(index.codes, minlength=index.n_known), 1))
        weight = decayed(visits.back, config.decay, config.span) * rarity[visits.code]
        found = index.neighbors(visits, weight)
        found, similarity = nearest(found, found.similarity, config.neighbors, index.n_sessions)
        pair, code, _ = index.entries(found)
        value = similarity * decayed(found.back, config.item_decay, config.span)
        return summed(found.row[pair], code, value[pair] * rarity[code], (len(histories), index.n_known))

    def tensors(self) -> dict[str, Tensor]:
        """Sessions of every level."""
        parts = [index.tensors(level) for level, index in self._fitted(self._index).items()]
        return {name: tensor for part in parts for name, tensor in part.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Index the sessions again."""
        self._index = {
            level: SessionIndex.restored(tensors, level, self.vocabulary.size(level), self.config.newest)
            for level in self.levels
        }


def decayed(back: NDArray[np.int64], decay: Decay, span: int) -> NDArray[np.float64]:
    """Weight of a code by the number of runs since it: 1 for 0.

    Parameters
    ----------
    back : ndarray
        ``(N,)``.
    decay : str
        ``"linear"``: 1 - back / span, not below 0; ``"harmonic"``: 1 / (1 + back); ``"logarithmic"``:
        1 / log2(2 + back); ``"quadratic"``: 1 / (1 + back / span)²; ``"constant"``: 1.
    span : int
    """
    weight: NDArray[np.float64] = {
        "linear": np.maximum(1 - back / span, 0.0),
        "harmonic": 1 / (1.0 + back),
        "logarithmic": 1 / np.log2(2.0 + back),
        "quadratic": 1 / np.square(1 + back / span),
        "constant": np.ones(len(back)),
    }[decay]
    return weight
