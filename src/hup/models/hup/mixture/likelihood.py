"""How likely a mixture finds what came next, at every run of training sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.config import Config
from hup.models.hup.mixture.network import Answer, MixtureNetwork
from hup.models.hup.mixture.own_counts import OwnCounts, OwnRuns
from hup.models.hup.mixture.visits import RunTable, joined, last_runs, run_table, visits_of
from hup.nn.mixture import Mixture, log_popularity
from hup.nn.ragged import segment_sum
from hup.sessions.batches import Histories, Targets, forget_items
from hup.sessions.levels import ITEM, Buckets, Level, pyramid_steps
from hup.training.trained import LevelLoss

_LEAST = 1e-12  # likelihood of what no part of the mixture knows; such a target does not count


def mixture_losses(
    network: MixtureNetwork, config: Config, buckets: Buckets, histories: Histories, targets: Targets
) -> dict[Level, LevelLoss]:
    """Negative log-likelihood at the end of every session and at every run before it.

    What a session has itself put into the counts, of neighbours and of popularity, is taken away, or they would know
    the answer. A code that then nobody has been on is *unseen*.
    """
    table = run_table(histories, network.n_behaviors)
    steps = pyramid_steps(histories, buckets, torch.from_numpy(last_events(table)))
    read = forget_items(histories, config.embeddings.item_dropout)
    closed = network.pyramid.fold(read, steps)
    opened = network.pyramid.run_open(read, steps, closed)
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    is_last = torch.zeros(len(table.item), dtype=torch.bool)
    is_last[last_runs(table)] = True
    share = config.loss.prefixes
    losses: dict[Level, LevelLoss] = {}
    of_classes = None
    for level in network.ranked[::-1]:
        own = OwnCounts.of(
            network.co_visits[level], network.mixture(level).counts.numpy(), whole.codes(level), whole.offsets
        )
        answer = network.answer(level, table, visits_of(table, level), closed, opened, own.co_visits)
        asked = Followed.of(table, whole, level)
        named, unseen = mixture_likelihood(network, level, answer, asked, own, of_classes, config.mixture.negatives)
        if level == network.ranked[1]:
            of_classes = named.detach()
        likelihood = named + unseen
        counts = likelihood > 0
        logarithm = torch.log(likelihood.clamp(min=_LEAST))
        at_end, anywhere = counts & is_last, counts
        value = -(1 - share) * _mean(logarithm, at_end) - share * _mean(logarithm, anywhere)
        losses[level] = LevelLoss(value, int(at_end.sum()))
    return {level: losses[level] for level in network.ranked}


@dataclass(frozen=True)
class Followed:
    """What followed every query, one at each run of a table.

    Attributes
    ----------
    code : ndarray
        ``(Q,)`` int64, code of the run after the query's.
    current : ndarray
        ``(Q,)`` int64, item of the query's own run.
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
        return cls(whole.codes(level)[place], table.item, table.session)


def mixture_likelihood(
    network: MixtureNetwork,
    level: Level,
    answer: Answer,
    asked: Followed,
    own: OwnCounts,
    of_classes: Tensor | None,
    negatives: int,
) -> tuple[Tensor, Tensor]:
    """Probability of what followed every query.

    Parameters
    ----------
    network : MixtureNetwork
    level : Level
    answer : Answer
        Of the level, at every query.
    asked : Followed
    own : OwnCounts
        What the sessions of the queries have put into the counts of the level.
    of_classes : Tensor or None
        ``(Q,)``, for the item level: probability of the category of what followed.
    negatives : int
        Items that are drawn of a category that has more.

    Returns
    -------
    named : Tensor
        ``(Q,)``, of that very code; 0 where no part knows it.
    unseen : Tensor
        ``(Q,)``, where neither the session nor another one has been on it: of something unseen; else 0.
    """
    visits, mixed, n_queries = answer.visits, answer.mixed, len(asked.code)
    query, wanted = torch.from_numpy(visits.query), asked.code[visits.query]
    hits = torch.from_numpy(visits.code == wanted)
    repeat = segment_sum(mixed.repeat * hits, query, n_queries)
    counted = network.co_visits[level].looked_up(visits.code, wanted)
    counted = counted - own.co_visits.of_pairs(asked.session[visits.query], visits.code, wanted)
    share = np.divide(np.maximum(counted, 0), answer.support, out=np.zeros_like(counted), where=answer.support > 0)
    memory = segment_sum((mixed.memory * torch.from_numpy(share.astype(np.float32))).sum(dim=1), query, n_queries)
    if level.is_category:
        explore = _among_all(network, level, mixed.preference, asked, own.runs)
    else:
        assert of_classes is not None
        explore = _in_class(network, mixed.preference, asked, own.runs, negatives) * of_classes
    known = torch.from_numpy(own.runs.known_without(asked.session, asked.code))
    parts = torch.stack([repeat, memory, explore * known], dim=1)
    met = segment_sum(hits.float(), query, n_queries) > 0
    unseen = mixed.weights[:, 3] * (~known & ~met & torch.from_numpy(asked.code >= 0))
    return (mixed.weights[:, :3] * parts).sum(dim=1), unseen


