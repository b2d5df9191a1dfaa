"""What profiles say of all codes of a level: a softmax over ``profile · vector + bias``, and how likely it is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hup import processes
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.own_counts import OwnRuns
from hup.nn.devices import placed
from hup.nn.mixture import log_popularity
from hup.nn.products import linear, with_room
from hup.sessions.levels import Level

_SCORES_PER_BLOCK = 1 << 24  # queries times codes that are in memory at once


def dense_logits(network: MixtureNetwork, level: Level, profile: Tensor) -> Tensor:
    """Scores ``(Q, n)`` of the known codes: ``profile · vector + bias``, for profiles ``(Q, d)``."""
    bias = log_popularity(network.mixture(level).counts)
    return torch.addmm(bias, profile, network.pyramid.target_table(level).vectors().t())


def dense_log_likelihood(
    network: MixtureNetwork,
    level: Level,
    profile: Tensor,
    target: Tensor,
    current: Tensor,
    session: np.ndarray,
    own: OwnRuns,
    negatives: int,
) -> Tensor:
    """Logarithm of the probability of each target, ``(Q,)``.

    Of a level with more than ``negatives`` codes so many are drawn, by popularity and with its correction.

    Parameters
    ----------
    network : MixtureNetwork
    level : Level
    profile : Tensor
        ``(Q, d)``.
    target : Tensor
        ``(Q,)`` int64, known codes.
    current : Tensor
        ``(Q,)`` int64 items that the users are on; they are no candidates. -1 = none.
    session : ndarray
        ``(Q,)`` int64 row of each query's session.
    own : OwnRuns
        What the sessions have put into popularity; it is taken away.
    negatives : int
    """
    counts, table = network.mixture(level).counts, network.pyramid.target_table(level)
    bias = log_popularity(counts)
    codes = None
    if len(counts) > negatives:
        codes, correction = drawn(counts, negatives, target)
        # Vectors are sums; those of all codes would take long to add up.
        vectors = table(codes, table.ancestors.index_select(0, codes))
        bias = bias.index_select(0, codes) - correction
    else:
        vectors = table.vectors()

    def block(rows: slice, profile: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
        if codes is None:
            logits = linear(with_room(profile), vectors, bias)
        else:  # the number of drawn ones is another one each time, so a fast product would never come again
            logits = functional.linear(profile, vectors, bias)
        logits = logits.float()  # of products in 16 bits, too
        # In place, as a matrix of all scores takes longer to copy than to change.
        for row, column, change in (
            _changes(own, session[rows], counts, codes),
            _without(current[rows], codes, counts),
        ):
            logits.index_put_((row, column), change, accumulate=True)
        place = target[rows] if codes is None else torch.searchsorted(codes, target[rows])
        column = functional.pad(place, (0, len(logits) - len(place))).unsqueeze(1)
        return torch.log_softmax(logits, dim=1).gather(1, column)[: len(place), 0]

    size = max(1, _SCORES_PER_BLOCK // len(bias))
    if len(profile) <= size:
        return block(slice(None), profile, vectors, bias)
    blocks = (slice(low, low + size) for low in range(0, len(profile), size))
    # The scores of a block are made again in the backward pass: a long session has very many.
    parts = [checkpoint(block, rows, profile[rows], vectors, bias, use_reentrant=False) for rows in blocks]
    return torch.cat(parts)


def own_change(own: OwnRuns, session: np.ndarray, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Change of the bias by what sessions have put into popularity: query, code and change, ``(N,)`` each."""
    query, code, left = own.of_queries(session)
    codes = placed(code, counts)
    change = log_popularity(placed(left.astype(np.float32), counts)) - log_popularity(counts.index_select(0, codes))
    return placed(query, counts), codes, change


def _changes(own: OwnRuns, session: np.ndarray, counts: Tensor, codes: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and what is added there of what sessions have put into popularity."""
    query, code, change = own_change(own, session, counts)
    at, column = _columns(torch.arange(len(query), device=query.device), code, codes, len(counts))
    return query[at], column, change[at]


def _without(current: Tensor, codes: Tensor | None, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of the item that each user is on, and what leaves it out."""
    row, column = _columns(torch.arange(len(current), device=current.device), current, codes, len(counts))
    return row, column, counts.new_full((len(row),), -torch.inf)


def _columns(rows: Tensor, code: Tensor, codes: Tensor | None, n_known: int) -> tuple[Tensor, Tensor]:
    """Rows whose code is a candidate, and the column that it has."""
    if codes is None:
        there = (code >= 0) & (code < n_known)
        return rows[there], code[there]
    column = torch.searchsorted(codes, code).clamp(max=len(codes) - 1)
    there = codes.index_select(0, column) == code
    return rows[there], column[there]


def drawn(counts: Tensor, most: int, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Draw codes with replacement by popularity, the targets among them.

    Returns
    -------
    codes : Tensor
        ``(m,)`` int64, ascending, each once.
    correction : Tensor
        ``(m,)``, logarithm of the probability that each is drawn.
    """
    share = torch.softmax(log_popularity(counts), dim=0)
    some = processes.drawn(torch.multinomial(share, most, replacement=True))
    codes = torch.unique(torch.cat([some, processes.gathered(wanted)]))
    inclusion = -torch.expm1(most * torch.log1p(-share[codes].clamp(max=1 - 1e-6)))
    return codes, torch.log(inclusion.clamp(min=1e-12))
