"""VSKNN: vector multiplication session-kNN (Ludewig and Jannach 2018), and what all session-kNN have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.models.counted.evidence import EvidenceRecommender
from hup.models.counted.session_index import (
    LastVisits,
    Neighbors,
    SessionIndex,
    last_visits,
    most_similar,
    newest,
    summed,
)
from hup.sessions.batches import Histories
from hup.sessions.runs import training_runs

Decay = Literal["linear", "harmonic", "logarithmic", "quadratic", "constant"]
HistoryDecay = Literal["relative", "linear", "harmonic", "logarithmic", "quadratic", "constant"]


class SessionKNNConfig(Section):
    """Options of all session-kNN."""

    neighbors: PositiveInt = Field(100, description="sessions that count: the most similar ones")
    newest: PositiveInt = Field(
        1000, description="sessions that are looked at: of those that share a code, the newest ones"
    )


class SessionKNN(EvidenceRecommender):
    """A recommender that scores by what the training sessions hold that are most like the history.

    Every level has its own index of the level's own runs; a code that a session visits twice counts at its last run.
    """

    config: SessionKNNConfig
    levels_independent: ClassVar[bool] = True

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._index: dict[str, SessionIndex] | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Index the training sessions of every level."""
        self._take(dataset)
        self._index = {
            level: SessionIndex(*training_runs(dataset, level), self.vocabulary.size(level), self.config.newest)
            for level in self.levels
        }
        return self

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

    def _candidates(self, index: SessionIndex, visits: LastVisits, weight: NDArray[np.float64]) -> Neighbors:
        """Pair every history with the newest sessions that share codes with it, whichever code that is.

        They are among the newest of each code they have, so the index, which keeps no others, misses none of them.
        """
        return newest(index.neighbors(visits, weight), self.config.newest)


class VSKNNConfig(SessionKNNConfig):
    """Options of VSKNN."""

    neighbors: PositiveInt = Field(200, description="sessions that count: the most similar ones")
    decay: HistoryDecay = Field(
        "harmonic",
        description="how the weight of a code falls with the runs since it, for similarity; relative = linear, down to "
        "the first run",
    )
    item_decay: Decay = Field("linear", description="the same for the latest shared code, for the session's items")
    span: PositiveInt = Field(10, description="runs after which a linear weight is 0")
    idf: bool = Field(True, description="weigh shared codes by their rarity, too, in similarity")
    idf_weight: NonNegativeFloat = Field(10.0, description="λ: a code counts 1 + λ · rarity times in the score")
    cosine: bool = Field(False, description="divide similarity by the root of the number of the session's codes")


class VSKNN(SessionKNN):
    """What the sessions most like this one hold, where being alike means sharing its recent codes.

    A code weighs less the more runs lie between it and now. A session's similarity is the sum of the weights of the
    codes it shares; its codes are scored with its similarity, the weight of the latest shared code and their rarity,
    ``1 + λ · log(1 + training sessions / sessions with the code)``. (Ludewig and Jannach, "Evaluation of session-based
    recommendation algorithms", 2018: V-SKNN, with the item weights of their S-SKNN; λ and the cosine are of their later
    code, ``session-rec``.)
    """

    kind: ClassVar[str] = "vsknn"
    options: ClassVar[type[Section]] = VSKNNConfig
    config: VSKNNConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("decay='logarithmic'", "cosine=true"),
        ("decay='quadratic'", "item_decay='harmonic'", "cosine=true"),
        ("item_decay='constant'",),
        ("neighbors=500", "newest=5000"),
        ("decay='logarithmic'", "item_decay='harmonic'", "cosine=true"),
        ("decay='constant'",),
        ("decay='relative'", "item_decay='harmonic'"),
        ("decay='logarithmic'",),
        ("idf=false", "idf_weight=1.0"),
    )

    def found(self, histories: Histories, level: str) -> sp.csr_array:
        """Add up the neighbours' codes."""
        index, config = self._fitted(self._index)[level], self.config
        visits = last_visits(histories, level, index.n_known)
        frequency = np.bincount(index.codes, minlength=index.n_known)
        rarity = np.log(1 + index.n_sessions / np.maximum(frequency, 1))
        weight = self._weight(visits) * (rarity[visits.code] if config.idf else 1)
        neighbors = self._candidates(index, visits, weight)
        similarity = neighbors.similarity
        if config.cosine:
            similarity = similarity / np.sqrt(np.diff(index.offsets)[neighbors.session])
        neighbors, similarity = most_similar(neighbors, similarity, config.neighbors)
        pair, code, _ = index.entries(neighbors)
        value = similarity * decayed(neighbors.back, config.item_decay, config.span)
        counted = value[pair] * (1 + config.idf_weight * rarity[code])
        return summed(neighbors.row[pair], code, counted, (len(histories), index.n_known))

    def _weight(self, visits: LastVisits) -> NDArray[np.float64]:
        """Weigh the visited codes by the runs since each, ``(N,)``."""
        if self.config.decay == "relative":
            weight: NDArray[np.float64] = 1 - visits.back / visits.runs[visits.row]
            return weight
        return decayed(visits.back, self.config.decay, self.config.span)


def decayed(back: NDArray[np.int64], decay: Decay, span: int) -> NDArray[np.float64]:
    """Weigh a code by the number of runs since it: 1 for 0.

    Parameters
    ----------
    back : ndarray
        ``(N,)``.
    decay : str
        ``"linear"``: 1 - back / span, not below 0; ``"harmonic"``: 1 / (1 + back); ``"logarithmic"``:
        1 / log2(2 + back); ``"quadratic"``: 1 / (1 + back)²; ``"constant"``: 1.
    span : int

    Returns
    -------
    ndarray
        ``(N,)`` in [0, 1].
    """
    weights: dict[Decay, Callable[[], NDArray[np.float64]]] = {
        "linear": lambda: np.maximum(1 - back / span, 0.0),
        "harmonic": lambda: 1 / (1.0 + back),
        "logarithmic": lambda: 1 / np.log2(2.0 + back),
        "quadratic": lambda: 1 / np.square(1.0 + back),
        "constant": lambda: np.ones(len(back)),
    }
    return weights[decay]()
