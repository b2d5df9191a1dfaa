"""Steps that are taught their next code: the scores of their targets, and of codes that these are to be above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional


def draw_codes(counts: Tensor, n: int, alpha: float) -> Tensor:
    """Draw codes, ``(n,)`` int64, with torch's generator; one may come several times.

    Parameters
    ----------
    counts : Tensor
        ``(n_known,)``, how often each code was visited.
    n : int
    alpha : float
        The probability of a code is proportional to its count to the power of alpha: 0 = all alike, 1 = by popularity.
    """
    ends = counts.double().pow(alpha).cumsum(0)
    at = torch.rand(n, dtype=torch.float64) * ends[-1]
    return torch.searchsorted(ends, at, right=True).clamp(max=len(ends) - 1)


@dataclass(frozen=True)
class Negatives:
    """Codes that the targets of ``S`` steps are to be above.

    Attributes
    ----------
    scores : Tensor
        ``(S, m)``.
    counted : Tensor
        ``(S, m)`` bool. Where False there is no negative: it is the target itself, or of the same history.
    """

    scores: Tensor
    counted: Tensor

    def __add__(self, other: Self) -> Negatives:
        """Join the columns of both."""
        return Negatives(torch.cat([self.scores, other.scores], dim=1), torch.cat([self.counted, other.counted], dim=1))


@dataclass(frozen=True)
class Taught:
    """Steps of a batch of histories with the next code of each, ``S`` in all.

    Attributes
    ----------
    hidden : Tensor
        ``(S, d)``.
    table, bias : Tensor
        ``(n, d)`` and ``(n,)``: the score of code ``v`` is ``hidden @ table[v] + bias[v]``.
    target : Tensor
        ``(S,)`` int64, below ``n``.
    history, turn : Tensor
        ``(S,)`` int64: the row of each step's history in the batch, and the number of the step in that history.
    """

    hidden: Tensor
    table: Tensor
    bias: Tensor
    target: Tensor
    history: Tensor
    turn: Tensor

    def __len__(self) -> int:
        """Count the steps."""
        return len(self.target)

    def scores(self) -> Tensor:
        """Score all codes, ``(S, n)``."""
        return torch.addmm(self.bias, self.hidden, self.table.t())

    def positive(self) -> Tensor:
        """Score each step's target, ``(S,)``."""
        of_target = functional.embedding(self.target, self.table)
        return (self.hidden * of_target).sum(dim=1) + self.bias.index_select(0, self.target)

    def drawn(self, codes: Tensor) -> Negatives:
        """Score the same codes, ``(m,)`` int64, for every step."""
        table, bias = functional.embedding(codes, self.table), self.bias.index_select(0, codes)
        return Negatives(torch.addmm(bias, self.hidden, table.t()), codes != self.target.unsqueeze(1))

    def of_other_histories(self) -> Negatives:
        """Score for every step the targets of the other histories at about the same turn, ``(S, B)``.

        These are the session-parallel mini-batches of Hidasi et al. (2016): steps in the order of their turn, in blocks
        of as many as there are histories, ``B``. As long as all go on, a block is one turn of each; later the next turn
        fills it up. There must be a step.
        """
        size = int(self.history.max()) + 1
        order = torch.argsort(self.turn * size + self.history)
        blocks = functional.pad(order, (0, -len(order) % size)).view(-1, size)
        history, target = self.history[blocks], self.target[blocks]
        history.view(-1)[len(order) :] = -1
        hidden = self.hidden.index_select(0, blocks.view(-1)).view(*blocks.shape, -1)
        scores = torch.bmm(hidden, functional.embedding(target, self.table).transpose(1, 2))
        scores = scores + self.bias.index_select(0, target.view(-1)).view(-1, 1, size)
        other = (history.unsqueeze(1) != history.unsqueeze(2)) & (history.unsqueeze(1) >= 0)
        counted = other & (target.unsqueeze(1) != target.unsqueeze(2))
        place = torch.argsort(order)
        return Negatives(*(of.view(-1, size).index_select(0, place) for of in (scores, counted)))