def _among_all(network: MixtureNetwork, level: Level, preference: Tensor, asked: Followed, own: OwnRuns) -> Tensor:
    """Probability that explore gives each target among all categories of a level, ``(Q,)``."""
    mixture = network.mixture(level)
    target = _known_targets(asked, len(mixture.counts))
    logits = mixture.logits(preference, network.vectors(level))
    row, code, left = _tensors(*own.of_queries(asked.session))
    logits = _without_own(logits, row, code, mixture.counts[code], left, target)
    return torch.log_softmax(logits, dim=1).gather(1, target.unsqueeze(1)).squeeze(1).exp()


def _in_class(network: MixtureNetwork, preference: Tensor, asked: Followed, own: OwnRuns, negatives: int) -> Tensor:
    """Probability that explore gives each target among the items of its category, the current one left out, ``(Q,)``.

    Of a large category as many items are drawn as ``negatives``, by popularity and with its correction.
    """
    mixture, vectors = network.mixture(ITEM), network.vectors(ITEM)
    target, current = _known_targets(asked, len(mixture.counts)), torch.from_numpy(asked.current)
    out = preference.new_zeros(len(target))
    place = network.classes[target]
    mine, codes, left = _tensors(*own.of_queries(asked.session))
    of_class = place[mine]
    same = network.classes[codes] == of_class
    mine, codes, left, of_class = mine[same], codes[same], left[same], of_class[same]
    for number in torch.unique(place).tolist():
        rows = (place == number).nonzero().squeeze(1)
        members = network.members[number]
        wanted = target[rows]
        prior = None
        if len(members) > negatives:
            members, prior = _drawn(mixture, negatives, members, wanted)
        logits = mixture.logits(preference[rows], vectors[members], members)
        if prior is not None:
            logits = logits - prior
        column = torch.searchsorted(members, wanted)
        is_current = members.unsqueeze(0) == current[rows].unsqueeze(1)
        logits = logits.masked_fill(is_current, -torch.inf)
        here = of_class == number
        if prior is not None:  # not all of the category is there
            here &= torch.isin(codes, members)
        row, code = torch.searchsorted(rows, mine[here]), codes[here]
        there = torch.searchsorted(members, code)
        logits = _without_own(logits, row, there, mixture.counts[code], left[here], column)
        chosen = functional.log_softmax(logits, dim=1).gather(1, column.unsqueeze(1)).squeeze(1)
        out = out.index_add(0, rows, chosen)
    return torch.exp(out)


def _known_targets(asked: Followed, size: int) -> Tensor:
    """Give the codes that followed, ``(Q,)``; 0 for what training did not have, of which nobody asks for the answer."""
    return torch.from_numpy(np.where((asked.code >= 0) & (asked.code < size), asked.code, 0))


def _without_own(logits: Tensor, row: Tensor, column: Tensor, counts: Tensor, left: Tensor, target: Tensor) -> Tensor:
    """Take what the asking sessions have put into popularity out of logits ``(Q, n)``.

    A target never leaves its row, so that a row is never empty; who asks knows whether it counts.
    """
    change = log_popularity(left) - log_popularity(counts)
    logits = logits.index_put((row, column), change, accumulate=True)
    rows = torch.arange(len(logits))
    return logits.index_put((rows, target), torch.nan_to_num(logits[rows, target], neginf=0.0))


def _tensors(row: NDArray[np.int64], code: NDArray[np.int64], left: NDArray[np.float64]) -> tuple[Tensor, ...]:
    return torch.from_numpy(row), torch.from_numpy(code), torch.from_numpy(left.astype(np.float32))


def _drawn(mixture: Mixture, most: int, members: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Draw members with replacement by popularity, the targets among them; and their log-expectations."""
    share = torch.softmax(log_popularity(mixture.counts[members]), dim=0)
    drawn = members[torch.multinomial(share, most, replacement=True)]
    chosen = torch.unique(torch.cat([drawn, wanted]))
    place = torch.searchsorted(members, chosen)
    inclusion = -torch.expm1(most * torch.log1p(-share[place].clamp(max=1 - 1e-6)))
    return chosen, torch.log(inclusion.clamp(min=1e-12))


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return (values * counted).sum() / counted.sum().clamp(min=1)


def last_events(table: RunTable) -> NDArray[np.int64]:
    """Last event of every run, ``(R,)``."""
    return np.cumsum(table.events.astype(np.int64)) - 1
