"""The paper's output: how near profiles are to the vectors of items and categories; in training, of batches, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hup.models.hup.live import LiveProfiles, ProfileState
from hup.models.hup.live_answer import LiveAnswer
from hup.nn.losses import cosine_proximity
from hup.nn.pyramid import Pyramid
from hup.nn.pyramid_level import LevelProfile
from hup.recommender.base import Scores
from hup.recommender.recommendations import OwnCandidate
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Targets
from hup.training.trained import LevelLoss


def cosine_losses(
    network: Pyramid, profiles: Mapping[str, LevelProfile], targets: Targets, no_category: Sequence[int]
) -> dict[str, LevelLoss]:
    """Negative cosine to the targets' vectors (Eq. 6), over the targets that count at each level."""
    losses = {}
    for level, profile in profiles.items():
        table = network.target_table(level)
        vectors = table(targets.codes(level), targets.categories[:, : len(table.n_ancestors)])
        wanted = targets.wanted(level, no_category)
        losses[level] = LevelLoss(cosine_proximity(profile.vector, vectors, wanted), int(wanted.sum()))
    return losses


def cosine_scores(network: Pyramid, profile: Tensor, level: str, own_codes: Tensor, own_categories: Tensor) -> Scores:
    """Cosine of profiles with the vectors of all known codes, and of the sessions' own unknown ones.

    Parameters
    ----------
    network : Pyramid
    profile : Tensor
        ``(B, d)``.
    level : str
    own_codes : Tensor
        ``(B, U)`` int64.
    own_categories : Tensor
        ``(B, U, K)`` int64, their paths.
    """
    table = network.target_table(level)
    unit = functional.normalize(profile, dim=1)
    with torch.no_grad():
        known = unit @ table.unit_vectors().t()
        own = table(own_codes, own_categories[..., : len(table.n_ancestors)])
        own_scores = (functional.normalize(own, dim=-1) @ unit.unsqueeze(-1)).squeeze(-1)
    return Scores(known, own_scores, own_codes)


def ask_cosine(
    vocabulary: Vocabulary,
    network: Pyramid,
    live: LiveProfiles,
    state: ProfileState,
    level: str,
    own: Sequence[OwnCandidate],
    now: float | None,
) -> LiveAnswer:
    """Answer for one live state; the reasons are the level's attention."""
    profile = live.profile(state, now, [level])[level]
    codes = torch.tensor([[candidate.code for candidate in own]], dtype=torch.long)
    paths = torch.tensor([[candidate.path for candidate in own]], dtype=torch.long)
    scores = cosine_scores(network, profile.vector, level, codes, paths.view(1, len(own), vocabulary.levels))
    visited = state.visited(network.layout[network.level_names.index(level)])
    return LiveAnswer(scores.known[0], scores.own[0], visited, profile.weights.tolist())
