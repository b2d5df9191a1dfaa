"""Probabilities of categories that agree along the tree: a category's is shared out among its children."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Distribution:
    """Probabilities of one level for ``B`` queries.

    Attributes
    ----------
    known : Tensor
        ``(B, n)``, of the vocabulary.
    query, code, probability : Tensor
        ``(U,)`` each: of what the sessions have beyond it.
    parent : Tensor
        ``(U,)`` int64, its code at the next coarser level, -1 = none.
    """

    known: Tensor
    query: Tensor
    code: Tensor
    probability: Tensor
    parent: Tensor


def without_current(found: Distribution, current: Tensor) -> Distribution:
    """Leave the item out that each user is on, as it is not what comes next; the others share what it had.

    Parameters
    ----------
    found : Distribution
        Of items.
    current : Tensor
        ``(B,)`` int64.
    """
    row = (current < found.known.shape[1]).nonzero().squeeze(1)
    known, left = found.known.clone(), found.known.new_ones(len(current))
    left[row] -= known[row, current[row]]
    known[row, current[row]] = 0
    factor = 1 / left.clamp(min=1e-6)
    probability = found.probability * factor.index_select(0, found.query)
    return Distribution(known * factor.unsqueeze(1), found.query, found.code, probability, found.parent)


def shared_out(found: Distribution, parents: Tensor, above: Distribution) -> Distribution:
    """Share the probability of each coarser category out among its children, in proportion to their own.

    Parameters
    ----------
    found : Distribution
        As a level itself says it.
    parents : Tensor
        ``(n,)`` int64, the parent of each known code.
    above : Distribution
        Of the next coarser level, final.

    Returns
    -------
    Distribution
        In which the children of a category sum to its probability, so that none has more than it; what has no parent
        among those of ``above`` keeps its own probability.
    """
    n_queries, n_above = above.known.shape
    width = 1 + int(
        max(n_above, above.code.max() if len(above.code) else 0, found.parent.max() if len(found.parent) else 0)
    )
    # One key for a query's parent, whether the vocabulary has it or not.
    key = found.query * width + found.parent.clamp(min=0)
    sums = found.known.new_zeros(n_queries, width)
    sums[:, :n_above].index_add_(1, parents, found.known)
    sums.view(-1).index_add_(0, key, torch.where(found.parent >= 0, found.probability, 0))
    total = found.known.new_zeros(n_queries, width)
    total[:, :n_above] = above.known
    total[above.query, above.code] = above.probability
    factor = torch.where((sums > 0) & (total > 0), total / sums.clamp(min=1e-30), 1)
    outside = torch.where(found.parent >= 0, factor.view(-1).index_select(0, key), 1)
    known = found.known * factor.index_select(1, parents)
    return Distribution(known, found.query, found.code, found.probability * outside, found.parent)
