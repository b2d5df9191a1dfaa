"""Where the probabilities of many codes come from, for many users at once.

The live answer (:mod:`hup.models.hup.mixture.single`) tells the same of a single user, visit by visit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hup.models.hup.mixture.agreement import Distribution
from hup.models.hup.mixture.probabilities import Probabilities
from hup.nn.devices import placed
from hup.nn.mixture import popularity_mass
from hup.sessions.levels import Level


def origin_shares(asked: Probabilities, level: str, row: Tensor, code: Tensor) -> Tensor:
    """Give the shares of repeat, memory, popularity and profile in a probability, ``(M, 4)``; each row sums to 1.

    Parameters
    ----------
    asked : Probabilities
        Of ``B`` sessions.
    level : str
    row, code : Tensor
        ``(M,)`` int64: of which session, and which code of the level.
    """
    of_level = Level(level)
    row, code = row.to(asked.network.weights.device), code.to(asked.network.weights.device)
    with torch.inference_mode():
        counted = asked.counted(of_level)
        inside = code < counted.known.shape[1]
        column = torch.where(inside, code, 0)
        own = _own_places(counted, row, code)
        outside = _taken(counted.probability, own)
        base = torch.where(inside, counted.known[row, column], outside)
        repeat = _repeated(asked, of_level, row, code)
        # What is counted is repeat, memory and popularity, and the last one is a rule of two numbers.
        popular = torch.where(inside, _popular(asked, of_level, row, column), 0)
        memory = (base - repeat - popular).clamp(min=0) * inside
        profile, rest = torch.zeros_like(base), 1.0
        if asked.profiles:
            weights, pool = asked.network.weights_of(of_level), asked.pool(of_level)
            place = torch.where(inside, code, counted.known.shape[1] + _column_of(counted, own, len(pool.dense)))
            profile = weights.dense * pool.dense[row, place] + weights.similar * pool.similar[row, place]
            rest = 1 - weights.dense - weights.similar
        repeat, memory = rest * repeat, rest * memory
        told = repeat + memory + profile
        total = torch.maximum(rest * base + profile, told).clamp(min=1e-30)
        shares = (torch.stack([repeat, memory, total - told, profile], dim=1) / total.unsqueeze(1)).cpu()
    return shares


def _own_places(counted: Distribution, row: Tensor, code: Tensor) -> Tensor:
    """Find pairs among those that the sessions have beyond the vocabulary, ``(M,)``; of others it means nothing."""
    if not len(counted.code):
        return torch.zeros_like(row)
    width = 1 + int(torch.maximum(counted.code.max(), code.max() if len(code) else code.new_zeros(())))
    keys, order = (counted.query * width + counted.code).sort()
    return order[torch.searchsorted(keys, row * width + code).clamp(max=len(keys) - 1)]


def _column_of(counted: Distribution, own: Tensor, n_rows: int) -> Tensor:
    """Count the places of each row from 0, ``(M,)``."""
    counts = torch.bincount(counted.query, minlength=n_rows)
    first = counts.cumsum(0) - counts
    return _taken(torch.arange(len(counted.query), device=first.device) - first.index_select(0, counted.query), own)


def _taken(values: Tensor, place: Tensor) -> Tensor:
    return values[place] if len(values) else values.new_zeros(len(place))


def _repeated(asked: Probabilities, level: Level, row: Tensor, code: Tensor) -> Tensor:
    """Sum what each session's visits to a code bring to it, ``(M,)``."""
    answer = asked.answers[level]
    visited, query = placed(answer.visits.code, row), placed(answer.visits.query, row)
    repeat = answer.mixed.repeat * answer.mixed.weights[:, 0].index_select(0, query)
    width = 2 + int(max(visited.max(), code.max() if len(code) else 0))  # codes begin at -1, which is never an answer
    keys, order = (query * width + visited + 1).sort()  # a session has one visit to each code
    wanted = row * width + code + 1
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, repeat[order[place]], 0)


def _popular(asked: Probabilities, level: Level, row: Tensor, code: Tensor) -> Tensor:
    """Probability by popularity alone, ``(M,)``: the item that a user is on has none."""
    mass = popularity_mass(asked.network.mixture(level).counts)
    total = mass.sum().expand(len(asked.current))
    if not level.is_category:
        known = (asked.current >= 0) & (asked.current < len(mass))
        total = total - torch.where(known, mass[torch.where(known, asked.current, 0)], 0)
    weight = asked.answers[level].mixed.weights[:, 2]
    return weight[row] * mass[code] / total[row].clamp(min=1e-30)
