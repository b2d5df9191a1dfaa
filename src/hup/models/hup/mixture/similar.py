"""What followed the most similar profiles: a softmax over all profiles that training sessions have had.

The softmax over item vectors must press everything that it knows into one vector for each item. Profiles that are kept
remember single sessions: where a user's profile is near those of others, what they did next is likely, however rare it
is (Khandelwal et al. 2020 do so with texts).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hup.data.dataset import Dataset
from hup.models.hup.mixture.visits import last_events, run_table, spread
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.levels import ITEM
from hup.sessions.runs import training_runs

TEMPERATURE = 0.05  # of cosines; chosen on the validation split of Wikispeedia, and as good on the others
_COSINES_PER_BLOCK = 1 << 24  # queries times kept profiles that are in memory at once
_SESSIONS_AT_ONCE = 256

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """Runs of training sessions at whose ends the profiles are kept, sorted by the item that followed.

    Attributes
    ----------
    sessions : ndarray
        ``(S,)`` int64, the newest of the training split that are kept whole.
    order : ndarray
        ``(N,)`` int64, place of every kept run among those of the sessions, one session after the other.
    following : ndarray
        ``(N,)`` int64, code of the item that followed.
    """

    sessions: Ints
    order: Ints
    following: Ints

    @classmethod
    def of(cls, dataset: Dataset, most: int, most_prefixes: int) -> Self:
        """Choose the runs.

        Parameters
        ----------
        dataset : Dataset
        most : int
            Most runs; sessions are kept whole, the newest one always.
        most_prefixes : int
            Of a longer session so many runs are kept, as in training.
        """
        items, offsets = training_runs(dataset, ITEM)
        lengths = np.diff(offsets) - 1  # the last one is the target's
        newest = np.cumsum(np.minimum(lengths, most_prefixes)[::-1])
        n_kept = min(max(int(np.searchsorted(newest, most, side="right")), 1), len(lengths))
        first = len(lengths) - n_kept
        runs = _runs_kept(lengths[first:], most_prefixes)
        place = runs + np.repeat(np.arange(n_kept), lengths[first:])[runs]
        following = items[offsets[first] :][place + 1]
        order = np.argsort(following, kind="stable")
        sessions = np.asarray(dataset.sessions("train"), dtype=np.int64)
        return cls(sessions[first:], order, following[order])


def _runs_kept(lengths: Ints, most_prefixes: int) -> Ints:
    return spread(np.concatenate([[0], np.cumsum(lengths)]), most_prefixes)


class SimilarProfiles(nn.Module):
    """Profiles of training sessions, with the items that followed.

    Parameters
    ----------
    following : Tensor
        ``(N,)`` int64 codes, ascending.
    size : int
        Size d of a profile.

    Attributes
    ----------
    kept : Tensor
        ``(N, d)``, profiles of length 1; 0 before :meth:`keep`.
    """

    kept: Tensor
    codes: Tensor

    def __init__(self, following: Tensor, size: int) -> None:
        super().__init__()
        codes, counts = torch.unique_consecutive(following, return_counts=True)
        self.register_buffer("kept", torch.zeros(len(following), size))
        self.register_buffer("codes", codes, persistent=False)
        self._starts = (counts.cumsum(0) - counts).numpy()

    def keep(
        self, dataset: Dataset, kept: Kept, n_behaviors: int, most_prefixes: int, profiles: Callable[..., Tensor]
    ) -> None:
        """Keep the profiles that the sessions have now.

        Parameters
        ----------
        dataset : Dataset
        kept : Kept
            Of the dataset, as :attr:`kept` is of ``following``.
        n_behaviors, most_prefixes : int
        profiles : callable
            Takes histories and events of them, ``(Q,)`` int64, and gives the profiles at these, ``(Q, d)``.
        """
        made = []
        for start in range(0, len(kept.sessions), _SESSIONS_AT_ONCE):
            histories, _ = histories_and_targets(dataset, kept.sessions[start : start + _SESSIONS_AT_ONCE])
            made.append(functional.normalize(profiles(histories, _events_kept(histories, n_behaviors, most_prefixes))))
        self.kept.copy_(torch.cat(made)[torch.from_numpy(kept.order)])

    def followed(self, profiles: Tensor, current: Tensor, size: int) -> Tensor:
        """Tell what is likely to follow profiles.

        Parameters
        ----------
        profiles : Tensor
            ``(Q, d)``.
        current : Tensor
            ``(Q,)`` items that the users are on; they do not follow.
        size : int
            Known items, n.

        Returns
        -------
        Tensor
            ``(Q, n)``, rows that sum to 1, or to 0 where nothing else has followed anything.
        """
        block = max(1, _COSINES_PER_BLOCK // len(self.kept))
        said = torch.cat([self._sums(some) for some in functional.normalize(profiles).split(block)])
        out = said.new_zeros(len(profiles), size)
        out[:, self.codes] = said
        row = ((current >= 0) & (current < size)).nonzero().squeeze(1)
        out[row, current[row]] = 0
        return out / out.sum(dim=1, keepdim=True).clamp(min=1e-30)

    def _sums(self, profiles: Tensor) -> Tensor:
        """Sum exp(cosine / temperature) by what followed, ``(Q, c)``, but for a factor a row."""
        cosines = profiles @ self.kept.t()
        weights = cosines.sub_(cosines.max(dim=1, keepdim=True).values).div_(TEMPERATURE).exp_()
        return torch.from_numpy(np.add.reduceat(weights.numpy(), self._starts, axis=1))


def _events_kept(histories: Histories, n_behaviors: int, most_prefixes: int) -> Tensor:
    """Last events of the runs that are kept, ``(Q,)``."""
    table = run_table(histories, n_behaviors)
    return torch.from_numpy(last_events(table)[_runs_kept(np.diff(table.offsets), most_prefixes)])
