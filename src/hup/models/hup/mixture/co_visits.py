"""What is visited near what: counts over pairs of runs of the training sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.sessions.levels import ragged_arange
from hup.sessions.runs import session_matrix

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

#: What a code may be of another one, each with counts of its own.
RELATIONS = ("after", "before", "together")
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class CoVisits:
    """For every known code of a level, how often each other one is visited after, before and together with it.

    A pair of runs of a session at most ``window`` apart counts 1 / distance for "after" and "before"; two codes of
    one session count 1 for "together", however often they are visited.

    Attributes
    ----------
    counts : tuple of csr_array
        ``(n, n)`` for each of :data:`RELATIONS`, rows with sorted columns; only the largest of each row are kept.
    totals : ndarray
        ``(n, 3)``, sums of the rows.
    window : int
    with_itself : bool
        Whether a code may come after itself: a category does, as the next item is mostly of the same one.
    """

    counts: tuple[sp.csr_array, ...]
    totals: Doubles
    window: int
    with_itself: bool

    @property
    def size(self) -> int:
        """Known codes."""
        return int(self.counts[0].shape[0])

    def tensors(self) -> dict[str, Tensor]:
        """Give the counts as tensors, by name."""
        return {
            f"{relation}.{part}": torch.from_numpy(np.ascontiguousarray(getattr(counts, part)).astype(kind))
            for relation, counts in zip(RELATIONS, self.counts, strict=True)
            for part, kind in (("indptr", np.int64), ("indices", np.int32), ("data", np.float32))
        }

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], window: int, *, with_itself: bool) -> CoVisits:
        """Take up what :meth:`tensors` gave.

        Raises
        ------
        KeyError
            A tensor is not there.
        """
        counts = []
        for relation in RELATIONS:
            indptr, indices, data = (tensors[f"{relation}.{part}"].numpy() for part in ("indptr", "indices", "data"))
            counts.append(sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1)))
        return cls(tuple(counts), _totals(counts), window, with_itself)

    def rows(self, relation: int, codes: Ints) -> tuple[Ints, Ints, NDArray[np.float32]]:
        """List all that is counted near known codes ``(P,)`` for one of :data:`RELATIONS`.

        Returns
        -------
        place, second, count : ndarray
            ``(E,)``: place of the code, its neighbour, and the count.
        """
        counts = self.counts[relation]
        low = counts.indptr[codes].astype(np.int64)
        lengths = counts.indptr[codes + 1] - low
        at = ragged_arange(low, lengths)
        return np.repeat(np.arange(len(codes)), lengths), counts.indices[at].astype(np.int64), counts.data[at]

    def looked_up(self, first: Ints, second: Ints) -> Doubles:
        """Look up the counts of pairs of codes, ``(P, 3)``; 0 where either is not known."""
        known = (first >= 0) & (first < self.size) & (second >= 0) & (second < self.size)
        counts = np.zeros((len(first), len(RELATIONS)))
        for relation in range(len(RELATIONS)):
            counts[known, relation] = self.of_relation(relation, first[known], second[known])
        return counts

    def of_relation(self, relation: int, first: Ints, second: Ints) -> Doubles:
        """Look up the counts of pairs of known codes for one of :data:`RELATIONS`, ``(P,)``."""
        return _elements(self.counts[relation], first, second)


def count_co_visits(
    codes: Ints, offsets: Ints, size: int, *, window: int, neighbors: int, with_itself: bool
) -> CoVisits:
    """Count over sessions of runs.

    Parameters
    ----------
    codes : ndarray
        ``(R,)`` int64 codes of all runs; those outside ``0 … size - 1`` count for nothing.
    offsets : ndarray
        ``(B + 1,)`` int64 sessions.
    size : int
        Known codes.
    window : int
        Greatest distance of "after" and "before".
    neighbors : int
        Most codes that are kept of a row.
    with_itself : bool
    """
    after, together = (sp.csr_array((size, size), dtype=np.float64) for _ in range(2))
    for low, high in _blocks(offsets):
        span = slice(int(offsets[low]), int(offsets[high]))
        block, bounds = codes[span], offsets[low : high + 1] - offsets[low]
        pairs = near_pairs(block, bounds, size, window, with_itself=with_itself)
        after = after + sp.csr_array((pairs.weight, (pairs.first, pairs.second)), shape=(size, size))
        visited = session_matrix(block, bounds, size)
        together = together + visited.T @ visited
    if not with_itself:
        together.setdiag(0)
    # One after the other, as each is large before it is cut.
    most_together = _largest(together, neighbors)
    del together
    most_after = _largest(after, neighbors)
    before = sp.csr_array(after.T)
    del after
    counts = [most_after, _largest(before, neighbors), most_together]
    return CoVisits(tuple(counts), _totals(counts), window, with_itself)


@dataclass(frozen=True)
class NearPairs:
    """Pairs of runs that are near: session, earlier and later code, and 1 / distance, ``(P,)`` each."""

    session: Ints
    first: Ints
    second: Ints
    weight: Doubles


def near_pairs(codes: Ints, offsets: Ints, size: int, window: int, *, with_itself: bool) -> NearPairs:
    """List all pairs of known runs of one session at most ``window`` apart."""
    n_runs = len(codes)
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    left = offsets[1:][session] - np.arange(n_runs)  # runs to the session's end
    parts = []
    for distance in range(1, window + 1):
        at = np.flatnonzero(left > distance)
        parts.append((session[at], codes[at], codes[at + distance], np.full(len(at), 1 / distance)))
    who, first, second, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    kept = (first >= 0) & (first < size) & (second >= 0) & (second < size)
    if not with_itself:
        kept &= first != second
    return NearPairs(who[kept], first[kept], second[kept], weight[kept])


def _elements(counts: sp.csr_array, row: Ints, column: Ints) -> Doubles:
    """Elements of a matrix with sorted columns, by binary search; SciPy would go over the whole matrix to check it."""
    low, end = counts.indptr[row].astype(np.int64), counts.indptr[row + 1].astype(np.int64)
    high = end.copy()
    last = len(counts.indices) - 1
    if last < 0:
        return np.zeros(len(row))
    for _ in range(int(np.max(end - low, initial=0)).bit_length()):
        middle = np.minimum((low + high) // 2, last)
        right = (low < high) & (counts.indices[middle] < column)
        low, high = np.where(right, middle + 1, low), np.where(right, high, middle)
    place = np.minimum(low, last)
    there = (low < end) & (counts.indices[place] == column)
    elements: Doubles = np.where(there, counts.data[place], 0).astype(np.float64)
    return elements


def _blocks(offsets: Ints) -> Iterator[tuple[int, int]]:
    """Spans ``low … high - 1`` of sessions, or of rows, that hold about :data:`_AT_ONCE` runs, or elements, each."""
    low = 0
    while low < len(offsets) - 1:
        high = int(np.searchsorted(offsets, offsets[low] + _AT_ONCE, side="right")) - 1
        high = min(max(high, low + 1), len(offsets) - 1)
        yield low, high
        low = high


def _largest(counts: sp.csr_array, most: int) -> sp.csr_array:
    """Keep the largest of each row; of equal ones those with smaller codes."""
    counts.eliminate_zeros()
    if not counts.nnz:
        return counts.astype(np.float32)
    counts.sort_indices()
    offsets = counts.indptr.astype(np.int64)
    codes, values, lengths = [], [], []
    for low, high in _blocks(offsets):
        span = slice(int(offsets[low]), int(offsets[high]))
        code, value = counts.indices[span], counts.data[span].astype(np.float32)
        row = np.repeat(np.arange(high - low), np.diff(offsets[low : high + 1]))
        order = np.lexsort((code, -value, row))
        kept = np.zeros(len(row), dtype=bool)
        kept[order] = np.arange(len(row)) - (offsets[low:high] - offsets[low])[row[order]] < most
        codes.append(code[kept])
        values.append(value[kept])
        lengths.append(np.bincount(row[kept], minlength=high - low))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return sp.csr_array((np.concatenate(values), np.concatenate(codes), indptr), shape=counts.shape)


def _totals(counts: list[sp.csr_array]) -> Doubles:
    return np.stack([np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel() for matrix in counts], axis=1)
