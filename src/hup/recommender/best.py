"""The best of each row of scores: of many users at once, or of one; of equal scores always the same ones."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.native import load
from hup.recommender.candidates import Scores
from hup.sessions.batches import Histories

_CELLS_PER_BLOCK = 1 << 24  # of rows with equal scores at the end of the list, that are gone over at once


@dataclass(frozen=True)
class Best:
    """The best of ``B`` rows, best first.

    Attributes
    ----------
    place : Tensor
        ``(B, k)`` int64, what was ranked: columns, or codes. -1 where fewer than k may come.
    score : Tensor
        ``(B, k)``; ``-inf`` there.
    """

    place: Tensor
    score: Tensor


def best_columns(values: Tensor, k: int) -> Best:
    """Find the ``k`` largest of each row of ``(B, m)``; of equal ones those that stand first.

    What is ``-inf`` is no candidate. The answer is narrower than ``k`` where there are fewer columns.
    """
    k = min(k, values.shape[1])
    if not k:
        return Best(torch.zeros(len(values), 0, dtype=torch.long, device=values.device), values[:, :0])
    score, place = torch.topk(values, k)
    last = score[:, -1:]
    # Where candidates beyond the k score as the last of them does, topk has taken any of these.
    at_least_last = (values >= last).cpu().numpy()
    crowded = np.flatnonzero((np.count_nonzero(at_least_last, axis=1) > k) & torch.isfinite(last[:, 0]).cpu().numpy())
    for low in range(0, len(crowded), block := max(1, _CELLS_PER_BLOCK // values.shape[1])):
        rows = crowded[low : low + block]
        row, column = np.nonzero(at_least_last[rows])
        equal = (values[rows[row], column] == last[rows[row], 0]).cpu().numpy()
        place[rows] = torch.from_numpy(_first_of_equals(row, column, equal, k)).to(place.device)
    place = place.sort(dim=1).values
    score, order = values.gather(1, place).sort(dim=1, descending=True, stable=True)
    return Best(place.gather(1, order).masked_fill(torch.isneginf(score), -1), score)


def best_of_one(
    known: Tensor, own: Tensor, lost: Sequence[int], allowed: Tensor | None, k: int
) -> tuple[list[int], list[float]]:
    """Find the ``k`` largest of one row, as :func:`best_columns` does.

    Parameters
    ----------
    known, own : Tensor
        ``(n,)`` and ``(U,)``; together they are the row.
    lost : sequence of int
        Places that are no candidates.
    allowed : Tensor or None
        ``(n,)`` bool, which of ``known`` are; None = all.
    k : int

    Returns
    -------
    places, scores : list
        Best first; fewer where there are fewer candidates.
    """
    kernel = load("largest")
    if kernel is None or not all(one.dtype == torch.float32 and one.is_contiguous() for one in (known, own)):
        values = torch.cat([known, own])
        if allowed is not None:
            values[: len(known)].masked_fill_(~allowed, -torch.inf)
        values[list(lost)] = -torch.inf
        best = best_columns(values[None], k)
        places = [place for place in best.place[0].tolist() if place >= 0]
        return places, best.score[0].tolist()[: len(places)]
    most = min(k, len(known) + len(own))
    places_found, scores_found = (ctypes.c_int64 * most)(), (ctypes.c_float * most)()
    kernel.hup_largest.restype = ctypes.c_int64
    n = kernel.hup_largest(
        *(ctypes.c_void_p(known.data_ptr()), ctypes.c_int64(len(known))),
        *(ctypes.c_void_p(own.data_ptr()), ctypes.c_int64(len(own))),
        ctypes.c_void_p(None if allowed is None else allowed.data_ptr()),
        *((ctypes.c_int64 * len(lost))(*lost), ctypes.c_int64(len(lost))),
        *(ctypes.c_int64(most), places_found, scores_found),
    )
    return places_found[:n], scores_found[:n]


def _first_of_equals(
    row: NDArray[np.int64], column: NDArray[np.int64], equal: NDArray[np.bool_], k: int
) -> NDArray[np.int64]:
    """Columns ``(R, k)`` of all that is above the k-th score, and the first of those that are equal to it.

    ``row``, ``column`` and whether it is equal are ``(N,)``, of all that is not below the k-th score, in order.
    """
    left = k - np.bincount(row, weights=~equal).astype(np.int64)
    place = np.cumsum(equal)  # among equals; those of earlier rows are taken off
    earlier = np.concatenate([[0], np.cumsum(np.bincount(row, weights=equal).astype(np.int64))[:-1]])
    chosen: NDArray[np.int64] = column[~equal | (place - earlier[row] <= left[row])]
    return chosen.reshape(-1, k)


def candidate_scores(
    scores: Scores, excluded: Tensor, allowed: Tensor | None = None, seen: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Lay out the scores of known codes and then of own ones, ``(B, n_known + U)``; what may not come is ``-inf``.

    Parameters
    ----------
    scores : Scores
    excluded : Tensor
        ``(B,)`` int64, a code of each history that is no candidate; -1 = none.
    allowed : Tensor, optional
        ``(n,)`` bool, codes that may come, known ones and others; default all.
    seen : (Tensor, Tensor), optional
        Rows and codes ``(N,)`` that may not come, where nothing of the history itself may.
    """
    own_codes, n_known = scores.own_codes, scores.of_known.shape[1]
    values = torch.cat([scores.known, scores.own], dim=1)
    known, own = values[:, :n_known], values[:, n_known:]
    rows, codes = torch.arange(len(excluded)), excluded
    if seen is not None:
        rows, codes = torch.cat([rows, seen[0]]), torch.cat([codes, seen[1]])
    inside = (codes >= 0) & (codes < n_known)
    known[rows[inside], codes[inside]] = -torch.inf
    lost = (own_codes < 0) | (own_codes == excluded[:, None]) | (seen is not None)
    if allowed is not None:
        known.masked_fill_(~allowed[:n_known], -torch.inf)
        lost |= ~allowed[own_codes.clamp(min=0)]
    own.masked_fill_(lost, -torch.inf)
    return values


def best_codes(values: Tensor, own_codes: Tensor, k: int) -> Best:
    """Find the codes that score best in each history.

    Parameters
    ----------
    values : Tensor
        As :func:`candidate_scores` lays them out. Of equal scores the vocabulary's come first, by code, then the own
        codes as they stand.
    own_codes : Tensor
        ``(B, U)``.
    k : int
    """
    found = best_columns(values, k)
    if not own_codes.shape[1]:
        return found
    n_known = values.shape[1] - own_codes.shape[1]
    own = own_codes.gather(1, (found.place - n_known).clamp(min=0))
    return Best(torch.where(found.place < n_known, found.place, own), found.score)


def in_order_of_events(scores: Scores, histories: Histories, level: str) -> Scores:
    """Put the own codes of each history in the order in which it met them, whatever their numbers are."""
    if not scores.own.shape[1]:
        return scores
    met = histories.own_unknown(level, scores.of_known.shape[1])
    most = torch.iinfo(torch.long).max
    by_code = scores.own_codes.masked_fill(scores.own_codes < 0, most).argsort(dim=1)  # as `met` has them
    order = by_code.gather(1, met.events.masked_fill(met.codes < 0, most).argsort(dim=1))
    return Scores(scores.of_known, scores.own.gather(1, order), scores.own_codes.gather(1, order))
