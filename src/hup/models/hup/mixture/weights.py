"""How much the profile weighs beside what was counted, and a level beside the items: chosen on the validation split.

Training cannot tell: the profile has learned the training sessions themselves, while what a session has put into the
counts is taken away where it asks. So on training sessions the profile looks better than it is.

Targets that training never saw count where the session has been on them: with a short log these are most, and a
profile that knows the vocabulary alone takes from them.

The mean of what is tried is taken, weighed by its likelihood: many sessions tell one value from all others, few leave
it near the middle of those that are about as good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.dataset import Dataset
from hup.models.hup.mixture.agreement import Distribution, by_items, pooled
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.probabilities import Probabilities
from hup.sessions.batches import Histories, Targets, histories_and_targets
from hup.sessions.levels import ITEM, Level

#: What is tried of the shares of E and N, together at most 1, and of strength, all of them with all others.
DENSE = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 1.0)
SIMILAR = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
STRENGTHS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5)
#: What is tried of the trust in the items.
TRUSTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_MOST_SESSIONS = 2000
_AT_ONCE = 1 << 22  # probabilities of a block of sessions
_LEAST = 1e-12


def tune_weights(
    network: MixtureNetwork, ask: Callable[[Histories], Probabilities], dataset: Dataset, most_sessions: int | None
) -> None:
    """Give every level the weights at which the targets of validation sessions are likely.

    The profile comes first, then the trust in the items.

    Without a validation split they stay as they are.

    Parameters
    ----------
    network : MixtureNetwork
        Its ``weights`` are written.
    ask : callable
        Gives the network's answer to histories.
    dataset : Dataset
    most_sessions : int, optional
        Most sessions to choose by, evenly spaced; never more than 2,000.
    """
    sessions = np.asarray(dataset.sessions("validation"), dtype=np.int64)
    most = min(len(sessions), most_sessions or len(sessions), _MOST_SESSIONS)
    sessions = sessions[np.arange(most) * len(sessions) // max(most, 1)]
    if not len(sessions):
        return
    block = max(1, _AT_ONCE // network.co_visits[ITEM].size)
    blocks = [sessions[start : start + block] for start in range(0, len(sessions), block)]

    def summed(count: Callable[[Probabilities, Targets], NDArray[np.float64]]) -> NDArray[np.float64]:
        parts = []
        for some in blocks:
            histories, targets = histories_and_targets(dataset, some)
            with torch.inference_mode():
                parts.append(count(ask(histories), targets.to(network.weights.device)))
        total: NDArray[np.float64] = np.sum(parts, axis=0)
        return total

    if network.has_profile:
        for level, likelihoods in zip(network.ranked, summed(_of_pools), strict=True):
            dense, similar, strength = likely_mean(likelihoods, DENSE, SIMILAR, STRENGTHS)
            network.weigh(level, dense=dense, similar=similar, strength=strength)
    if len(network.ranked) > 1:  # without categories there is nothing that items could be trusted in
        for level, likelihoods in zip(network.ranked[1:], summed(_of_trusts), strict=True):
            network.weigh(level, trust=likely_mean(likelihoods, TRUSTS)[0])


def likely_mean(likelihoods: NDArray[np.float64], *tried: Sequence[float]) -> list[float]:
    """Give the mean of what was tried, one number for each axis, weighed by the exponential of ``likelihoods``."""
    weight = np.exp(likelihoods - likelihoods.max())
    weight /= weight.sum()
    axes = range(weight.ndim)
    return [float(weight.sum(axis=tuple({*axes} - {axis})) @ np.asarray(tried[axis])) for axis in axes]


def _of_pools(asked: Probabilities, targets: Targets) -> NDArray[np.float64]:
    """Sum the logarithms of the probability of targets by level, shares and strength."""
    network = asked.network
    ranked = network.ranked
    sums = np.zeros((len(ranked), len(DENSE), len(SIMILAR), len(STRENGTHS)))
    dense, similar = torch.meshgrid(torch.tensor(DENSE), torch.tensor(SIMILAR), indexing="ij")
    weights = torch.stack([(1 - dense - similar).clamp(min=0), dense, similar]).flatten(1).to(network.weights.device)
    impossible = (dense + similar > 1 + 1e-6).numpy()
    for place, level in enumerate(ranked):
        pool, (column, there) = asked.pool(level), _columns(targets, level, asked.counted(level))
        for number, strength in enumerate(STRENGTHS):
            of_target, of_all = pool.sums(strength, column)
            said = (of_target @ weights) / (of_all @ weights).clamp(min=1e-30)
            logarithms = torch.log(said.clamp(min=_LEAST))[there].double().sum(dim=0).view(dense.shape).cpu().numpy()
            sums[place, :, :, number] = np.where(impossible, -np.inf, logarithms)
        if level != ITEM or network.similar is None:
            sums[place, :, 1:] = -np.inf
    return sums


def _of_trusts(asked: Probabilities, targets: Targets) -> NDArray[np.float64]:
    """Sum the logarithms of the probability of targets by category level and trust."""
    alone, parents = asked.alone, asked.network.parents()
    sums = np.zeros((len(alone) - 1, len(TRUSTS)))
    for place, (level, said) in enumerate(by_items(alone, parents).items()):
        for number, trust in enumerate(TRUSTS):
            both, there = pooled(alone[level], said, trust).of_codes(targets.codes(level))
            sums[place, number] = float(torch.log(both.clamp(min=_LEAST))[there].double().sum())
    return sums


def _columns(targets: Targets, level: Level, said: Distribution) -> tuple[Tensor, Tensor]:
    """Find the targets among the vocabulary and what the sessions have beyond it.

    Returns
    -------
    column, there : Tensor
        ``(Q,)``, place in a :class:`~hup.nn.pooling.Pool`; 0 where there is none.
    """
    code, n_known = targets.codes(level), said.known.shape[1]
    known = (code >= 0) & (code < n_known)
    column, there = torch.where(known, code, 0), known.clone()
    own = (said.code == code.index_select(0, said.query)).nonzero().squeeze(1)
    query = said.query[own]
    column[query] = n_known + said.own_column[own]
    there[query] = True
    return column, there
