"""How much the profile weighs beside what was counted: chosen on the validation split, as training cannot tell.

The profile has learned the training sessions themselves, while what a session has put into the counts is taken away
where it asks. So on training sessions the profile looks better than it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.probabilities import Probabilities
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.levels import ITEM

#: What is tried, all pairs; of pairs that are equally good the first.
SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
STRENGTHS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5)
_MOST_SESSIONS = 2000
_AT_ONCE = 1 << 22  # probabilities of a block of sessions
_LEAST = 1e-12


def tune_weights(
    network: MixtureNetwork, ask: Callable[[Histories], Probabilities], dataset: Dataset, most_sessions: int | None
) -> None:
    """Give every level the share and strength at which the targets of validation sessions are likeliest.

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
    total = np.zeros((len(network.ranked), len(SHARES), len(STRENGTHS)))
    block = max(1, _AT_ONCE // network.co_visits[ITEM].size)
    for start in range(0, len(sessions), block):
        total += _log_likelihoods(network, ask, dataset, sessions[start : start + block])
    for place, of_level in enumerate(total):
        share, strength = np.unravel_index(int(of_level.argmax()), of_level.shape)
        network.weights.data[place] = torch.tensor([SHARES[share], STRENGTHS[strength]])


def _log_likelihoods(
    network: MixtureNetwork, ask: Callable[[Histories], Probabilities], dataset: Dataset, sessions: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum the logarithms of the probability of known targets by level, share and strength."""
    histories, targets = histories_and_targets(dataset, sessions)
    asked = ask(histories)
    sums = np.zeros((len(network.ranked), len(SHARES), len(STRENGTHS)))
    shares = torch.tensor(SHARES)
    weights = torch.stack([1 - shares, shares])
    with torch.inference_mode():
        for place, level in enumerate(network.ranked):
            counted = asked.counted(level)
            code, pool = targets.codes(level), asked.pool(level, counted)
            known = (code >= 0) & (code < counted.known.shape[1])
            for number, strength in enumerate(STRENGTHS):
                of_target, of_all = pool.sums(strength, torch.where(known, code, 0))
                said = (of_target @ weights) / (of_all @ weights).clamp(min=1e-30)
                sums[place, :, number] = torch.log(said.clamp(min=_LEAST))[known].double().sum(dim=0).numpy()
    return sums
