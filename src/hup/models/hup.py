"""HUP: the pyramid with its vocabulary; fits, ranks, recommends, keeps live profiles, saves and loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from hup.config import Config
from hup.data.batches import Histories
from hup.data.dataset import Behavior, Dataset
from hup.data.events import Event, in_time_order
from hup.data.levels import Buckets, pyramid_steps
from hup.data.manifest import SplitBounds
from hup.errors import HupError
from hup.models.base import Recommender, Scores
from hup.models.live import LiveProfiles, ProfileState
from hup.models.model_folder import (
    CONFIG,
    FORMAT_VERSION,
    METRICS,
    load_weights,
    read_config,
    read_json,
    save_weights,
    write_json,
)
from hup.models.recommendations import Recommendations, own_candidates, popular, rank, reasons
from hup.models.skipgram import skipgram_vectors
from hup.models.vocabulary import Vocabulary
from hup.nn.pyramid import LevelProfile, Pyramid

if TYPE_CHECKING:
    from hup.training.observer import Observer

Session = ProfileState | Sequence[Event | Mapping[str, Any]] | None
Part = TypeVar("Part")


class HUP(Recommender):
    """Hierarchical user profiles (WSDM 2020).

    Parameters
    ----------
    config : Config or str
        A configuration, or the name of a preset.

    Examples
    --------
    >>> model = HUP("paper").fit(dataset)                                   # doctest: +SKIP
    >>> state = model.update(None, {"item": "42", "behavior": "Cart", "timestamp": 0.0})  # doctest: +SKIP
    >>> model.recommend(state, level="category_1", k=5)                     # doctest: +SKIP
    """

    name: ClassVar[str] = "hup"

    def __init__(self, config: Config | str = "paper") -> None:
        self.config = Config.preset(config) if isinstance(config, str) else config
        self.metrics: dict[str, Any] = {}
        self.dataset_fingerprint: str | None = None
        self.dataset_bounds: SplitBounds | None = None
        self._network: Pyramid | None = None
        self._vocabulary: Vocabulary | None = None
        self._buckets: Buckets | None = None
        self._latest: tuple[Histories, dict[str, LevelProfile]] | None = None

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        dataset: Dataset,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        observer: Observer | None = None,
    ) -> Self:
        """Train on the training split; the best epoch on the validation split is kept.

        Parameters
        ----------
        dataset : Dataset
        out : path, optional
            Model folder for checkpoints, log and the finished model; without it nothing is written. An unfinished run
            of the same configuration and dataset in it is continued.
        resume : bool
            Also continue a finished run, up to a larger ``training.epochs``.
        overwrite : bool
            Start anew, whatever is in ``out``.
        observer : Observer, optional
            Told of every batch and epoch.

        Raises
        ------
        HupError
            If no training session is left after the filters of ``config.sessions``.
        """
        from hup.training import train  # the loop knows models, so the model can name it only here

        path = None if out is None else Path(out)
        train(self, dataset, out=path, resume=resume, overwrite=overwrite, observer=observer)
        return self

    def initialise(self, dataset: Dataset, vectors: Mapping[str, Tensor] | None = None) -> Self:
        """Take the dataset's vocabulary and make a network of random weights and, where configured, skip-gram vectors.

        The same configuration, seed included, gives the same weights.

        Parameters
        ----------
        dataset : Dataset
        vectors : mapping of str to Tensor, optional
            Skip-gram vectors by level, from :meth:`skipgram`; those of a level that is not there stay random.
        """
        torch.manual_seed(self.config.training.seed)
        self._attach(Vocabulary.of(dataset), _buckets(dataset), dataset.fingerprint)
        self.dataset_bounds = dataset.manifest.split.bounds
        embeddings = self.config.embeddings
        for level, values in (vectors or {}).items():
            if embeddings.targets == "skipgram":
                self.network.target_table(level).weight.data.copy_(values)
            if embeddings.inputs == "skipgram":
                self.network.input_table(level).weight.data.copy_(values)
        return self

    def skipgram(self, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the skip-gram vectors of every level that the configuration asks for, ``(n_known, d)`` each."""
        sizes = self.config.embeddings
        if "skipgram" not in (sizes.targets, sizes.inputs):
            return {}
        names = {"item": sizes.item, **{f"category_{k}": sizes.category for k in range(1, dataset.levels + 1)}}
        return {
            level: skipgram_vectors(
                dataset,
                level,
                size,
                window=sizes.skipgram_window,
                epochs=sizes.skipgram_epochs,
                budget=sizes.skipgram_budget,
                seed=self.config.training.seed,
            )
            for level, size in names.items()
        }

    def _attach(self, vocabulary: Vocabulary, buckets: Buckets, fingerprint: str | None) -> None:
        self._vocabulary, self._buckets, self.dataset_fingerprint = vocabulary, buckets, fingerprint
        self._network = Pyramid(
            torch.from_numpy(vocabulary.paths),
            [vocabulary.ancestors(k) for k in range(1, vocabulary.levels + 1)],
            n_behaviors=len(vocabulary.behaviors),
            n_intervals=len(buckets.interval) + 2,
            n_dwells=len(buckets.dwell) + 2,
            config=self.config,
        ).eval()
        self._latest = None

    @property
    def network(self) -> Pyramid:
        """The network; an unfitted model has none."""
        return _fitted(self._network)

    @property
    def vocabulary(self) -> Vocabulary:
        """Names and codes of the training split."""
        return _fitted(self._vocabulary)

    @property
    def buckets(self) -> Buckets:
        """Bucket edges of interval and dwell."""
        return _fitted(self._buckets)

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that can be recommended: item, category_K … category_1."""
        return self.network.level_names[1:]

    # ------------------------------------------------------------------ rank

    def score(self, histories: Histories, level: str) -> Scores:
        """Cosine of each history's profile with every candidate's target vector."""
        self._check_level(level)
        vector = self._profiles(histories)[level].vector
        own = histories.own_unknown(level, self.vocabulary.size(level))
        return self._score(vector, level, own.codes, histories.categories[own.events])

    def item_vectors(self) -> Tensor:
        """Target vectors of the known items, ``(n_known, d)``; the paper retrieves candidates by their cosine."""
        return self.network.item_targets.weight.detach()

    def _profiles(self, histories: Histories) -> dict[str, LevelProfile]:
        """Profiles of all levels; kept for the latest batch, since callers ask level by level."""
        if self._latest is None or self._latest[0] is not histories:
            with torch.inference_mode():
                profiles = self.network(histories, pyramid_steps(histories, self.buckets))
            self._latest = (histories, profiles)
        return self._latest[1]

    def _score(self, profile: Tensor, level: str, own_codes: Tensor, own_categories: Tensor) -> Scores:
        """Scores from profiles ``(B, d)`` and the paths ``(B, U, K)`` of the session's own unknown codes ``(B, U)``."""
        table = self.network.target_table(level)
        unit = functional.normalize(profile, dim=1)
        with torch.no_grad():
            known = unit @ table.unit_vectors().t()
            own = table(own_codes, own_categories[..., : len(table.n_ancestors)])
            own_scores = (functional.normalize(own, dim=-1) @ unit.unsqueeze(-1)).squeeze(-1)
        return Scores(known, own_scores, own_codes)

    # ------------------------------------------------------------------ live use

    def state(self, session: Session) -> ProfileState:
        """Fold a whole session; a state is given back as it is, None is a user who has done nothing yet."""
        if isinstance(session, ProfileState):
            return session
        if session is None:
            return self._live().start()
        events = in_time_order([Event.of(event, f"event {n}") for n, event in enumerate(session, 1)], "session")
        live = self._live()
        state = live.start()
        for event in events:
            state = live.update(state, event)
        return state

    def update(self, state: ProfileState | None, event: Event | Mapping[str, Any]) -> ProfileState:
        """Fold one micro-behavior into a user's state.

        Parameters
        ----------
        state : ProfileState or None
            None for a user who has done nothing yet. It is not changed.
        event : Event or mapping
            Not older than the one before.

        Returns
        -------
        ProfileState
        """
        live = self._live()
        state = live.start() if state is None else state
        event = Event.of(event)
        in_time_order([*state.pending[-1:], event], "event stream")
        return live.update(state, event)

    def profile(self, session: Session, now: float | None = None) -> dict[str, npt.NDArray[np.float32]]:
        """Profile vectors of every level (Definition 3.1).

        Parameters
        ----------
        session : ProfileState or sequence of events
        now : float, optional
            Seconds on the events' clock. It tells how long the open event and the open run have lasted; without it both
            count as not known, as in evaluation by default.

        Returns
        -------
        dict of str to ndarray
            ``{"micro": (d,), "item": (d,), "category_K": …, "category_1": …}``, float32.

        Raises
        ------
        HupError
            If the session is empty: there is nothing to make a profile of.
        """
        state = self.state(session)
        if not state.pending:
            raise HupError("An empty session has no profile; recommend() answers with popularity there.")
        profiles = self._live().profile(state, now)
        return {level: profile.vector[0].numpy() for level, profile in profiles.items()}

    def recommend(
        self, session: Session, level: str = "item", k: int = 20, now: float | None = None
    ) -> Recommendations:
        """Rank items, or categories of a level, for one user.

        Candidates are those of the evaluation: all of the training vocabulary and the session's own; items without the
        one that the user is on, categories without "no category".

        Parameters
        ----------
        session : ProfileState or sequence of events
            An empty one is answered with popularity.
        level : str
            ``"item"`` or ``"category_k"``.
        k : int
            How many, at least 1.
        now : float, optional
            As for :meth:`profile`.

        Raises
        ------
        HupError
            For a level that the model lacks, or ``k`` below 1.
        """
        self._check_level(level)
        if k < 1:
            raise HupError(f"k is {k}, expected 1 or more.")
        state = self.state(session)
        if not state.pending:
            return Recommendations(level, popular(self.vocabulary, level, k), (), "popularity")
        profile = self._live().profile(state, now, [level])[level]
        own = own_candidates(self.vocabulary, state, level)
        codes = torch.tensor([[candidate.code for candidate in own]], dtype=torch.long)
        paths = torch.tensor([[candidate.path for candidate in own]], dtype=torch.long)
        scores = self._score(profile.vector, level, codes, paths.view(1, len(own), self.vocabulary.levels))
        ranked = rank(self.vocabulary, state, level, scores.known[0], scores.own[0], own, k)
        return Recommendations(level, ranked, reasons(state, self.levels.index(level), profile.weights), "profile")

    # ------------------------------------------------------------------ folders

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
        # A model that is being replaced is no model until the new one is whole.
        (folder / CONFIG).unlink(missing_ok=True)
        save_weights(folder, self.network)
        self.vocabulary.save(folder)
        write_json(folder / METRICS, self.metrics)
        content = {
            "format_version": FORMAT_VERSION,
            "model": self.name,
            "config": self.config.model_dump(mode="json"),
            "behaviors": [behavior.model_dump() for behavior in self.vocabulary.behaviors],
            "buckets": {"interval": self.buckets.interval, "dwell": self.buckets.dwell},
            "dataset_fingerprint": self.dataset_fingerprint,
            "dataset_bounds": self.dataset_bounds and self.dataset_bounds.model_dump(),
        }
        write_json(folder / CONFIG, content)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Open a model folder.

        Raises
        ------
        HupError
            If it is no complete model folder of this format.
        """
        folder = Path(folder)
        content = read_config(folder, cls.name)
        try:
            model = cls(Config.validated(content["config"]))
            behaviors = [Behavior.model_validate(behavior) for behavior in content["behaviors"]]
            buckets = Buckets(tuple(content["buckets"]["interval"]), tuple(content["buckets"]["dwell"]))
            fingerprint = content["dataset_fingerprint"]
            bounds = content.get("dataset_bounds")
            bounds = bounds and SplitBounds.model_validate(bounds)
        except (HupError, KeyError, TypeError, ValueError) as error:
            raise HupError(f"{folder / CONFIG} does not read as a model's configuration ({error!r}).") from error
        model._attach(Vocabulary.load(folder, behaviors), buckets, fingerprint)
        model.dataset_bounds = bounds
        load_weights(folder, model.network)
        if (folder / METRICS).is_file():
            model.metrics = read_json(folder / METRICS)
        return model

    # ------------------------------------------------------------------ parts

    def _live(self) -> LiveProfiles:
        return LiveProfiles(self.network, self.vocabulary, self.buckets)

    def _check_level(self, level: str) -> None:
        if level not in self.levels:
            raise HupError(f"The model has no level {level!r}; its levels are: {', '.join(self.levels)}.")


def load(folder: str | Path) -> HUP:
    """Open a model folder; the kind of model is written in it."""
    return HUP.from_pretrained(folder)


def _fitted(part: Part | None) -> Part:
    if part is None:
        raise HupError("This model is not fitted: call fit(dataset), or open one with HUP.from_pretrained(folder).")
    return part


def _buckets(dataset: Dataset) -> Buckets:
    edges = dataset.manifest.buckets
    return Buckets(tuple(edges.interval_upper_edges), tuple(edges.dwell_upper_edges))
