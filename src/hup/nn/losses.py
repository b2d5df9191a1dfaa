"""Losses: of profiles (Eq. 6), and those that rank the next code above others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hup.nn.taught import Negatives, Taught

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


def cross_entropy(taught: Taught, sampled: Tensor | None = None) -> Tensor:
    """Mean softmax cross-entropy of the next code.

    Parameters
    ----------
    taught : Taught
        ``S`` steps with their targets.
    sampled : Tensor, optional
        ``(m,)`` int64, drawn evenly from all codes: the softmax goes over the target and these instead of over all,
        with the scores of the sampled ones raised by ``log(n / m)``, so that its expectation is that of the whole
        softmax (logQ correction). A sampled code that is the target does not count again.

    Returns
    -------
    Tensor
        ``()``; 0 where ``S`` is 0.
    """
    if not len(taught):
        return taught.hidden.sum() * 0
    if sampled is None:
        return _whole_cross_entropy(taught)
    positive, negatives = taught.positive().unsqueeze(1), taught.drawn(sampled)
    negative = negatives.scores.masked_fill(~negatives.counted, -torch.inf) + math.log(len(taught.table) / len(sampled))
    return (torch.logsumexp(torch.cat([positive, negative], dim=1), dim=1) - positive.squeeze(1)).mean()


def _whole_cross_entropy(taught: Taught) -> Tensor:
    """Mean over all rows; the scores are there for one block of rows at a time, and made again in the backward pass."""
    table, bias, n_rows = taught.table, taught.bias, len(taught)
    rows = max(1, SCORES_PER_BLOCK // len(table))
    if n_rows <= rows:
        return _summed_cross_entropy(taught.hidden, table, bias, taught.target) / n_rows
    blocks = zip(taught.hidden.split(rows), taught.target.split(rows), strict=True)
    sums = [checkpoint(_summed_cross_entropy, h, table, bias, t, use_reentrant=False) for h, t in blocks]
    return torch.stack(sums).sum() / n_rows


def _summed_cross_entropy(hidden: Tensor, table: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(torch.addmm(bias, hidden, table.t()), target, reduction="sum")


def bpr_max(positive: Tensor, negatives: Negatives, regularization: float = 1.0, elu: float = 1.0) -> Tensor:
    """Mean BPR-max loss (Hidasi and Karatzoglou 2018): the target above its negatives, the strong ones above all.

    ``-log Σ_j s_j σ(r_i - r_j) + λ Σ_j s_j r_j²``, where ``r`` is the ELU of a score, and ``s`` the softmax of the
    negatives' ``r_j``.

    Parameters
    ----------
    positive : Tensor
        ``(S,)``, scores of the targets.
    negatives : Negatives
        Of the same steps. A step without any does not count.
    regularization : float
        λ, which keeps the negatives' scores near 0.
    elu : float
        α of the ELU, ``α (e^x - 1)`` for x below 0; above 0.

    Returns
    -------
    Tensor
        ``()``; 0 where no step counts.
    """
    positive, negatives = _with_negatives(positive, negatives)
    if not len(positive):
        return positive.sum()
    r, above = functional.elu(negatives.scores, elu), functional.elu(positive, elu).unsqueeze(1)
    weight = torch.softmax(r.masked_fill(~negatives.counted, -torch.inf), dim=1)
    likelihood = (weight * torch.sigmoid(above - r)).sum(dim=1)
    return (regularization * (weight * r.square()).sum(dim=1) - torch.log(likelihood + 1e-24)).mean()


def top1(positive: Tensor, negatives: Negatives) -> Tensor:
    """Mean TOP1 loss (Hidasi et al. 2016): the target above its negatives, and these near 0.

    The mean over a step's negatives of ``σ(r_j - r_i) + σ(r_j²)``, where ``r`` is the tanh of a score.

    Parameters
    ----------
    positive, negatives
        As for :func:`bpr_max`.

    Returns
    -------
    Tensor
        ``()``; 0 where no step counts.
    """
    positive, negatives = _with_negatives(positive, negatives)
    if not len(positive):
        return positive.sum()
    r, above = torch.tanh(negatives.scores), torch.tanh(positive).unsqueeze(1)
    each = (torch.sigmoid(r - above) + torch.sigmoid(r.square())) * negatives.counted
    return (each.sum(dim=1) / negatives.counted.sum(dim=1)).mean()


def _with_negatives(positive: Tensor, negatives: Negatives) -> tuple[Tensor, Negatives]:
    """Leave out the steps that have no negative."""
    some = negatives.counted.any(dim=1)
    if bool(some.all()):
        return positive, negatives
    rows = some.nonzero().squeeze(1)
    return positive.index_select(0, rows), Negatives(
        negatives.scores.index_select(0, rows), negatives.counted.index_select(0, rows)
    )
