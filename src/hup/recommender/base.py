"""The contract of every recommender: fit, score and recommend items and categories of every level, save, load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor

from hup.config import Section
from hup.data.dataset import Behavior, Dataset
from hup.data.manifest import SplitBounds
from hup.errors import HupError
from hup.recommender.candidates import LevelScores, Scores
from hup.recommender.model_folder import (
    CONFIG,
    FORMAT_VERSION,
    METRICS,
    WEIGHTS,
    check_digests,
    digests,
    load_tensors,
    read_config,
    read_json,
    save_tensors,
    write_json,
)
from hup.recommender.recommendations import Recommendations, own_candidates, popular, rank
from hup.recommender.vocabulary import CATEGORIES, ITEMS, SessionReader, Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.events import Event, check_now, session_events
from hup.sessions.levels import Level, ranked_levels

Part = TypeVar("Part")


class Recommender(ABC):
    """A model that ranks items and categories for session prefixes.

    Levels are named ``"item"`` and ``"category_1"`` (coarsest) … ``"category_K"`` (finest).

    Parameters
    ----------
    config : Section, optional
        An instance of :attr:`options`; default: all defaults.

    Attributes
    ----------
    kind : str
        What is written into the model folder, so that :func:`hup.load` knows the class.
    options : type
        Class of the configuration.
    tuning : tuple of tuple of str
        Settings worth trying, as overrides of single keys, in the order in which they are tried; the first is ``()``.
        A grid tries equally many of every model, before the test.
    levels_independent : bool
        Whether no level has anything that is fitted in common with another one: then each has its own setting and, of a
        network, its own epoch. Such a network is a :class:`torch.nn.ModuleDict` by level.
    costly : bool
        Whether a fit is a long training, so that a grid may try fewer settings of it than of others.
    name : str
        What the model's row is called in tables; default its kind.
    retrieval : callable or None
        What epochs and weights are chosen by, where it is not all candidates: given a dataset, vectors of its known
        items, ``(n_known, d)``, fitted on its training split. Candidates are then the neighbours of what was browsed,
        as in :func:`hup.evaluation.evaluate`. It is of the fitting, not of the model, and is not saved.
    metrics : dict
        How fitting ended.
    dataset_fingerprint, dataset_bounds
        Of the dataset it was fitted on; None before.
    """

    kind: ClassVar[str]
    options: ClassVar[type[Section]] = Section
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = ((),)
    levels_independent: ClassVar[bool] = False
    costly: ClassVar[bool] = False

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities of what comes next."""
        return False

    def __init__(self, config: Section | None = None) -> None:
        self.config = self.options() if config is None else config
        self.name = self.kind
        self.retrieval: Callable[[Dataset], Tensor] | None = None
        self.metrics: dict[str, Any] = {}
        self.dataset_fingerprint: str | None = None
        self.dataset_bounds: SplitBounds | None = None
        self._vocabulary: Vocabulary | None = None

    # ------------------------------------------------------------------ what a model must do

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn from the dataset's training split alone (choices may look at the validation split).

        Implementations begin with ``self._take(dataset)``.
        """

    @abstractmethod
    def score(self, histories: Histories, level: str) -> Scores:
        """Score every candidate of a level for each history.

        Implementations begin with ``self._check_level(level)``. The scores are finite, and those of
        ``histories.own_unknown(level, n_known)`` are among them.

        Raises
        ------
        HupError
            The model is not fitted, or has no such level.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that fitting has learned besides the vocabulary, by name; what ``model.safetensors`` holds."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`tensors` gave; vocabulary and configuration are there already.

        Raises
        ------
        RuntimeError
            The tensors are not those of such a model; the message says which.
        """

    # ------------------------------------------------------------------ what all have

    def scores(self, histories: Histories) -> LevelScores:
        """Score every candidate of every level for each history; what levels share is computed once.

        By default each level is asked for by :meth:`score`.

        Raises
        ------
        HupError
            The model is not fitted.
        """
        return LevelScores(partial(self.score, histories))

    def _take(self, dataset: Dataset) -> None:
        """Take over the dataset's training vocabulary, and note which dataset it is."""
        self._vocabulary = Vocabulary.of(dataset)
        self.dataset_fingerprint = dataset.fingerprint
        self.dataset_bounds = dataset.manifest.split.bounds

    @property
    def vocabulary(self) -> Vocabulary:
        """Names and codes of the training split."""
        return self._fitted(self._vocabulary)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels that can be recommended: item, category_K … category_1."""
        return ranked_levels(self.vocabulary.levels)

    def recommend(
        self,
        session: Sequence[Event | Mapping[str, Any]] | None,
        level: str = "item",
        k: int = 20,
        now: float | None = None,
    ) -> Recommendations:
        """Rank items, or categories of a level, for one user.

        Candidates are those of the evaluation: all of the training vocabulary and the session's own; items without the
        one that the user is on, categories without "no category".

        Parameters
        ----------
        session : sequence of events
            An empty one is answered with popularity.
        level : str
            ``"item"`` or ``"category_k"``.
        k : int
            How many, at least 1.
        now : float, optional
            Seconds on the events' clock. It tells how long the open event and the open run have lasted; without it both
            count as not known, as in evaluation by default.

        Raises
        ------
        HupError
            For a level that the model lacks, or ``k`` below 1.
        """
        self._check_question(level, k)
        events = session_events(session or (), "session")
        if not events:
            return Recommendations(level, popular(self.vocabulary, level, k), (), "popularity")
        check_now(now, events[-1])
        reader = SessionReader(self.vocabulary)
        scores = self.score(reader.histories([events], [now]), level)
        items = reader.items(events)
        own = own_candidates(self.vocabulary, items, level)
        by_code = dict(zip(scores.own_codes[0].tolist(), scores.own[0], strict=True))
        own_scores = scores.known.new_tensor([float(by_code[candidate.code]) for candidate in own])
        ranked = rank(self.vocabulary, items, events[-1].item, level, scores.known[0], own_scores, own, k)
        return Recommendations(level, ranked, (), "score")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a model folder: weights, vocabulary, metrics, and last the configuration, which makes it complete.

        Raises
        ------
        HupError
            If the folder cannot be written, or is a dataset or a file.
        """
        folder = Path(folder)
        if folder.is_file() or (folder / "manifest.json").exists():
            raise HupError(f"{folder} is no place for a model; choose an empty or new folder.")
        vocabulary = self.vocabulary
        # A model that is being replaced is no model until the new one is whole.
        (folder / CONFIG).unlink(missing_ok=True)
        save_tensors(folder, self.tensors())
        vocabulary.save(folder)
        write_json(folder / METRICS, self.metrics)
        content = {
            "format_version": FORMAT_VERSION,
            "model": self.kind,
            "name": self.name,
            "config": self.config.model_dump(mode="json"),
            "behaviors": [behavior.model_dump() for behavior in vocabulary.behaviors],
            "dataset_fingerprint": self.dataset_fingerprint,
            "dataset_bounds": self.dataset_bounds and self.dataset_bounds.model_dump(),
            "digests": digests(folder, (WEIGHTS, ITEMS, CATEGORIES)),
        }
        write_json(folder / CONFIG, content | self._more_config())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Open a model folder.

        Raises
        ------
        HupError
            If it is no complete model folder of this kind and format.
        """
        folder = Path(folder)
        content = read_config(folder, cls.kind)
        try:
            model = cls(cls.options.validated(content["config"]))
            model.name = str(content["name"])
            behaviors = [Behavior.model_validate(behavior) for behavior in content["behaviors"]]
            model.dataset_fingerprint = content["dataset_fingerprint"]
            bounds = content["dataset_bounds"]
            model.dataset_bounds = bounds and SplitBounds.model_validate(bounds)
            model._take_config(content)
            written = dict(content["digests"])
        except (HupError, KeyError, TypeError, ValueError) as error:
            raise HupError(f"{folder / CONFIG} does not read as a model's configuration ({error!r}).") from error
        model._vocabulary = Vocabulary.load(folder, behaviors)
        with load_tensors(folder) as tensors:
            model.restore(tensors)
        check_digests(folder, written)
        if (folder / METRICS).is_file():
            model.metrics = read_json(folder / METRICS)
        return model

    def _more_config(self) -> dict[str, Any]:
        """Give what ``config.json`` holds besides what every model writes."""
        return {}

    def _take_config(self, content: Mapping[str, Any]) -> None:
        """Read back what :meth:`_more_config` wrote."""
        return

    def _check_level(self, level: str) -> Level:
        if level not in self.levels:
            raise HupError(f"{self.name} has no level {level!r}; its levels are: {', '.join(self.levels)}.")
        return Level(level)

    def _check_question(self, level: str, k: int) -> None:
        self._check_level(level)
        if isinstance(k, bool) or not hasattr(type(k), "__index__") or k < 1:
            raise HupError(f"k is {k!r}, expected a whole number, 1 or more.")

    def _fitted(self, part: Part | None) -> Part:
        if part is None:
            raise HupError(
                f"This model ({self.name}) is not fitted: call fit(dataset), or open one with hup.load(folder)."
            )
        return part
