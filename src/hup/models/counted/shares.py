"""What a blend adds up: shares of each component's highest evidence, of recency and of popularity, and the ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.models.counted.session_index import last_visits
from hup.recommender.candidates import Scores, target_ranks
from hup.sessions.batches import Histories
from hup.sessions.levels import Level

#: Below every difference that matters: popularity orders what the components leave equal.
POPULARITY_SHARE = 1e-6


@dataclass(frozen=True)
class ComponentShares:
    """What the weights multiply at one level, for ``B`` histories.

    Attributes
    ----------
    known : list of Tensor
        ``(B, n_known)`` of every component, recency's last, in [0, 1].
    popularity : Tensor
        ``(n_known,)`` in (0, 1].
    own, own_codes : Tensor
        ``(B, U)``, recency's for the codes beyond the vocabulary; see :class:`Scores`.
    """

    known: list[Tensor]
    popularity: Tensor
    own: Tensor
    own_codes: Tensor

    def blended(self, weights: Sequence[float]) -> Scores:
        """Add the shares up, each times its weight."""
        total = weighted([*self.known, self.popularity], [*weights, POPULARITY_SHARE])
        return Scores(total, weights[-1] * self.own, self.own_codes)


def weighted(shares: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Add tensors of one shape (or that broadcast to the first one's) up, each times its weight."""
    total = weights[0] * shares[0]
    for share, weight in zip(shares[1:], weights[1:], strict=True):
        total += weight * share
    return total


class Shortlist:
    """The candidates that weights can move, for the exact rank of each target under many weights.

    They are the codes with a share of any component, and the target. All others are ordered by popularity alone, so
    that it is enough to count those before the target.

    Parameters
    ----------
    shares : ComponentShares
    targets : Tensor
        ``(B,)`` int64.
    excluded : Tensor
        ``(B,)`` int64, a code that is no candidate; -1 = there is none.
    candidates : Tensor, optional
        ``(B, n_known)`` bool, known codes that are candidates: then they are the list. Without it all are.

    Attributes
    ----------
    codes : Tensor
        ``(B, W)`` int64, ``-1`` = padding; known ones and those beyond the vocabulary.
    """

    def __init__(
        self, shares: ComponentShares, targets: Tensor, excluded: Tensor, candidates: Tensor | None = None
    ) -> None:
        self._targets, self._excluded = targets, excluded
        n_known = len(shares.popularity)
        listed = candidates
        if listed is None:
            listed = reduce(torch.logical_or, (share > 0 for share in shares.known))
            for codes in (targets, excluded):
                rows = ((codes >= 0) & (codes < n_known)).nonzero().flatten()
                listed[rows, codes[rows]] = True
        row, code = listed.nonzero(as_tuple=True)
        counts = listed.sum(dim=1)
        column = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]

        def of_listed(values: Tensor, own: Tensor, fill: int) -> Tensor:
            table = values.new_full((len(counts), int(counts.max())), fill)
            table[row, column] = values
            return torch.cat([table, own], dim=1)

        nothing = torch.zeros_like(shares.own)
        *others, recency = shares.known
        self.codes = of_listed(code, shares.own_codes, -1)
        self._shares = [
            *(of_listed(share[row, code], nothing, 0) for share in others),
            of_listed(recency[row, code], shares.own, 0),
            of_listed(shares.popularity[code], nothing, 0),
        ]
        self._least = POPULARITY_SHARE * shares.popularity.sort().values if candidates is None else None

    def ranks(self, weights: Sequence[float], name: str = "") -> NDArray[np.float64]:
        """Rank the targets among the candidates, as :func:`target_ranks` does of :meth:`ComponentShares.blended`."""
        total = weighted(self._shares, [*weights, POPULARITY_SHARE])
        nothing = total.new_zeros(len(total), 0)
        rank = target_ranks(Scores(nothing, total, self.codes), self._targets, excluded=self._excluded, name=name)
        if self._least is None:
            return rank
        is_target = self.codes == self._targets[:, None]
        score = total.masked_fill(~is_target, -torch.inf).amax(dim=1, keepdim=True)
        popular = (
            POPULARITY_SHARE * self._shares[-1]
        )  # 0 beyond the vocabulary and for padding, where it is not counted
        before = len(self._least) - torch.searchsorted(self._least, score).squeeze(1)
        before -= ((popular >= score) & (popular > 0)).sum(dim=1)
        whole: NDArray[np.float64] = rank + before.numpy()
        return whole


def recency_shares(histories: Histories, level: str, n_known: int, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Give a session's own codes ``rank ** -power`` by their last run, latest first, and all others 0.

    The code that the user is on has rank 1 at the category levels. At the item level, where it is no candidate, the one
    before it has.

    Returns
    -------
    known : Tensor
        ``(B, n_known)`` float32.
    own, own_codes : Tensor
        ``(B, U)``, for the codes beyond the vocabulary; see :class:`Scores`.
    """
    highest = int(histories.codes(level).max()) + 1 if len(histories.item) else 0
    visits = last_visits(histories, level, max(highest, n_known))
    order = np.lexsort((visits.back, visits.row))
    row, code = visits.row[order], visits.code[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row) + int(Level(level).is_category)
    share = torch.from_numpy(np.power(np.maximum(rank, 1.0), -power).astype(np.float32))
    rows, codes = torch.from_numpy(row), torch.from_numpy(code)
    known = torch.zeros(len(histories), n_known)
    inside = codes < n_known
    known[rows[inside], codes[inside]] = share[inside]
    own_codes = histories.own_unknown(level, n_known).codes
    own = torch.zeros(own_codes.shape)
    outside = torch.nonzero(~inside).flatten()
    if len(outside):
        # Every code beyond the vocabulary is one of the history's own, so each of them has its column.
        match = own_codes[rows[outside]] == codes[outside].unsqueeze(1)
        own[rows[outside], match.long().argmax(dim=1)] = share[outside]
    return known, own, own_codes


def without(evidence: Tensor, excluded: Tensor) -> Tensor:
    """Take the evidence ``(B, n)`` for one code of each history away, so that it is nobody's measure."""
    row = torch.nonzero((excluded >= 0) & (excluded < evidence.shape[1])).flatten()
    return evidence.index_put((row, excluded[row]), evidence.new_zeros(()))
