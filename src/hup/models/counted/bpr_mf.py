"""BPR-MF: matrix factorisation with the Bayesian personalised ranking loss (Rendle et al. 2009), by ``implicit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.models.counted.history_matrix import history_matrix
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.known_scores import Products, below_all
from hup.recommender.similar import Likeness, cosines
from hup.sessions.batches import Histories
from hup.sessions.levels import Level
from hup.sessions.runs import session_matrix, training_runs


class BPRMFConfig(Section):
    """Options of BPR-MF."""

    factors: PositiveInt = 64
    learning_rate: PositiveFloat = 0.05
    regularization: float = Field(0.01, ge=0)
    iterations: PositiveInt = 200
    decay: float = Field(0.9, ge=0, le=1, description="weight of a run relative to the one after it; 1 = all alike")
    bias: bool = Field(False, description="add the codes' biases, which tell their popularity, to the scores")
    seed: int = Field(0, ge=0, le=2**31 - 1)


class BPRMF(Recommender):
    """Inner product of an item's factors with the mean of those of the session's items.

    Rows are training sessions, as a session in the test split has no factors of its own; every level has its own
    factorisation.
    """

    kind: ClassVar[str] = "bpr-mf"
    options: ClassVar[type[Section]] = BPRMFConfig
    config: BPRMFConfig
    levels_independent: ClassVar[bool] = True
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("decay=0.7",),
        ("factors=128", "iterations=400"),
        ("decay=1.0",),
        ("regularization=0.05",),
        ("bias=true",),
    )

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._factors: dict[str, Tensor] | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Factorise the training sessions of every level."""
        self._take(dataset)
        self._factors = {
            level: self._factorised(session_matrix(*training_runs(dataset, level), self.vocabulary.size(level)))
            for level in self.levels
        }
        return self

    def _factorised(self, sessions: sp.csr_array) -> Tensor:
        """Factors of the codes, ``(n, factors + 1)``, the last column their bias."""
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        config = self.config
        model = BayesianPersonalizedRanking(
            factors=config.factors,
            learning_rate=config.learning_rate,
            regularization=config.regularization,
            iterations=config.iterations,
            num_threads=1,  # more of them write over each other, and no run is like the other
            random_state=config.seed,
        )
        model.fit(sp.csr_matrix(sessions), show_progress=False)
        return torch.from_numpy(np.nan_to_num(np.asarray(model.item_factors, dtype=np.float32)))

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by the inner product with the session's mean; own codes without factors come last."""
        self._check_level(level)
        factors = self._fitted(self._factors)[level]
        weights = history_matrix(histories, level, len(factors), self.config.decay)
        total = torch.from_numpy(np.asarray(weights.sum(axis=1), dtype=np.float32)).view(-1, 1)
        profile = torch.from_numpy(weights @ factors.numpy()) / torch.where(total > 0, total, 1)
        # A session without any known code is answered with popularity, which the biases, the last column, tell.
        profile[:, -1:] = (total == 0) | self.config.bias
        known = Products(profile, factors)
        codes = histories.own_unknown(level, len(factors)).codes
        return Scores(known, below_all(known, codes), codes)

    def likeness(self, level: Level, code: int) -> Likeness:
        """Compare the vectors of a level."""
        return cosines(self._fitted(self._factors)[level][:, :-1], code)

    def item_vectors(self) -> Tensor:
        """Give the items' factors, ``(n_known, factors)``."""
        return self._fitted(self._factors)["item"][:, :-1]

    def tensors(self) -> dict[str, Tensor]:
        """Factors of every level, the last column the bias."""
        return dict(self._fitted(self._factors))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the factors."""
        self._factors = {level: tensors[level] for level in self.levels}
