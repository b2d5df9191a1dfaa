"""HUP: the pyramid with its vocabulary; fits, ranks, recommends, keeps live profiles, saves and loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hup.config import Config, Section
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.models.hup.cosine import ask_cosine, cosine_losses, cosine_scores
from hup.models.hup.live import LiveProfiles, ProfileState
from hup.models.hup.live_answer import ask_mixture
from hup.models.hup.mixture.likelihood import mixture_losses
from hup.models.hup.mixture.output import COUNTED, Answer, MixtureNetwork, MixtureOutput, shares_of_runs
from hup.models.hup.warm_start import (
    StartingVectors,
    begin_from,
    refuse_other_network,
    refuse_other_shop,
    starting_vectors,
    table_rows,
)
from hup.models.skipgram import word2vec_vectors
from hup.nn.pyramid import Pyramid
from hup.nn.pyramid_level import LevelProfile
from hup.recommender.attention import AttentionColumn, pyramid_columns
from hup.recommender.base import Scores
from hup.recommender.recommendations import (
    Recommendations,
    own_candidates,
    popular,
    rank,
    reasons,
)
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories, Targets, forget_items
from hup.sessions.events import Event, in_time_order
from hup.sessions.levels import ranked_levels
from hup.sessions.runs import runs_of
from hup.sessions.steps import pyramid_steps
from hup.training.trained import LevelLoss, TrainedRecommender, WatchedTable

Session = ProfileState | Sequence[Event | Mapping[str, Any]] | None


class HUP(TrainedRecommender):
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

    kind: ClassVar[str] = "hup"
    options: ClassVar[type[Section]] = Config
    # Sizes are the paper's; what it leaves open is worth trying.
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("embeddings.skipgram_epochs=150",),
        ("embeddings.skipgram_window=10",),
        ("training.batch_size=32",),
        ("training.learning_rate=0.001",),
        ("training.learning_rate=0.01",),
    )
    config: Config

    def __init__(self, config: Config | str = "best") -> None:
        super().__init__(Config.preset(config) if isinstance(config, str) else config)
        self._latest: tuple[Histories, dict[str, LevelProfile] | dict[str, Answer]] | None = None
        self._mixture: MixtureOutput | None = None

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities: those of a mixture are, cosines are not."""
        return self.config.output == "mixture"

    # ------------------------------------------------------------------ fit

    def _take(self, dataset: Dataset) -> None:
        super()._take(dataset)
        if self.config.output == "mixture":
            self._mixture = MixtureOutput.counted(self.vocabulary, self.config, dataset)

    def build(self) -> nn.Module:
        """Make the pyramid, and the mixtures that are to be on it."""
        vocabulary, buckets = self.vocabulary, self.buckets
        self._latest = None
        pyramid = Pyramid(
            torch.from_numpy(vocabulary.paths),
            [vocabulary.ancestors(k) for k in range(1, vocabulary.levels + 1)],
            n_behaviors=len(vocabulary.behaviors),
            n_intervals=len(buckets.interval) + 2,
            n_dwells=len(buckets.dwell) + 2,
            config=self.config,
        )
        return pyramid if self._mixture is None else self._mixture.network(pyramid)

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the network, and the counts of neighbours where it looks at them."""
        return super().tensors() | ({} if self._mixture is None else self._mixture.tensors())

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the network and give it these weights."""
        if self.config.output == "mixture":
            self._mixture = MixtureOutput.restored(self.vocabulary, self.config, tensors)
        super().restore({name: tensor for name, tensor in tensors.items() if not name.startswith(COUNTED)})

    def skipgram(self, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the skip-gram vectors of every level that the configuration asks for, ``(n_known, d)`` each."""
        return self._skipgram(dataset, {})

    def check_earlier(self, earlier: TrainedRecommender, dataset: Dataset) -> None:
        """Check that weights of an earlier model would fit a network for a dataset."""
        before = self._same_kind(earlier)
        refuse_other_network(self.config, before.config)
        refuse_other_shop(Vocabulary.of(dataset), before.vocabulary)

    def skipgram_from(self, earlier: TrainedRecommender, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the skip-gram vectors onwards from those of an earlier model."""
        before, frozen = self._same_kind(earlier), self.config.embeddings.targets == "skipgram"
        start = starting_vectors(Vocabulary.of(dataset), before.vocabulary, before.pyramid, frozen=frozen)
        return self._skipgram(dataset, start)

    def begin_from(self, earlier: TrainedRecommender) -> None:
        """Take over the weights of an earlier model; codes that it lacks keep their skip-gram vectors."""
        before = self._same_kind(earlier)
        begin_from(self.network, before.network, table_rows(self.vocabulary, before.vocabulary, self.pyramid))

    def _same_kind(self, earlier: TrainedRecommender) -> HUP:
        if not isinstance(earlier, HUP):
            raise HupError(f"The model to begin from is of kind {earlier.kind}, expected {self.kind}.")
        return earlier

    def _skipgram(self, dataset: Dataset, start: StartingVectors) -> dict[str, Tensor]:
        sizes = self.config.embeddings
        if "skipgram" not in (sizes.targets, sizes.inputs):
            return {}
        return {
            level: word2vec_vectors(
                dataset,
                level,
                sizes.item if level == "item" else sizes.category,
                window=sizes.skipgram_window,
                epochs=sizes.skipgram_epochs,
                budget=sizes.skipgram_budget,
                seed=self.config.training.seed,
                start=start.get(level),
            )
            for level in ranked_levels(dataset.levels)
        }

    def take_vectors(self, vectors: Mapping[str, Tensor]) -> None:
        """Put skip-gram vectors into the tables that are to have them."""
        embeddings = self.config.embeddings
        for level, values in vectors.items():
            if embeddings.targets == "skipgram":
                self.pyramid.target_table(level).weight.data.copy_(values)
            if embeddings.inputs == "skipgram":
                for table in self.pyramid.input_tables(level):
                    table.weight.data.copy_(values)

    @property
    def pyramid(self) -> Pyramid:
        """The pyramid; an unfitted model has none."""
        network = self.network
        pyramid = network.pyramid if isinstance(network, MixtureNetwork) else network
        assert isinstance(pyramid, Pyramid)
        return pyramid

    def level_weights(self) -> dict[str, float]:
        """Weights of Eq. 7."""
        weights = self.config.loss
        category = dict.fromkeys(self.levels[1:], weights.lambda_category)
        return {"micro": weights.lambda_micro, "item": weights.lambda_item, **category}

    def losses(self, histories: Histories, targets: Targets) -> dict[str, LevelLoss]:
        """Negative cosine of every level that counts (Eq. 6), over the targets that count there; or of the mixture."""
        if self._mixture is not None:
            return mixture_losses(self._mixture, self._mixtures, histories, targets, self.buckets)
        levels = [level for level, weight in self.level_weights().items() if weight > 0]
        read = forget_items(histories, self.config.embeddings.item_dropout)
        profiles = self.pyramid(read, pyramid_steps(histories, self.buckets), levels)
        return cosine_losses(self.pyramid, profiles, targets, self.vocabulary.no_category)

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """All alike; but where a mixture learns its rules from little data, the profile follows slowly."""
        if self._mixture is None:
            return super().parameter_groups()
        return self._mixtures.parameter_groups(self.config.mixture.profile_rate)

    def watched(self) -> dict[str, WatchedTable]:
        """Target tables by level, and the tables that are read as "LEVEL_inputs"."""
        if self.config.embeddings.targets == "trainable":
            remedy = "This loss has no negatives; freeze the targets with embeddings.targets=skipgram."
        else:
            remedy = "The training sessions may be too few, or too much alike, to learn vectors from."
        tables = {}
        for level in self.levels:
            targets = self.pyramid.target_table(level)
            tables[level] = WatchedTable(targets.weight, remedy)
            for number, inputs in enumerate(self.pyramid.input_tables(level), 1):
                if inputs is not targets:
                    suffix = "inputs" if number == 1 else f"inputs_{number}"
                    tables[f"{level}_{suffix}"] = WatchedTable(inputs.weight, None)
        return tables

    # ------------------------------------------------------------------ rank

    def score(self, histories: Histories, level: str) -> Scores:
        """Cosine of each history's profile with every candidate's target vector; or the mixture's probability."""
        self._check_level(level)
        if self._mixture is not None:
            answers = self._answers(self._mixture, histories)
            with torch.inference_mode():
                found = self._mixture.scores(self._mixtures, answers, level, histories.current("item"))
                return self._mixture.padded(histories, level, found)
        vector = self._profiles(histories)[level].vector
        own = histories.own_unknown(level, self.vocabulary.size(level))
        return cosine_scores(self.pyramid, vector, level, own.codes, histories.categories[own.events])

    def item_vectors(self) -> Tensor:
        """Target vectors of the known items, ``(n_known, d)``; the paper retrieves candidates by their cosine."""
        return self.pyramid.item_targets.weight.detach()

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention of every level over one history, bottom first; none for a model without attention.

        Of a mixture it is the share that each visit has in repeat and memory, at the last run on its code.
        """
        if self._mixture is not None:
            return shares_of_runs(self._answers(self._mixture, histories), runs_of(histories, "item"))
        if not self.config.network.attention:
            return ()
        steps, network = pyramid_steps(histories, self.buckets), self.pyramid
        profiles, weights = self._profiles(histories), self.level_weights()
        trained = {level for level, weight in weights.items() if weight > 0}
        return pyramid_columns(steps, network.level_names, network.layout, profiles, trained)

    @property
    def _mixtures(self) -> MixtureNetwork:
        assert isinstance(self.network, MixtureNetwork)
        return self.network

    def _answers(self, mixture: MixtureOutput, histories: Histories) -> dict[str, Answer]:
        """Ask the mixture of all levels; kept for the latest batch, since callers ask level by level."""
        if self._latest is None or self._latest[0] is not histories:
            with torch.inference_mode():
                self._latest = (histories, mixture.answers(self._mixtures, histories, self.buckets))
        return cast("dict[str, Answer]", self._latest[1])

    def _profiles(self, histories: Histories) -> dict[str, LevelProfile]:
        """Profiles of all levels; kept for the latest batch, since callers ask level by level."""
        if self._latest is None or self._latest[0] is not histories:
            with torch.inference_mode():
                profiles = self.pyramid(histories, pyramid_steps(histories, self.buckets))
            self._latest = (histories, profiles)
        return cast("dict[str, LevelProfile]", self._latest[1])

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
        if self._mixture is not None:
            opened = self._live().run_open(state, now)
            return {level: run.last[0].numpy() for level, run in zip(self.pyramid.level_names, opened, strict=True)}
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
        self._check_question(level, k)
        state = self.state(session)
        if not state.pending:
            return Recommendations(level, popular(self.vocabulary, level, k), (), "popularity")
        own = own_candidates(self.vocabulary, state.items, level)
        if self._mixture is None:
            answer = ask_cosine(self.vocabulary, self.pyramid, self._live(), state, level, own, now)
        else:
            answer = ask_mixture(self._mixture, self._mixtures, self._live(), state, level, own, now)
        current = state.pending[-1].item
        ranked = rank(
            self.vocabulary, state.items, current, level, answer.known, answer.own, own, k, origins=answer.origins
        )
        why = reasons(state.items, answer.visited, level, answer.weights)
        return Recommendations(level, ranked, why, "profile" if self._mixture is None else "probability")

    # ------------------------------------------------------------------ parts

    def _live(self) -> LiveProfiles:
        return LiveProfiles(self.pyramid, self.vocabulary, self.buckets)
