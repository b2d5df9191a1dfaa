"""The contract of every recommender: fit, score and recommend items and categories of every level."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import pyarrow as pa
from torch import Tensor

from hup.config import Section
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.recommender import forked  # noqa: F401  (a model that is at hand works in forked children, too)
from hup.recommender.candidates import LevelScores, Scores
from hup.recommender.in_batches import Progress
from hup.recommender.lineage import is_of_earlier_state
from hup.recommender.many import ManyRecommendations
from hup.recommender.recommendations import Reason, Recommendation, Recommendations, own_candidates, popular, rank
from hup.recommender.restriction import Restriction
from hup.recommender.saved import SavedModel
from hup.recommender.similar import Likeness, code_of, most_like
from hup.recommender.vocabulary import SessionReader
from hup.sessions.asked import Names, asked
from hup.sessions.batches import Histories
from hup.sessions.events import Event, check_now, session_events
from hup.sessions.levels import Level, ranked_levels


class Recommender(SavedModel):
    """A model that ranks items and categories for session prefixes.

    Levels are named ``"item"`` and ``"category_1"`` (coarsest) … ``"category_K"`` (finest).

    Attributes
    ----------
    tuning : tuple of tuple of str
        Settings worth trying, as overrides of single keys, in the order in which they are tried; the first is ``()``.
        A grid tries equally many of every model, before the test.
    levels_independent : bool
        Whether no level has anything that is fitted in common with another one: then each has its own setting and, of a
        network, its own epoch. Such a network is a :class:`torch.nn.ModuleDict` by level.
    costly : bool
        Whether a fit is a long training, so that a grid may try fewer settings of it than of others.
    retrieval : callable or None
        What epochs and weights are chosen by, where it is not all candidates: given a dataset, vectors of its known
        items, ``(n_known, d)``, fitted on its training split. Candidates are then the neighbours of what was browsed,
        as in :func:`hup.evaluation.evaluate`. It is of the fitting, not of the model, and is not saved.
    kind, options, name, metrics, dataset_fingerprint, dataset_bounds, preparation
        As of any :class:`~hup.recommender.saved.SavedModel`.
    """

    tuning: ClassVar[tuple[tuple[str, ...], ...]] = ((),)
    levels_independent: ClassVar[bool] = False
    costly: ClassVar[bool] = False

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities of what comes next."""
        return False

    @property
    def learns_from_validation(self) -> bool:
        """Whether something is learned from the validation split itself, so that figures on it say too much."""
        return False

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self.retrieval: Callable[[Dataset], Tensor] | None = None

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

    def quick_scores(self, histories: Histories) -> LevelScores:
        """Score to recommend from: as :meth:`scores`; where it is faster, what is hardly likely may be a trifle off.

        Raises
        ------
        HupError
            The model is not fitted.
        """
        return self.scores(histories)

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
        restriction: Restriction | None = None,
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
        restriction : Restriction, optional
            Which items may come; default all.

        Raises
        ------
        HupError
            For a level that the model lacks, ``k`` below 1, or a restriction that does not fit the level.
        """
        self._check_question(level, k, restriction)
        events = session_events(session, "session")
        if not events:
            return self._popular(level, k, restriction)
        check_now(now, events[-1])
        reader = SessionReader(self.vocabulary)
        scores = self.score(reader.histories([events], [now]), level)
        items = reader.items(events)
        own = own_candidates(self.vocabulary, items, level)
        by_code = dict(zip(scores.own_codes[0].tolist(), scores.own[0], strict=True))
        own_scores = scores.known.new_tensor([float(by_code[candidate.code]) for candidate in own])
        ranked = rank(
            self.vocabulary,
            items,
            events[-1].item,
            level,
            scores.known[0],
            own_scores,
            own,
            k,
            restriction=restriction,
        )
        return self._answer(level, ranked, "score", restriction)

    def likeness(self, level: Level, code: int) -> Likeness:
        """Compare a code of a level with all known ones; a model that has vectors or counts of pairs knows how.

        Raises
        ------
        HupError
            The model has neither.
        """
        raise HupError(f"{self.name} has neither vectors nor counts of pairs by which items would be similar.")

    def similar(
        self, name: str | Sequence[str], level: str = "item", k: int = 10, restriction: Restriction | None = None
    ) -> Recommendations:
        """List what is most like an item, or a category, whoever asks.

        Parameters
        ----------
        name : str or sequence of str
            The item; of a category its path, coarsest first, or the same written ``"a > b"``.
        level : str
            ``"item"`` or ``"category_k"``.
        k : int
            How many, at least 1.
        restriction : Restriction, optional
            Which items may come; default all.

        Returns
        -------
        Recommendations
            By the cosine of the level's vectors, or by co-visits where a model counts these.

        Raises
        ------
        HupError
            The model does not know it, or nothing by which it could compare; else as for :meth:`recommend`.
        """
        self._check_question(level, k, restriction)
        code = code_of(self.vocabulary, level, name)
        likeness = self.likeness(Level(level), code)
        ranked = most_like(self.vocabulary, level, code, likeness, k, restriction)
        return self._answer(level, ranked, likeness.basis, restriction)

    def _popular(self, level: str, k: int, restriction: Restriction | None) -> Recommendations:
        """Answer for a user who has done nothing yet."""
        ranked = popular(self.vocabulary, level, k, restriction)
        return self._answer(level, ranked, "popularity", restriction)

    def _answer(
        self,
        level: str,
        ranked: Sequence[Recommendation],
        basis: str,
        restriction: Restriction | None,
        reasons: Sequence[Reason] = (),
    ) -> Recommendations:
        """Put an answer together: the list, what is to be known of a restriction, and columns of the items."""
        note = "" if restriction is None else restriction.note(self.vocabulary, nothing_left=not ranked)
        columns = None if Level(level).is_category else self.item_columns
        if columns is not None:
            ranked = [replace(one, item=columns.of(one.name)) for one in ranked]
        schema = None if columns is None else columns.schema
        return Recommendations(level, tuple(ranked), tuple(reasons), basis, note, schema)

    def recommend_many(
        self,
        dataset: Dataset,
        *,
        users: Names | None = None,
        sessions: Names | None = None,
        level: str = "item",
        k: int = 20,
        restriction: Restriction | None = None,
        show: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> pa.Table:
        """Rank items, or categories of a level, for many users of a dataset, much faster than one by one.

        What comes is what :meth:`recommend` gives for a user's newest session, as it stands, and without ``now``.

        Parameters
        ----------
        dataset : Dataset
            That the model was trained on, or one that was appended to that.
        users : "all" or iterable of str, optional
            The default is all.
        sessions : "all" or iterable of str, optional
            Names of sessions, instead of users: for logs that name none.
        level : str
            ``"item"``, ``"category_k"``, or ``"all"``.
        k : int
            How many of each level, at least 1.
        restriction : Restriction, optional
            Which items may come. ``new_only`` leaves out what the user has been on in any session of the dataset.
        show : sequence of str, optional
            Columns of the items to give along, of the dataset's table of items, or else the model's; by default the one
            with their names or titles, if there is one.
        progress : callable, optional
            Called with the number of sessions done since its last call.

        Returns
        -------
        pyarrow.Table
            ``user`` (or ``session``), ``level``, ``rank`` from 1, ``name``, ``path`` (names of its categories, coarsest
            first), ``score``, and ``origin``: the shares of repeat, memory, popularity and profile, null where a score
            is no probability. Where columns of items are shown, ``item`` has them.

        Raises
        ------
        HupError
            As for :meth:`recommend`; or the dataset is another one, or has no such user or session.
        """
        who = asked(dataset, users, sessions)
        return self.many(dataset, who.key, level, k, restriction, show).table(who, progress)

    def recommend_stream(
        self,
        dataset: Dataset,
        *,
        users: Names | None = None,
        sessions: Names | None = None,
        level: str = "item",
        k: int = 20,
        restriction: Restriction | None = None,
        show: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> pa.RecordBatchReader:
        """Give what :meth:`recommend_many` gives in record batches, made as they are read: memory stays bounded."""
        who = asked(dataset, users, sessions)
        return self.many(dataset, who.key, level, k, restriction, show).stream(who, progress)

    def many(
        self,
        dataset: Dataset,
        key: str,
        level: str = "item",
        k: int = 20,
        restriction: Restriction | None = None,
        show: Sequence[str] | None = None,
    ) -> ManyRecommendations:
        """Get ready to be asked about many sessions; parameters as for :meth:`recommend_many`."""
        is_of_earlier_state(self, dataset)
        levels = self.levels if level == "all" else (Level(level),)
        for one in levels:
            self._check_question(one, k, restriction)
        return ManyRecommendations(self, dataset, key, levels, int(k), restriction or Restriction(), show)

    def _check_level(self, level: str) -> Level:
        if level not in self.levels:
            raise HupError(f"{self.name} has no level {level!r}; its levels are: {', '.join(self.levels)}.")
        return Level(level)

    def _check_question(self, level: str, k: int, restriction: Restriction | None) -> None:
        self._check_level(level)
        if isinstance(k, bool) or not hasattr(type(k), "__index__") or k < 1:
            raise HupError(f"k is {k!r}, expected a whole number, 1 or more.")
        if restriction is not None and not isinstance(restriction, Restriction):
            raise HupError(f"restriction is {restriction!r}, expected a hup.Restriction.")
        if restriction is not None:
            restriction.check(self.vocabulary, level)
