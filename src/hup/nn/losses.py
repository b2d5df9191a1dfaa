"""Losses: of profiles (Eq. 6), and those that rank the next code above others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

#: Scores of a whole softmax that are in memory at once: rows times codes.
SCORES_PER_BLOCK = 1 << 25


def cosine_proximity(profile: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean over a batch of the negative cosine between profile and target (Eq. 6).

    Parameters
    ----------
    profile, target : Tensor
        ``(Q, d)``.
    counted : Tensor, optional
        ``(Q,)`` bool, the rows that have a target; default all.

    Returns
    -------
    Tensor
        ``()``; 0, with gradients of 0, where no row counts.
    """
    cosine = functional.cosine_similarity(profile, target, dim=1)
    if counted is None or bool(counted.all()):
        return -cosine.mean()
    return -(cosine * counted).sum() / counted.sum().clamp(min=1)


def cross_entropy(hidden: Tensor, table: Tensor, bias: Tensor, target: Tensor, sampled: Tensor | None = None) -> Tensor:
    """Mean softmax cross-entropy of the next code.

    Parameters
    ----------
    hidden : Tensor
        ``(S, d)``.
    table, bias : Tensor
        ``(n, d)`` and ``(n,)``: the score of code ``v`` is ``hidden @ table[v] + bias[v]``.
    target : Tensor
        ``(S,)`` int64, below ``n``.
    sampled : Tensor, optional
        ``(m,)`` int64, drawn evenly from all codes: the softmax goes over the target and these instead of over all,
        with the scores of the sampled ones raised by ``log(n / m)``, so that its expectation is that of the whole
        softmax (logQ correction). A sampled code that is the target does not count again.

    Returns
    -------
    Tensor
        ``()``; 0 where ``S`` is 0.
    """
    if not len(target):
        return hidden.sum() * 0
    if sampled is None:
        return _whole_cross_entropy(hidden, table, bias, target)
    positive, negative = _target_and_sampled(hidden, table, bias, target, sampled)
    negative = negative + torch.log(torch.tensor(len(table) / len(sampled)))
    return (torch.logsumexp(torch.cat([positive, negative], dim=1), dim=1) - positive.squeeze(1)).mean()


def _whole_cross_entropy(hidden: Tensor, table: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    """Mean over all rows; the scores are there for one block of rows at a time, and made again in the backward pass."""
    rows = max(1, SCORES_PER_BLOCK // len(table))
    if len(target) <= rows:
        return _summed_cross_entropy(hidden, table, bias, target) / len(target)
    blocks = zip(hidden.split(rows), target.split(rows), strict=True)
    sums = [checkpoint(_summed_cross_entropy, h, table, bias, t, use_reentrant=False) for h, t in blocks]
    return torch.stack(sums).sum() / len(target)


def _summed_cross_entropy(hidden: Tensor, table: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(torch.addmm(bias, hidden, table.t()), target, reduction="sum")


def bpr_max(
    hidden: Tensor, table: Tensor, bias: Tensor, target: Tensor, sampled: Tensor, regularization: float = 1.0
) -> Tensor:
    """Mean BPR-max loss (Hidasi and Karatzoglou 2018): the target above the sampled codes, the strong ones above all.

    ``-log Σ_j s_j σ(r_i - r_j) + λ Σ_j s_j r_j²``, where ``s`` is the softmax of the sampled scores ``r_j``.

    Parameters
    ----------
    hidden, table, bias, target, sampled
        As for :func:`cross_entropy`.
    regularization : float
        λ, which keeps the sampled scores near 0.
    """
    if not len(target):
        return hidden.sum() * 0
    positive, negative = _target_and_sampled(hidden, table, bias, target, sampled)
    weight = torch.softmax(negative, dim=1)
    finite = negative.masked_fill(negative.isinf(), 0)
    above = (weight * torch.sigmoid(positive - finite)).sum(dim=1)
    return (regularization * (weight * finite.square()).sum(dim=1) - torch.log(above + 1e-24)).mean()


def _target_and_sampled(
    hidden: Tensor, table: Tensor, bias: Tensor, target: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores of the target ``(S, 1)`` and of the sampled codes ``(S, m)``, -inf where a sampled one is the target."""
    of_target = functional.embedding(target, table)
    positive = (hidden * of_target).sum(dim=1, keepdim=True) + bias.index_select(0, target).unsqueeze(1)
    negative = torch.addmm(bias.index_select(0, sampled), hidden, functional.embedding(sampled, table).t())
    return positive, negative.masked_fill(sampled == target.unsqueeze(1), -torch.inf)
