"""What HUP recommends from its pyramid: the one protocol of its outputs, cosine and mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.live.profiles import LiveProfiles
from hup.models.hup.live.state import ProfileState
from hup.recommender.attention import AttentionColumn
from hup.recommender.candidates import LevelScores
from hup.recommender.recommendations import Origin, OwnCandidate
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories, Targets
from hup.sessions.levels import Level
from hup.training.trained import LevelLoss

#: Names of what is counted, not learned, begin so among a model's tensors.
COUNTED = "counted."


@dataclass(frozen=True)
class LiveAnswer:
    """What a live state is answered with.

    Attributes
    ----------
    known, own : Tensor
        ``(n_known,)`` and ``(U,)``, scores of the vocabulary and of the session's own candidates.
    visited : sequence of str
    weights : list of float
        Items of the session and the attention on them.
    origins : callable, optional
        Tells of codes where their probability comes from.
    """

    known: Tensor
    own: Tensor
    visited: Sequence[str]
    weights: list[float]
    origins: Callable[[Sequence[int]], Sequence[Origin]] | None = None


class Output(Protocol):
    """What a pyramid is trained for, and what it answers; one object over the network of a model.

    Parameters
    ----------
    live : LiveProfiles
        Of the pyramid.
    config : Config
    counts : mapping of str to Tensor
        What :meth:`count` gave, or what a model folder has of it.

    Attributes
    ----------
    basis : str
        What the scores are, as in :class:`~hup.recommender.recommendations.Recommendations`.
    gives_probabilities : bool
    looks_back : bool
        Whether it sees what users did in earlier sessions.
    live, counts
        As given.
    network : nn.Module
        All that is trained: the pyramid, or more around it.
    level_weights : dict of str to float
        Weights of the levels in the loss (Eq. 7).
    """

    basis: ClassVar[str]
    gives_probabilities: ClassVar[bool]
    live: LiveProfiles
    counts: Mapping[str, Tensor]
    level_weights: dict[str, float]

    def __init__(self, live: LiveProfiles, config: Config, counts: Mapping[str, Tensor]) -> None: ...

    @staticmethod
    def count(vocabulary: Vocabulary, config: Config, dataset: Dataset) -> dict[str, Tensor]:
        """Count in the training split what is not learned by descent; names begin with :data:`COUNTED`."""
        ...

    @property
    def network(self) -> nn.Module:
        """All that is trained."""
        ...

    @property
    def looks_back(self) -> bool:
        """Whether earlier sessions are looked at."""
        ...

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Group what is trained, each with its factor on the learning rate."""
        ...

    def tune(self, dataset: Dataset, most_sessions: int | None) -> None:
        """Choose what is not learned by descent, on so many sessions of the validation split; None = all."""
        ...

    def conclude(self, dataset: Dataset, most_sessions: int | None, note: Callable[[str], None]) -> None:
        """Learn what waits for the end of training, from so many sessions of the validation split; None = all."""
        ...

    def losses(self, histories: Histories, targets: Targets) -> dict[Level, LevelLoss]:
        """Losses of a batch by level, over the targets that count there."""
        ...

    def scores(self, histories: Histories) -> LevelScores:
        """Ask at the end of every history: what is returned makes the scores of each level from the same answer."""
        ...

    def quick_scores(self, histories: Histories) -> LevelScores:
        """As :meth:`scores`, to recommend from: what is hardly likely may be a trifle off."""
        ...

    def biases(self, level: Level) -> Tensor:
        """Give what is added to dot products of profile and vectors, ``(n_known,)``."""
        ...

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention of every level over one history, bottom first; none where there is no attention."""
        ...

    def check_profiles(self) -> None:
        """Check that there are profiles.

        Raises
        ------
        HupError
            The model was trained without.
        """
        ...

    def profile(self, state: ProfileState, now: float | None) -> dict[Level, Tensor]:
        """Profile vector ``(d,)`` of every level of the pyramid for a live state that is not empty."""
        ...

    def answer(self, state: ProfileState, level: Level, own: Sequence[OwnCandidate], now: float | None) -> LiveAnswer:
        """Score the candidates of a level for a live state that is not empty, and say why.

        Parameters
        ----------
        state : ProfileState
        level : Level
        own : sequence of OwnCandidate
            What the session has beyond the vocabulary.
        now : float, optional
            Seconds on the events' clock.
        """
        ...
