"""How likely a mixture finds what came next, at every run of training sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.models.hup.mixture.co_visits import OwnCounts
from hup.models.hup.mixture.output import Answer, MixtureNetwork, MixtureOutput
from hup.models.hup.mixture.own_visits import OwnVisits
from hup.models.hup.mixture.visits import RunTable, joined, last_runs, run_table, visits_of
from hup.nn.mixture import Mixture, log_popularity
from hup.nn.ragged import segment_sum
from hup.sessions.batches import Histories, Targets, forget_items
from hup.sessions.steps import Buckets, pyramid_steps
from hup.training.trained import LevelLoss

_LEAST = 1e-12  # likelihood of what no part of the mixture knows; such a target does not count


def mixture_losses(
    output: MixtureOutput, network: MixtureNetwork, histories: Histories, targets: Targets, buckets: Buckets
) -> dict[str, LevelLoss]:
    """Negative log-likelihood at the end of every session and at every run before it.

    What a session has itself put into the counts, of neighbours and of popularity, is taken away, or they would know
    the answer. A code that then nobody has been on is *unseen*.
    """
    table = run_table(histories, len(output.vocabulary.behaviors))
    runs = torch.from_numpy(last_events(table))
    steps = pyramid_steps(histories, buckets, runs)
    read = forget_items(histories, output.config.embeddings.item_dropout)
    closed = network.pyramid.fold(read, steps)
    opened = network.pyramid.run_open(read, steps, closed)
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    is_last = torch.zeros(len(table.item), dtype=torch.bool)
    is_last[last_runs(table)] = True
    share = output.config.loss.prefixes
    losses: dict[str, LevelLoss] = {}
    classes = None
    for level in output.levels[::-1]:
        visits = visits_of(table, level)
        own = Own.of(output, network, level, whole)
        answer = output.answer(network, level, table, visits, closed, opened, own.counts)
        following = following_codes(table, whole, level)
        likelihood, unseen = mixture_likelihood(output, network, level, table, answer, own, following, classes)
        if level == output.levels[1]:
            classes = likelihood.detach()
        likelihood = likelihood + unseen
        counts = likelihood > 0
        logarithm = torch.log(likelihood.clamp(min=_LEAST))
        at_end, anywhere = counts & is_last, counts
        value = -(1 - share) * _mean(logarithm, at_end) - share * _mean(logarithm, anywhere)
        losses[level] = LevelLoss(value, int(at_end.sum()))
    return {level: losses[level] for level in output.levels}


@dataclass(frozen=True)
class Own:
    """What the sessions of a batch have themselves put into the counts of a level."""

    counts: OwnCounts
    visits: OwnVisits

    @classmethod
    def of(cls, output: MixtureOutput, network: MixtureNetwork, level: str, whole: RunTable) -> Own:
        """Count whole sessions, the target's run among them."""
        codes, popularity = whole.codes(level), network.mixture(level).counts.numpy()
        return cls(
            OwnCounts.of(output.co_visits[level], codes, whole.offsets), OwnVisits.of(popularity, codes, whole.offsets)
        )


def mixture_likelihood(
    output: MixtureOutput,
    network: MixtureNetwork,
    level: str,
    table: RunTable,
    answer: Answer,
    own: Own,
    following: NDArray[np.int64],
    classes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Probability of what followed every query.

    Returns
    -------
    named : Tensor
        ``(Q,)``, of that very code; 0 where no part knows it.
    unseen : Tensor
        ``(Q,)``, where neither the session nor another one has been on it: of something unseen; else 0.
    """
    visits, mixed, counted = answer.visits, answer.mixed, output.co_visits[level]
    query, n_queries = torch.from_numpy(visits.query), len(following)
    wanted = following[visits.query]
    hits = torch.from_numpy(visits.code == wanted)
    repeat = segment_sum(mixed.repeat * hits, query, n_queries)
    found = counted.looked_up(visits.code, wanted) - own.counts.of_pairs(table.session[visits.run], visits.code, wanted)
    share = np.divide(np.maximum(found, 0), answer.support, out=np.zeros_like(found), where=answer.support > 0)
    memory = segment_sum((mixed.memory * torch.from_numpy(share.astype(np.float32))).sum(dim=1), query, n_queries)
    session = table.session[visits.query_run]
    known = torch.from_numpy(own.visits.known_without(session, following))
    target = torch.from_numpy(np.where((following >= 0) & (following < counted.size), following, 0))
    mixture, vectors = network.mixture(level), network.pyramid.target_table(level).weight
    if level == "item":
        assert classes is not None
        asked = _Asked(target, torch.from_numpy(table.item[visits.query_run]), session)
        explore = torch.exp(_in_class(output, mixture, vectors, mixed.preference, asked, own.visits)) * classes
    else:
        logits = mixture.logits(mixed.preference, vectors)
        row, code, left = _tensors(*own.visits.of_queries(session))
        logits = _without_own(logits, row, code, mixture.counts[code], left, target)
        explore = torch.log_softmax(logits, dim=1).gather(1, target.unsqueeze(1)).squeeze(1).exp()
    parts = torch.stack([repeat, memory, explore * known], dim=1)
    met = segment_sum(hits.float(), query, n_queries) > 0
    unseen = mixed.weights[:, 3] * (~known & ~met & torch.from_numpy(following >= 0))
    return (mixed.weights[:, :3] * parts).sum(dim=1), unseen


@dataclass(frozen=True)
class _Asked:
    """Targets and current items of queries, ``(Q,)`` each, and the rows of their sessions."""

    target: Tensor
    current: Tensor
    session: NDArray[np.int64]


def _in_class(
    output: MixtureOutput, mixture: Mixture, vectors: Tensor, preference: Tensor, asked: _Asked, own: OwnVisits
) -> Tensor:
    """Log-probability of each target among the items of its category, the current one left out, ``(Q,)``.

    Of a large category as many items are drawn as ``mixture.negatives``, by popularity and with its correction.
    """
    target = asked.target
    out = preference.new_zeros(len(target))
    place, most = output.classes[target], output.config.mixture.negatives
    mine, codes, left = _tensors(*own.of_queries(asked.session))
    of_class = place[mine]
    same = output.classes[codes] == of_class
    mine, codes, left, of_class = mine[same], codes[same], left[same], of_class[same]
    for number in torch.unique(place).tolist():
        rows = (place == number).nonzero().squeeze(1)
        members = output.members[number]
        wanted = target[rows]
        prior = None
        if len(members) > most:
            members, prior = _drawn(mixture, most, members, wanted)
        logits = mixture.logits(preference[rows], vectors[members], members)
        if prior is not None:
            logits = logits - prior
        column = torch.searchsorted(members, wanted)
        is_current = members.unsqueeze(0) == asked.current[rows].unsqueeze(1)
        logits = logits.masked_fill(is_current, -torch.inf)
        here = of_class == number
        if prior is not None:  # not all of the category is there
            here &= torch.isin(codes, members)
        row, code = torch.searchsorted(rows, mine[here]), codes[here]
        there = torch.searchsorted(members, code)
        logits = _without_own(logits, row, there, mixture.counts[code], left[here], column)
        chosen = functional.log_softmax(logits, dim=1).gather(1, column.unsqueeze(1)).squeeze(1)
        out = out.index_add(0, rows, chosen)
    return out


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


def following_codes(table: RunTable, whole: RunTable, level: str) -> NDArray[np.int64]:
    """Code of the run after each one, ``(R,)``; ``whole`` has the target's run, too."""
    place = np.arange(len(table.item)) + table.session + 1
    codes: NDArray[np.int64] = whole.codes(level)[place]
    return codes
