"""Word2vec and Word2vec-avg: vectors of sequences (Grbovic et al. 2015), near the last item or near the mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional

from hup.config import Section
from hup.data.dataset import Dataset
from hup.models.counted.history_matrix import event_count_matrix, history_matrix
from hup.models.skipgram import vectors_of_levels
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.known_scores import Products
from hup.recommender.popularity import popularity_grades
from hup.recommender.similar import Likeness, cosines
from hup.sessions.batches import Histories
from hup.sessions.levels import Level


class Word2vecConfig(Section):
    """Options of Word2vec."""

    size: PositiveInt = 64
    window: PositiveInt = 5
    epochs: PositiveInt = 30
    budget: PositiveInt = Field(50_000_000, description="most runs that are read in all epochs: a large log gets fewer")
    cbow: bool = Field(False, description="predict a code from the mean of its neighbours, instead of each from it")
    seed: int = Field(0, ge=0, le=2**32 - 2)


class Word2vec(Recommender):
    """Cosine to the vector of the session's last code (the last one that training saw)."""

    kind: ClassVar[str] = "word2vec"
    options: ClassVar[type[Section]] = Word2vecConfig
    config: Word2vecConfig
    levels_independent: ClassVar[bool] = True
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("cbow=true",),
        ("cbow=true", "window=3", "epochs=100"),
        ("window=10",),
        ("epochs=100",),
        ("size=30",),
        ("size=128",),
    )

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._vectors: dict[str, Tensor] | None = None
        self._unit: dict[str, Tensor] = {}  # the same with length 1, once they are asked for

    def fit(self, dataset: Dataset) -> Self:
        """Fit the vectors of every level on its own runs of the training split."""
        self._take(dataset)
        config = self.config
        self._unit = {}
        self._vectors = vectors_of_levels(
            dataset,
            dict.fromkeys(self.levels, config.size),
            window=config.window,
            epochs=config.epochs,
            budget=config.budget,
            seed=config.seed,
            cbow=config.cbow,
        )
        return self

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by cosine; a session of unknown codes alone by popularity; own codes without a vector come last."""
        self._check_level(level)
        vectors = self._fitted(self._vectors)[level]
        weights = self._weights(histories, level, len(vectors))
        profile = functional.normalize(torch.from_numpy(weights @ vectors.numpy()), dim=1)
        if level not in self._unit:
            self._unit[level] = functional.normalize(vectors, dim=1)
        unit = self._unit[level]
        lost = torch.from_numpy(np.diff(weights.indptr) == 0)
        if bool(lost.any()):  # popularity is one more dimension then, in which these sessions alone lie
            grades = popularity_grades(self.vocabulary, level)
            unit = torch.cat([unit, (grades / grades.max()).to(unit.dtype)[:, None]], dim=1)
            profile = torch.cat([profile, lost.to(unit.dtype)[:, None]], dim=1)
        codes = histories.own_unknown(level, len(vectors)).codes
        return Scores(Products(profile, unit), torch.full(codes.shape, -2.0), codes)

    def _weights(self, histories: Histories, level: str, n_known: int) -> sp.csr_array:
        """Weigh the codes of every history, ``(B, n_known)``: here so that the last known one counts alone."""
        return history_matrix(histories, level, n_known, decay=1e-4)

    def likeness(self, level: Level, code: int) -> Likeness:
        """Compare the vectors of a level."""
        return cosines(self._fitted(self._vectors)[level], code)

    def item_vectors(self) -> Tensor:
        """Give the items' vectors, ``(n_known, size)``."""
        return self._fitted(self._vectors)["item"]

    def tensors(self) -> dict[str, Tensor]:
        """Vectors of every level."""
        return dict(self._fitted(self._vectors))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the vectors."""
        self._vectors, self._unit = {level: tensors[level] for level in self.levels}, {}


class Word2vecAverage(Word2vec):
    """Cosine to the mean vector of all micro-behaviors of the session; what was looked at longer counts more."""

    kind: ClassVar[str] = "word2vec-avg"

    def _weights(self, histories: Histories, level: str, n_known: int) -> sp.csr_array:
        return event_count_matrix(histories, level, n_known)
