"""HUP: the pyramid with its vocabulary; fits, ranks, recommends, keeps live profiles, saves and loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from hup.config import Config, Section
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.models.hup import warm_start
from hup.models.hup.ablations import TUNING
from hup.models.hup.cosine import CosineOutput
from hup.models.hup.live.profiles import LiveProfiles
from hup.models.hup.live.state import ProfileState
from hup.models.hup.live.stored import restored, stored
from hup.models.hup.many_profiles import ManyProfiles
from hup.models.hup.mixture.output import MixtureOutput
from hup.models.hup.output import COUNTED, Output
from hup.models.hup.vectors import fitted_vectors, put_vectors, watched_tables
from hup.nn.pyramid import Pyramid
from hup.recommender.attention import AttentionColumn
from hup.recommender.candidates import LevelScores, Scores
from hup.recommender.in_batches import Progress
from hup.recommender.lineage import is_of_earlier_state
from hup.recommender.recommendations import Recommendations, own_candidates, rank, reasons
from hup.recommender.restriction import Restriction
from hup.recommender.similar import Likeness, cosines
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.asked import Names, asked
from hup.sessions.batches import Histories, Targets
from hup.sessions.events import Event, session_events
from hup.sessions.levels import Level
from hup.training.trained import LevelLoss, TrainedRecommender, WatchedTable

Session = ProfileState | bytes | Sequence[Event | Mapping[str, Any]] | None
_OUTPUTS: dict[str, type[Output]] = {"cosine": CosineOutput, "mixture": MixtureOutput}  # by config.output


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
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = TUNING
    config: Config

    def __init__(self, config: Config | str = "best") -> None:
        super().__init__(Config.preset(config) if isinstance(config, str) else config)
        self._counts: Mapping[str, Tensor] = {}
        self._output: Output | None = None

    @property
    def output(self) -> Output:
        """What is recommended from the pyramid; an unfitted model has none."""
        return self._fitted(self._output)

    @property
    def pyramid(self) -> Pyramid:
        """The pyramid; an unfitted model has none."""
        return self.output.live.network

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities: those of a mixture are, cosines are not."""
        return _OUTPUTS[self.config.output].gives_probabilities

    @property
    def learns_from_validation(self) -> bool:
        """The order of the likeliest items is, where there is one."""
        return self.config.output == "mixture" and self.config.mixture.reranked > 0

    def _take(self, dataset: Dataset) -> None:
        super()._take(dataset)
        self._counts = _OUTPUTS[self.config.output].count(self.vocabulary, self.config, dataset)

    def build(self) -> nn.Module:
        """Make the pyramid, and what the output has around it."""
        vocabulary, buckets = self.vocabulary, self.buckets
        pyramid = Pyramid(
            torch.from_numpy(vocabulary.paths),
            [vocabulary.ancestors(k) for k in range(1, vocabulary.levels + 1)],
            n_behaviors=len(vocabulary.behaviors),
            n_intervals=len(buckets.interval) + 2,
            n_dwells=len(buckets.dwell) + 2,
            config=self.config,
        )
        live = LiveProfiles(pyramid, vocabulary, buckets, self.config)
        self._output = _OUTPUTS[self.config.output](live, self.config, self._counts)
        return self.output.network

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the network, and what the output has counted."""
        return super().tensors() | dict(self.output.counts)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the network and give it these weights."""
        self._counts = {name: tensor for name, tensor in tensors.items() if name.startswith(COUNTED)}
        super().restore({name: tensor for name, tensor in tensors.items() if name not in self._counts})

    def first_vectors(self, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the vectors of every level that the configuration asks for, ``(n_known, d)`` each."""
        return fitted_vectors(dataset, self.config, {})

    def check_earlier(self, earlier: TrainedRecommender, dataset: Dataset) -> None:
        """Check that weights of an earlier model would fit a network for a dataset."""
        before = self._same_kind(earlier)
        warm_start.refuse_other_network(self.config, before.config)
        warm_start.refuse_other_shop(Vocabulary.of(dataset), before.vocabulary)

    def first_vectors_from(self, earlier: TrainedRecommender, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the vectors onwards from those of an earlier model."""
        before, targets = self._same_kind(earlier), self.config.embeddings.targets != "trainable"
        vocabularies = Vocabulary.of(dataset), before.vocabulary
        vectors = warm_start.starting_vectors(*vocabularies, before.pyramid, of_targets=targets)
        return fitted_vectors(dataset, self.config, vectors)

    def begin_from(self, earlier: TrainedRecommender) -> None:
        """Take over the weights of an earlier model; codes that it lacks keep their skip-gram vectors."""
        before = self._same_kind(earlier)
        rows = warm_start.table_rows(self.vocabulary, before.vocabulary, self.pyramid)
        warm_start.begin_from(self.network, before.network, rows)

    def take_vectors(self, vectors: Mapping[str, Tensor]) -> None:
        """Put skip-gram vectors into the tables that are to have them."""
        put_vectors(self.pyramid, self.config.embeddings, vectors)

    def level_weights(self) -> dict[str, float]:
        """Weights of Eq. 7."""
        return self.output.level_weights

    def tune(self, dataset: Dataset) -> None:
        """Choose what the output has to choose on the validation split."""
        self.output.tune(dataset, self.config.training.validation_sessions or None)

    def conclude(self, dataset: Dataset, note: Callable[[str], None]) -> None:
        """Learn what waits for the end of training."""
        self.output.conclude(dataset, self.config.training.validation_sessions or None, note)

    def losses(self, histories: Histories, targets: Targets) -> dict[str, LevelLoss]:
        """Losses of the output by level, over the targets that count there."""
        return {str(level): loss for level, loss in self.output.losses(histories, targets).items()}

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Group what is trained as the output wants it."""
        return self.output.parameter_groups()

    def watched(self) -> dict[str, WatchedTable]:
        """Target tables by level, and the tables that are read as "LEVEL_inputs"."""
        return watched_tables(self.pyramid, self.config.embeddings, self.levels)

    def score(self, histories: Histories, level: str) -> Scores:
        """Score every candidate of a level; to ask for several levels, :meth:`scores` computes what they share once."""
        of_level = self._check_level(level)
        return self.output.scores(histories)[of_level]

    def scores(self, histories: Histories) -> LevelScores:
        """Score every candidate of every level: cosine with its target vector, or the mixture's probability."""
        answer = self.output.scores(histories)
        return LevelScores(lambda level: answer[self._check_level(level)], answer.origins)

    def quick_scores(self, histories: Histories) -> LevelScores:
        """As :meth:`scores`; of the mixture as a single user's answer has them, several times as fast."""
        return self.output.quick_scores(histories)

    def item_vectors(self) -> Tensor:
        """Vectors of the known items, ``(n_known, d)``, in the space of :meth:`profile`'s item vector.

        The paper retrieves candidates by their cosine, preset ``best`` by ``vector · profile + bias``.
        """
        return self.pyramid.item_targets.vectors().detach()

    def category_vectors(self, level: str) -> Tensor:
        """Vectors of the known categories of a level, ``(n_known, d)``, in the space of its profile.

        Raises
        ------
        HupError
            The model has no such category level.
        """
        of_level = self._check_level(level)
        if not of_level.is_category:
            raise HupError(f"{level} is no category level; its vectors are item_vectors().")
        return self.pyramid.target_table(of_level).vectors().detach()

    def likeness(self, level: Level, code: int) -> Likeness:
        """Compare the target vectors of a level, those that profiles are compared with."""
        return cosines(self.pyramid.target_table(level).vectors(), code)

    def biases(self, level: str = "item") -> Tensor:
        """Give what is added to ``vector · profile`` where the profile alone ranks a level, ``(n_known,)``.

        Of the preset ``best`` the logarithm of popularity; of cosines 0.

        Raises
        ------
        HupError
            The model has no such level.
        """
        return self.output.biases(self._check_level(level))

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention of every level over one history, bottom first; of a mixture, what each visit brings to it."""
        return self.output.attention(histories)

    def state(self, session: Session, earlier: Sequence[Sequence[Event | Mapping[str, Any]]] = ()) -> ProfileState:
        """Fold a whole session; a state is given back as it is, None is a user who has done nothing yet.

        Parameters
        ----------
        session : ProfileState, bytes or sequence of events
            Bytes are those of :meth:`state_bytes`.
        earlier : sequence of sequence of events
            Sessions that the user had before, oldest first. They are looked at where ``mixture.earlier`` is above 0.

        Raises
        ------
        HupError
            For an event that does not read, or one that is older than the one before; for a state of another model, or
            bytes that are none.
        """
        if isinstance(session, ProfileState):
            return self._own(session)
        if isinstance(session, bytes):
            return restored(session, self.output.live)
        before = [session_events(one, "earlier session") for one in earlier]
        return self.output.live.state(session_events(session, "session"), before)

    def state_bytes(self, state: ProfileState) -> bytes:
        """Give a state as bytes, to be kept anywhere; :meth:`state` takes them.

        Without attention, as in preset ``best``, they are of bounded size however long the session is, some ten
        kilobytes. They hold the latest 256 events, too, for another model: ``model.state(hup.stored_events(data))``.

        Raises
        ------
        HupError
            The state is of another model.
        """
        return stored(self._own(state), len(self.vocabulary.items))

    def update(self, state: ProfileState | None, event: Event | Mapping[str, Any]) -> ProfileState:
        """Fold one micro-behavior into a user's state.

        Parameters
        ----------
        state : ProfileState or None
            None for a user who has done nothing yet. It is not changed.
        event : Event or mapping
            Not older than the one before.
        """
        if state is not None and not isinstance(state, ProfileState):
            raise HupError(f"The state is {state!r}, expected what update() or state() gave, or None.")
        event, live = Event.of(event), self.output.live
        state = live.start() if state is None else self._own(state)
        if event.timestamp is not None and state.latest is not None and event.timestamp < state.latest:
            raise HupError("event stream: the event is older than one before it; sort them, oldest first.")
        return live.update(state, event)

    def _own(self, state: ProfileState) -> ProfileState:
        """Check that a state is one of this model."""
        if state.model != self.output.live.digest:
            raise HupError("The state is of another model. Fold the user's events anew: model.state(events).")
        return state

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
        if state.open_run is None:
            raise HupError("An empty session has no profile; recommend() answers with popularity there.")
        return {level: vector.numpy() for level, vector in self.output.profile(state, now).items()}

    def profiles(
        self,
        dataset: Dataset,
        *,
        users: Names | None = None,
        sessions: Names | None = None,
        progress: Progress | None = None,
    ) -> pa.Table:
        """Profile vectors of every level for many users of a dataset; parameters as for :meth:`recommend_many`.

        Returns
        -------
        pyarrow.Table
            ``user`` (or ``session``), ``level`` (bottom first), and ``vector``: what :meth:`profile` gives of the
            newest session, as it stands, and without ``now``.

        Raises
        ------
        HupError
            The model was trained without profiles; or the dataset is another one, or has no such user or session.
        """
        return self.profile_stream(dataset, users=users, sessions=sessions, progress=progress).read_all()

    def profile_stream(
        self,
        dataset: Dataset,
        *,
        users: Names | None = None,
        sessions: Names | None = None,
        progress: Progress | None = None,
    ) -> pa.RecordBatchReader:
        """Give what :meth:`profiles` gives in record batches, made as they are read: memory stays bounded."""
        who = asked(dataset, users, sessions)
        return self.many_profiles(dataset, who.key).stream(who, progress)

    def many_profiles(self, dataset: Dataset, key: str) -> ManyProfiles:
        """Get ready to be asked for the profiles of many sessions."""
        is_of_earlier_state(self, dataset)
        self.output.check_profiles()
        return ManyProfiles(self.pyramid, self.buckets, dataset, key)

    def recommend(
        self,
        session: Session,
        level: str = "item",
        k: int = 20,
        now: float | None = None,
        restriction: Restriction | None = None,
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
        restriction : Restriction, optional
            Which items may come; default all.

        Raises
        ------
        HupError
            For a level that the model lacks, ``k`` below 1, or a restriction that does not fit the level.
        """
        self._check_question(level, k, restriction)
        state = self.state(session)
        if state.open_run is None:
            return self._popular(level, k, restriction)
        own = own_candidates(self.vocabulary, state.items, level)
        answer = self.output.answer(state, Level(level), own, now)
        ranked = rank(
            self.vocabulary,
            *(state.items, state.current),
            level,
            *(answer.known, answer.own),
            own,
            k,
            answer.origins,
            restriction,
            state.met,
        )
        visited = reasons(state.met, answer.visited, level, answer.weights)
        return self._answer(level, ranked, self.output.basis, restriction, visited)
