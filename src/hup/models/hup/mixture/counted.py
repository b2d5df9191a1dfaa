"""What was counted says of every known code: repeat, memory and popularity, mixed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.models.hup.mixture.answer import Answer
from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.own_counts import OwnCounts, OwnCoVisits, OwnRuns
from hup.nn.devices import placed
from hup.nn.mixture import popularity_mass
from hup.sessions.levels import Level

Ints = NDArray[np.int64]


def counted_probabilities(level: Level, answer: Answer, current: Tensor, own: OwnCounts | None = None) -> Tensor:
    """Mix the parts of every query.

    Parameters
    ----------
    level : Level
    answer : Answer
        Of ``Q`` queries at the level; with ``own`` query ``q`` is one of session ``q``.
    current : Tensor
        ``(Q,)`` items that the users are on, whose popularity counts for nothing.
    own : OwnCounts, optional
        What the asking sessions have put into the counts themselves; it is taken away.

    Returns
    -------
    Tensor
        ``(Q, n)``, without gradients. What is missing to 1 is the probability of codes that the vocabulary lacks, and
        of something unseen.
    """
    visits, weights = answer.visits, answer.mixed.weights.detach()
    current = current if not level.is_category else torch.full_like(current, -1)
    known = _popular(answer.counts.popularity, current, None if own is None else own.runs) * weights[:, 2:3]
    known = known + weights[:, 1:2] * _remembered(answer, None if own is None else own.co_visits)
    query, code = placed(visits.query, known), placed(visits.code, known)
    inside = (code >= 0) & (code < known.shape[1])
    repeated = answer.mixed.repeat.detach() * weights[:, 0].index_select(0, query)
    return known.index_put((query[inside], code[inside]), repeated[inside], accumulate=True)


def _popular(counts: Tensor, current: Tensor, own: OwnRuns | None) -> Tensor:
    """Shares of popularity, ``(Q, n)``."""
    mass = popularity_mass(counts).repeat(len(current), 1)
    if own is not None:
        session, code, left = own.of_sessions()
        mass[placed(session, mass), placed(code, mass)] = popularity_mass(placed(left.astype(np.float32), mass))
    row = ((current >= 0) & (current < len(counts))).nonzero().squeeze(1)
    mass[row, current[row]] = 0
    shares: Tensor = mass / mass.sum(dim=1, keepdim=True).clamp(min=1e-30)
    return shares


def _remembered(answer: Answer, own: OwnCoVisits | None) -> Tensor:
    """Shares of the memory, ``(Q, n)``."""
    counted, visits, n_queries = answer.counts.co_visits, answer.visits, len(answer.mixed.weights)
    out = np.zeros((n_queries, counted.size), dtype=np.float32)
    attention = answer.mixed.memory.detach().cpu().numpy()
    for relation in range(len(RELATIONS)):
        there = answer.support[:, relation] > 0
        weight = (attention[there, relation] / answer.support[there, relation]).astype(np.float32)
        query, code = visits.query[there], visits.code[there]
        place, second, count = counted.rows(relation, code)
        np.add.at(out.ravel(), query[place] * counted.size + second, weight[place] * count)
        if own is not None:
            place, second, share = own.of_rows(relation, query, code)
            put_in = np.minimum(share, counted.of_relation(relation, code[place], second))
            np.add.at(out, (query[place], second), -weight[place] * put_in.astype(np.float32))
    return placed(np.maximum(out, 0), answer.mixed.memory)
