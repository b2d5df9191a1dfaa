"""One kind of model with a setting of its own for every level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.kinds import model_class
from hup.recommender.similar import Likeness
from hup.sessions.batches import Histories
from hup.sessions.levels import Level
from hup.training.trained import TrainedRecommender

Setting = tuple[str, ...]


class ByLevelConfig(Section):
    """Options of a model with a setting for every level."""

    model: str = Field("vsknn", description="kind of the model, which is counted, each level by itself")
    settings: dict[str, Setting] = Field(
        {}, description="by level, what is changed of the model's defaults, as key=value; levels may be left out"
    )

    @field_validator("settings", mode="before")
    @classmethod
    def _lists_are_tuples(cls, settings: Any) -> Any:
        # TOML and JSON have no tuples.
        if not isinstance(settings, dict):
            return settings
        return {level: tuple(changes) if isinstance(changes, list) else changes for level, changes in settings.items()}


class ByLevel(Recommender):
    """Models of one kind, fitted with different settings, each asked for the levels that have its setting.

    What is best for items is seldom best for coarse categories; a model whose levels have nothing in common
    (:attr:`Recommender.levels_independent`) need not make one setting do for all. Models that are trained by epochs are
    none of these here, as each setting would be a training run more.
    """

    kind: ClassVar[str] = "by-level"
    options: ClassVar[type[Section]] = ByLevelConfig
    config: ByLevelConfig
    levels_independent: ClassVar[bool] = True

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        kind = model_class(self.config.model)
        if not kind.levels_independent or kind is type(self) or issubclass(kind, TrainedRecommender):
            raise HupError(f"{self.kind}: the levels of {kind.kind} cannot have settings of their own.")
        self._models: dict[Setting, Recommender] = {}
        for setting in {(), *self.config.settings.values()}:
            self._make(setting)  # a setting that is wrong is told at once

    def _make(self, setting: Setting) -> Recommender:
        kind = model_class(self.config.model)
        return kind(kind.options().changed(setting))

    def _setting(self, level: str) -> Setting:
        return self.config.settings.get(level, ())

    def _distinct(self) -> list[Setting]:
        """List the settings of all levels, each once."""
        return list(dict.fromkeys(self._setting(level) for level in self.levels))

    def fit(self, dataset: Dataset) -> Self:
        """Fit a model for each setting.

        Raises
        ------
        HupError
            If a setting is of a level that the dataset lacks.
        """
        self._take(dataset)
        if unknown := sorted(set(self.config.settings) - set(self.levels)):
            raise HupError(f"{self.kind}: settings has a level {unknown[0]!r}; levels are: {', '.join(self.levels)}.")
        self._models = {setting: self._make(setting) for setting in self._distinct()}
        for model in self._models.values():
            model.retrieval = self.retrieval
            model.fit(dataset)
        weights = {level: self._models[self._setting(level)].metrics.get("weights", {}) for level in self.levels}
        self.metrics = {"weights": {level: of[level] for level, of in weights.items() if of}}
        return self

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by the model of the level's setting."""
        self._check_level(level)
        return self._models[self._setting(level)].score(histories, level)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the models, in order of their settings."""
        parts = [self._models[setting].tensors() for setting in self._distinct()]
        return {f"{n}.{name}": tensor for n, part in enumerate(parts) for name, tensor in part.items()}

    def likeness(self, level: Level, code: int) -> Likeness:
        """Ask the model of the level's setting."""
        return self._models[self._setting(level)].likeness(level, code)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the models."""
        self._models = {setting: self._make(setting) for setting in self._distinct()}
        for n, model in enumerate(self._models.values()):
            model._vocabulary, start = self.vocabulary, f"{n}."
            model.restore({k.removeprefix(start): tensor for k, tensor in tensors.items() if k.startswith(start)})
