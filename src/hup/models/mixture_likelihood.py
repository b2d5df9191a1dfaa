"""How likely a mixture finds what came next, at every run of training sessions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hup.data.batches import Histories, Targets
from hup.data.levels import Buckets, pyramid_steps
from hup.data.visits import RunTable, joined, last_runs, run_table, visits_of
from hup.models.mixture_output import Answer, MixtureNetwork, MixtureOutput
from hup.models.trained import LevelLoss
from hup.nn.mixture import Mixture
from hup.nn.ragged import segment_sum
from hup.retrieval.co_visits import OwnCounts

_LEAST = 1e-12  # likelihood of what no part of the mixture knows; such a target does not count


def mixture_losses(
    output: MixtureOutput, network: MixtureNetwork, histories: Histories, targets: Targets, buckets: Buckets
) -> dict[str, LevelLoss]:
    """Negative log-likelihood at the end of every session and at every run before it.

    What a session has itself put into the counts of neighbours is taken away, or the memory would know the answer.
    """
    table = run_table(histories, len(output.vocabulary.behaviors))
    runs = torch.from_numpy(last_events(table))
    steps = pyramid_steps(histories, buckets, runs)
    closed = network.pyramid.fold(histories, steps)
    opened = network.pyramid.run_open(histories, steps, closed)
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    is_last = torch.zeros(len(table.item), dtype=torch.bool)
    is_last[last_runs(table)] = True
    share = output.config.loss.prefixes
    losses: dict[str, LevelLoss] = {}
    classes = None
    for level in output.levels[::-1]:
        visits = visits_of(table, level)
        own = OwnCounts.of(output.co_visits[level], whole.codes(level), whole.offsets)
        answer = output.answer(network, level, table, visits, closed, opened, own)
        following = following_codes(table, whole, level)
        likelihood = mixture_likelihood(output, network, level, table, answer, own, following, classes)
        if level == output.levels[1]:
            classes = likelihood.detach()
        counts = likelihood > 0
        logarithm = torch.log(likelihood.clamp(min=_LEAST))
        at_end, anywhere = counts & is_last, counts
        value = -(1 - share) * _mean(logarithm, at_end) - share * _mean(logarithm, anywhere)
        losses[level] = LevelLoss(value, int(at_end.sum()))
    return {level: losses[level] for level in output.levels}


def mixture_likelihood(
    output: MixtureOutput,
    network: MixtureNetwork,
    level: str,
    table: RunTable,
    answer: Answer,
    own: OwnCounts,
    following: NDArray[np.int64],
    classes: Tensor | None,
) -> Tensor:
    """Probability of what followed every query, ``(Q,)``; 0 where no part knows it."""
    visits, mixed, counted = answer.visits, answer.mixed, output.co_visits[level]
    query, n_queries = torch.from_numpy(visits.query), len(following)
    wanted = following[visits.query]
    hits = torch.from_numpy(visits.code == wanted)
    repeat = segment_sum(mixed.repeat * hits, query, n_queries)
    session = table.session[visits.run]
    found = counted.looked_up(visits.code, wanted) - own.of_pairs(session, visits.code, wanted)
    share = np.divide(np.maximum(found, 0), answer.support, out=np.zeros_like(found), where=answer.support > 0)
    memory = segment_sum((mixed.memory * torch.from_numpy(share.astype(np.float32))).sum(dim=1), query, n_queries)
    known = torch.from_numpy((following >= 0) & (following < counted.size))
    target = torch.from_numpy(np.where(known.numpy(), following, 0))
    mixture, vectors = network.mixture(level), network.pyramid.target_table(level).weight
    if level == "item":
        assert classes is not None
        current = torch.from_numpy(table.item[visits.query_run])
        explore = torch.exp(_in_class(output, mixture, vectors, mixed.preference, target, current)) * classes
    else:
        logits = mixture.logits(mixed.preference, vectors)
        explore = torch.softmax(logits, dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
    parts = torch.stack([repeat, memory, explore * known], dim=1)
    return (mixed.weights * parts).sum(dim=1)


def _in_class(
    output: MixtureOutput, mixture: Mixture, vectors: Tensor, preference: Tensor, target: Tensor, current: Tensor
) -> Tensor:
    """Log-probability of each target among the items of its category, the current one left out, ``(Q,)``.

    Of a large category as many items are drawn as ``mixture.negatives``, by popularity and with its correction.
    """
    out = preference.new_zeros(len(target))
    place, most = output.classes[target], output.config.mixture.negatives
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
        here = members.unsqueeze(0) == current[rows].unsqueeze(1)
        # A target is never the current item; where a log says so, it stays.
        here[torch.arange(len(rows)), column] = False
        logits = logits.masked_fill(here, -torch.inf)
        chosen = functional.log_softmax(logits, dim=1).gather(1, column.unsqueeze(1)).squeeze(1)
        out = out.index_add(0, rows, chosen)
    return out


def _drawn(mixture: Mixture, most: int, members: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Draw members with replacement by popularity, the targets among them; and their log-expectations."""
    share = torch.softmax(mixture.popularity[members], dim=0)
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
