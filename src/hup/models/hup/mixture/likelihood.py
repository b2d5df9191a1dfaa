"""How likely what came next is, at every run of training sessions: by what was counted, and by the profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.config import Config
from hup.models.hup.mixture.answer import Answer
from hup.models.hup.mixture.dense import dense_log_likelihood
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.own_counts import OwnCounts, OwnRuns
from hup.models.hup.mixture.visits import RunTable, joined, last_events, last_runs, run_table, spread
from hup.nn.devices import placed
from hup.nn.mixture import popularity_mass
from hup.nn.ragged import segment_sum
from hup.sessions.batches import Histories, Targets, forget_items
from hup.sessions.levels import ITEM, MICRO, Buckets, Level, pyramid_steps
from hup.training.trained import LevelLoss, Mean

_LEAST = 1e-12  # likelihood of what no part of the mixture knows; such a target does not count


def mixture_losses(
    network: MixtureNetwork, config: Config, buckets: Buckets, histories: Histories, targets: Targets
) -> dict[Level, LevelLoss]:
    """Negative log-likelihood at the end of every session and at every run before it: what was counted, and profiles.

    The two learn apart from each other; the micro level learns what item comes next, at the ends alone. What a session
    has itself put into the counts, of neighbours and of popularity, is taken away, or they would know the answer. A
    code that then nobody has been on is *unseen*.
    """
    table = run_table(histories, network.n_behaviors)
    queries = spread(table.offsets, config.loss.most_prefixes)
    wide = network.with_earlier(table, histories)
    wide_queries = np.flatnonzero(wide.is_now)[queries]
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    at_end = np.isin(queries, last_runs(table))
    is_last = placed(at_end, network.weights)
    profiles = _profiles(network, config, buckets, histories, last_events(table)[queries])
    losses: dict[Level, LevelLoss] = {}
    for level in network.ranked:
        own = OwnCounts.of(
            network.co_visits[level], network.mixture(level).counts.cpu().numpy(), whole.codes(level), whole.offsets
        )
        asked = Followed.of(table, whole, level).at(queries)
        answer = network.answer(level, wide, network.visits(wide, level, wide_queries), own.co_visits)
        named, unseen = mixture_likelihood(network, level, answer, asked, own)
        likelihood = named + unseen
        counts = likelihood > 0
        means: tuple[Mean, ...] = _means(torch.log(likelihood.clamp(min=_LEAST)), counts, is_last, config.loss.prefixes)
        if profiles is not None:
            logarithm, known = profile_likelihood(
                network, level, profiles[level], asked, own.runs, config.mixture.negatives
            )
            means += _means(logarithm, known, is_last, config.loss.prefixes)
        losses[level] = LevelLoss(means)
        if level == ITEM and profiles is not None and config.loss.lambda_micro:
            ends = asked.at(np.flatnonzero(at_end))
            logarithm, known = profile_likelihood(
                network, ITEM, profiles[MICRO][is_last], ends, own.runs, config.mixture.negatives
            )
            losses[MICRO] = LevelLoss((_mean(logarithm, known, 1.0),))
    return losses


def _profiles(
    network: MixtureNetwork, config: Config, buckets: Buckets, histories: Histories, events: NDArray[np.int64]
) -> Mapping[str, Tensor] | None:
    """Profile vectors at some events, ``(Q, d)`` by level."""
    if not network.has_profile:
        return None
    read = forget_items(histories, config.embeddings.item_dropout)
    steps = pyramid_steps(histories, buckets, torch.from_numpy(events))
    wanted = [*network.ranked, MICRO] if config.loss.lambda_micro else network.ranked
    profiles = network.pyramid(read, steps, wanted)
    return {level: profile.vector for level, profile in profiles.items()}


def _means(logarithm: Tensor, counted: Tensor, is_last: Tensor, prefixes: float) -> tuple[Mean, Mean]:
    """Negative log-likelihood: over sessions' ends and, for a share, over all runs that count."""
    return _mean(logarithm, counted & is_last, 1 - prefixes), _mean(logarithm, counted, prefixes)


