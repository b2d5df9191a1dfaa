"""The paper's output: how near profiles are to the vectors of items and categories; in training, of batches, live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.live.profiles import LiveProfiles
from hup.models.hup.live.state import ProfileState
from hup.models.hup.output import LiveAnswer
from hup.nn.losses import cosine_proximity
from hup.nn.pyramid import Pyramid
from hup.recommender.attention import AttentionColumn, pyramid_columns
from hup.recommender.candidates import LevelScores, Scores
from hup.recommender.known_scores import products
from hup.recommender.recommendations import OwnCandidate
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories, Targets, forget_items
from hup.sessions.levels import ITEM, MICRO, Level, pyramid_steps, ranked_levels
from hup.training.trained import LevelLoss


class CosineOutput:
    """Ranks by the cosine of a level's profile with the target vectors; see :class:`~hup.models.hup.output.Output`."""

    basis: ClassVar[str] = "profile"
    gives_probabilities: ClassVar[bool] = False
    looks_back: ClassVar[bool] = False

    def __init__(self, live: LiveProfiles, config: Config, counts: Mapping[str, Tensor]) -> None:
        self.live, self.pyramid, self.config = live, live.network, config
        self.counts: Mapping[str, Tensor] = {}
        categories = ranked_levels(live.vocabulary.levels)[1:]
        self.level_weights: dict[str, float] = {MICRO: config.loss.lambda_micro, ITEM: config.loss.lambda_item}
        self.level_weights |= dict.fromkeys(categories, config.loss.lambda_category)
        self.trained = [level for level, weight in self.level_weights.items() if weight > 0]

    @staticmethod
    def count(vocabulary: Vocabulary, config: Config, dataset: Dataset) -> dict[str, Tensor]:
        """Count nothing: all is learned."""
        return {}

    @property
    def network(self) -> Pyramid:
        """The pyramid."""
        return self.pyramid

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """All alike."""
        return [(1.0, [parameter for parameter in self.pyramid.parameters() if parameter.requires_grad])]

    def tune(self, dataset: Dataset, most_sessions: int | None) -> None:
        """Choose nothing."""

    def conclude(self, dataset: Dataset, most_sessions: int | None, note: Callable[[str], None]) -> None:
        """Learn nothing more."""

    def losses(self, histories: Histories, targets: Targets) -> dict[Level, LevelLoss]:
        """Negative cosine to the targets' vectors (Eq. 6), at the levels that have a weight."""
        read = forget_items(histories, self.config.embeddings.item_dropout)
        profiles = self.pyramid(read, pyramid_steps(histories, self.live.buckets), self.trained)
        targets = targets.to(self.pyramid.item_targets.weight.device)
        no_category = self.live.vocabulary.no_category
        losses = {}
        for level, profile in profiles.items():
            table = self.pyramid.target_table(level)
            vectors = table(targets.codes(level), targets.categories[:, : len(table.n_ancestors)])
            wanted = targets.wanted(level, no_category)
            losses[level] = LevelLoss.of(cosine_proximity(profile.vector, vectors, wanted), int(wanted.sum()))
        return losses

    def scores(self, histories: Histories) -> LevelScores:
        """Score by cosine; an unknown code has the mean vector of its known siblings."""
        with torch.inference_mode():
            profiles = self.pyramid(histories, pyramid_steps(histories, self.live.buckets))

        def score(level: str) -> Scores:
            own = histories.own_unknown(level, self.live.vocabulary.size(level))
            return self._cosines(profiles[level].vector, level, own.codes, histories.categories[own.events])

        return LevelScores(score)

    def quick_scores(self, histories: Histories) -> LevelScores:
        """Score by cosine."""
        return self.scores(histories)

    def biases(self, level: Level) -> Tensor:
        """Give 0: popularity has no say."""
        return torch.zeros(self.live.vocabulary.size(level))

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention of Eq. 5; random at levels that have no loss."""
        if not self.config.network.attention:
            return ()
        steps, pyramid = pyramid_steps(histories, self.live.buckets), self.pyramid
        with torch.inference_mode():
            profiles = pyramid(histories, steps)
        return pyramid_columns(steps, pyramid.level_names, pyramid.layout, profiles, set(self.trained))

    def check_profiles(self) -> None:
        """There are always some."""

    def profile(self, state: ProfileState, now: float | None) -> dict[Level, Tensor]:
        """Profiles p_l of §4.5."""
        return {Level(level): torch.from_numpy(vector) for level, vector in self.live.profiles(state, now).items()}

    def answer(self, state: ProfileState, level: Level, own: Sequence[OwnCandidate], now: float | None) -> LiveAnswer:
        """Score by cosine; the reasons are the level's attention."""
        vector, attention = self.live.profile(state, now, level)
        codes = torch.tensor([[candidate.code for candidate in own]], dtype=torch.long)
        paths = torch.tensor([[candidate.path for candidate in own]], dtype=torch.long)
        scores = self._cosines(
            torch.from_numpy(vector)[None], level, codes, paths.view(1, len(own), self.live.vocabulary.levels)
        )
        visited = state.visited(self.pyramid.layout[self.pyramid.level_names.index(level)])
        return LiveAnswer(scores.known[0], scores.own[0], visited, attention.tolist())

    def _cosines(self, profile: Tensor, level: str, own_codes: Tensor, own_categories: Tensor) -> Scores:
        """Compare profiles ``(B, d)`` with all known codes, and the sessions' own ``(B, U)`` by path ``(B, U, K)``."""
        table = self.pyramid.target_table(level)
        device = table.weight.device
        unit = functional.normalize(profile, dim=1)
        with torch.no_grad():
            known = products(unit, table.unit_vectors())
            own = table(own_codes.to(device), own_categories[..., : len(table.n_ancestors)].to(device))
            own_scores = (functional.normalize(own, dim=-1) @ unit.unsqueeze(-1)).squeeze(-1)
        return Scores(known, own_scores.cpu(), own_codes)
