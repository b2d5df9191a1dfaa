"""What followed the most similar profiles: a softmax over profiles that training sessions have had.

The softmax over item vectors must press everything that it knows into one vector for each item. Profiles that are kept
remember single sessions: where a user's profile is near those of others, what they did next is likely, however rare it
is (Khandelwal et al. 2020 do so with texts).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hup.data.dataset import Dataset
from hup.models.hup.mixture.clusters import clustered
from hup.models.hup.mixture.visits import last_events, run_table, spread
from hup.nn.devices import placed
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.levels import ITEM
from hup.sessions.runs import training_runs

TEMPERATURE = 0.05  # of cosines; chosen on the validation split of Wikispeedia, and as good on the others
NEAREST = 16  # clusters that are looked at; more of them change no figure on Wikispeedia
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

    They lie in clusters, and those of the clusters nearest to a profile are looked at: about a twentieth of many, with
    nearly all of the softmax's weight.

    Parameters
    ----------
    following : Tensor
        ``(N,)`` int64 codes, ascending.
    size : int
        Size d of a profile.

    Attributes
    ----------
    kept : Tensor
        ``(N, d)``, profiles of length 1, cluster by cluster; 0 before :meth:`keep`.
    codes : Tensor
        ``(N,)`` int64, what followed each of them.
    bounds : Tensor
        ``(C + 1,)`` int64, cluster ``c`` has the rows ``bounds[c]`` to ``bounds[c + 1]``.
    centers : Tensor
        ``(C, d)``, of length 1.
    """

    kept: Tensor
    codes: Tensor
    bounds: Tensor
    centers: Tensor
    following: Tensor

    def __init__(self, following: Tensor, size: int) -> None:
        super().__init__()
        n_clusters = max(1, math.isqrt(len(following)))
        self.register_buffer("following", following, persistent=False)
        self.register_buffer("kept", torch.zeros(len(following), size))
        self.register_buffer("codes", following.clone())
        self.register_buffer("bounds", torch.linspace(0, len(following), n_clusters + 1).long())
        self.register_buffer("centers", torch.zeros(n_clusters, size))

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
        self.cluster(torch.cat(made)[placed(kept.order, self.kept)])

    def cluster(self, profiles: Tensor) -> None:
        """Keep profiles ``(N, d)`` of length 1, which stand as ``following`` does."""
        centers, cluster = clustered(profiles, len(self.centers))
        sizes = torch.bincount(cluster, minlength=len(centers))
        order = cluster.argsort(stable=True)
        self.kept.copy_(profiles[order])
        self.codes.copy_(self.following[order])
        self.bounds.copy_(functional.pad(sizes.cumsum(0), (1, 0)))
        self.centers.copy_(centers)

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
        profiles = functional.normalize(profiles)
        out = profiles.new_zeros(len(profiles), size)
        cells = out.view(-1)
        near = self._near(profiles)
        query = torch.arange(len(near), device=near.device).repeat_interleave(near.shape[1])
        order = near.flatten().argsort(stable=True)
        asked = torch.bincount(near.flatten(), minlength=len(self.centers)).tolist()
        for (low, high), queries in zip(pairwise(self.bounds.tolist()), query[order].split(asked), strict=True):
            if low < high and len(queries):
                codes, place = torch.unique_consecutive(self.codes[low:high], return_inverse=True)
                weights = _weights(profiles[queries] @ self.kept[low:high].t())
                sums = weights.new_zeros(len(queries), len(codes)).index_add_(1, place, weights)
                cells.index_add_(0, (queries[:, None] * size + codes).view(-1), sums.view(-1))
        row = ((current >= 0) & (current < size)).nonzero().squeeze(1)
        out[row, current[row]] = 0
        return out / out.sum(dim=1, keepdim=True).clamp(min=1e-30)

    def followed_one(self, profile: NDArray[np.float32], current: int) -> tuple[Ints, NDArray[np.float32]]:
        """Tell the same of a single profile ``(d,)``: codes, the same one more than once, and their shares."""
        profile = profile / np.maximum(np.linalg.norm(profile), np.float32(1e-12))
        near = self._near(torch.from_numpy(profile)[None])[0].tolist()
        bounds, kept, codes = self.bounds.numpy(), self.kept.numpy(), self.codes.numpy()
        rows = [slice(bounds[one], bounds[one + 1]) for one in near]
        following = np.concatenate([codes[some] for some in rows])
        weights: NDArray[np.float32] = np.exp(
            (np.concatenate([kept[some] @ profile for some in rows]) - 1) / np.float32(TEMPERATURE)
        )
        weights[following == current] = 0
        return following, weights / np.maximum(weights.sum(), np.float32(1e-30))

    def _near(self, profiles: Tensor) -> Tensor:
        """Find the clusters nearest to profiles of length 1, ``(Q, c)``."""
        cosines = (profiles @ self.centers.t()).masked_fill(self.bounds.diff() == 0, -torch.inf)
        return cosines.topk(min(NEAREST, len(self.centers)), dim=1).indices


def _weights(cosines: Tensor) -> Tensor:
    return cosines.sub_(1).div_(TEMPERATURE).exp_()


def _events_kept(histories: Histories, n_behaviors: int, most_prefixes: int) -> Tensor:
    """Last events of the runs that are kept, ``(Q,)``."""
    table = run_table(histories, n_behaviors)
    return torch.from_numpy(last_events(table)[_runs_kept(np.diff(table.offsets), most_prefixes)])