@dataclass(frozen=True)
class Followed:
    """What followed every query, one at each run of a table.

    Attributes
    ----------
    code : ndarray
        ``(Q,)`` int64, code of the run after the query's.
    current : ndarray
        ``(Q,)`` int64, item of the query's own run, which cannot be the next one; -1 at category levels.
    session : ndarray
        ``(Q,)`` int64, row of the query's session.
    """

    code: NDArray[np.int64]
    current: NDArray[np.int64]
    session: NDArray[np.int64]

    @classmethod
    def of(cls, table: RunTable, whole: RunTable, level: Level) -> Followed:
        """Look up the run after each one; ``whole`` has the target's run, too."""
        place = np.arange(len(table.item)) + table.session + 1
        current = np.full(len(table.item), -1) if level.is_category else table.item
        return cls(whole.codes(level)[place], current, table.session)

    def at(self, queries: NDArray[np.int64]) -> Followed:
        """Give those of some queries."""
        return Followed(self.code[queries], self.current[queries], self.session[queries])


def mixture_likelihood(
    network: MixtureNetwork, level: Level, answer: Answer, asked: Followed, own: OwnCounts
) -> tuple[Tensor, Tensor]:
    """Probability of what followed every query, by what was counted.

    Parameters
    ----------
    network : MixtureNetwork
    level : Level
    answer : Answer
        Of the level, at every query.
    asked : Followed
    own : OwnCounts
        What the sessions of the queries have put into the counts of the level.

    Returns
    -------
    named : Tensor
        ``(Q,)``, of that very code; 0 where no part knows it.
    unseen : Tensor
        ``(Q,)``, where neither the session nor another one has been on it: of something unseen; else 0.
    """
    visits, mixed, n_queries = answer.visits, answer.mixed, len(asked.code)
    query, wanted = placed(visits.query, network.weights), asked.code[visits.query]
    hits = placed(visits.code == wanted, network.weights)
    repeat = segment_sum(mixed.repeat * hits, query, n_queries)
    counted = network.co_visits[level].looked_up(visits.code, wanted)
    counted = counted - own.co_visits.of_pairs(asked.session[visits.query], visits.code, wanted)
    share = np.divide(np.maximum(counted, 0), answer.support, out=np.zeros_like(counted), where=answer.support > 0)
    memory = segment_sum(
        (mixed.memory * placed(share.astype(np.float32), network.weights)).sum(dim=1), query, n_queries
    )
    left = own.runs.left(asked.session, asked.code)
    explore = placed(popular_share(own.runs, asked, left).astype(np.float32), network.weights)
    parts = torch.stack([repeat, memory, explore], dim=1)
    met = segment_sum(hits.float(), query, n_queries) > 0
    unseen = mixed.weights[:, 3] * (placed((left <= 0) & (asked.code >= 0), network.weights) & ~met)
    return (mixed.weights[:, :3] * parts).sum(dim=1), unseen


def popular_share(own: OwnRuns, asked: Followed, left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of popularity that each target has, ``(Q,)``, without what the asking sessions have put in.

    Parameters
    ----------
    own : OwnRuns
    asked : Followed
    left : ndarray
        ``(Q,)``, runs of other sessions on the targets.
    """
    session, code, others = own.of_sessions()
    put_in = _mass(own.counts[code]) - _mass(others)
    n_sessions = len(own.offsets) - 1
    total = _mass(own.counts).sum() - np.bincount(session, put_in, minlength=n_sessions)
    total = total[asked.session] - _mass(own.left(asked.session, asked.current))
    share: NDArray[np.float64] = np.divide(_mass(left), total, out=np.zeros(len(left)), where=total > 1e-9)
    return share


def _mass(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    mass: NDArray[np.float64] = popularity_mass(torch.from_numpy(counts.astype(np.float64))).numpy()
    return mass


def profile_likelihood(
    network: MixtureNetwork, level: Level, profile: Tensor, asked: Followed, own: OwnRuns, negatives: int
) -> tuple[Tensor, Tensor]:
    """Logarithm of the probability of what followed every query, by its profile.

    Returns
    -------
    logarithm : Tensor
        ``(Q,)``.
    known : Tensor
        ``(Q,)`` bool, whether other sessions have been on the target; else its logarithm says nothing.
    """
    known = placed(own.left(asked.session, asked.code) > 0, profile)
    target = torch.where(known, placed(asked.code, profile), 0)
    current = torch.where(known, placed(asked.current, profile), -1)
    logarithm = dense_log_likelihood(network, level, profile, target, current, asked.session, own, negatives)
    return torch.where(known, logarithm, 0), known


def _mean(logarithm: Tensor, counted: Tensor, weight: float) -> Mean:
    count = int(counted.sum())
    return Mean(-(logarithm * counted).sum() / max(count, 1), count, weight)
