"""Vectors of what is visited near what: a factorisation of co-visits, which training begins with."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.sparse.linalg import svds
from torch import Tensor

from hup.data.dataset import Dataset
from hup.models.hup.mixture.co_visits import count_co_visits
from hup.sessions.levels import ITEM, Level
from hup.sessions.runs import training_runs

_SMOOTHED = 0.75  # power of a neighbour's frequency (Levy, Goldberg, Dagan 2015)
_DAMPED = 2.0  # runs at which a code's own vector has half of its length
_SPREAD = 0.3  # root mean square of what the vectors begin with
_SMALL = 512  # codes up to which all singular vectors are found at once

Known = tuple[NDArray[np.int64], NDArray[np.float32]]


def factorised_vectors(
    dataset: Dataset, level: Level, size: int, *, window: int, neighbors: int, start: Known | None = None
) -> Tensor:
    """Factorise the positive pointwise mutual information of co-visits (Levy and Goldberg 2014).

    Parameters
    ----------
    dataset : Dataset
        Only its training split is read.
    level : Level
    size : int
        Size of a vector.
    window, neighbors : int
        As for :func:`hup.models.hup.mixture.co_visits.count_co_visits`.
    start : tuple of ndarray, optional
        Codes ``(m,)`` and vectors ``(m, size)`` of an earlier model, into whose space the result is turned.

    Returns
    -------
    Tensor
        ``(n_known, size)`` float32. A code that is met seldom has a short vector.
    """
    items, offsets = training_runs(dataset, ITEM)
    codes = level.of_items(items, dataset.taxonomy.paths)
    n_known = level.pick(dataset.n_train_items, dataset.n_train_categories)
    after = count_co_visits(codes, offsets, n_known, window=window, neighbors=neighbors, with_itself=False).counts[0]
    near = sp.csr_array(after + after.T).astype(np.float64)
    vectors = _singular_vectors(_positive_information(near), size)
    runs = np.bincount(codes[(codes >= 0) & (codes < n_known)], minlength=n_known)
    vectors *= (runs / (runs + _DAMPED))[:, None]
    vectors *= _SPREAD / max(float(np.sqrt((vectors**2).mean())), 1e-12)
    if start is not None:
        known, earlier = start
        turn, _ = orthogonal_procrustes(vectors[known], earlier.astype(np.float64))
        vectors = vectors @ turn
    return torch.from_numpy(vectors.astype(np.float32))


def _positive_information(near: sp.csr_array) -> sp.csr_array:
    """Positive pointwise mutual information of symmetric counts, ``(n, n)``."""
    frequency = np.asarray(near.sum(axis=1)).ravel()
    smoothed = frequency**_SMOOTHED
    pairs = near.tocoo()
    row, column = pairs.coords
    expected = frequency[row] * smoothed[column] / max(smoothed.sum(), 1e-12)
    information = np.log(np.maximum(pairs.data / np.maximum(expected, 1e-12), 1e-12))
    kept = information > 0
    return sp.csr_array((information[kept], (row[kept], column[kept])), shape=near.shape)


def _singular_vectors(information: sp.csr_array, size: int) -> NDArray[np.float64]:
    """Left singular vectors, scaled by the roots of their singular values, ``(n, size)``; zeros beyond the rank."""
    n = information.shape[0]
    out = np.zeros((n, size))
    if n <= max(_SMALL, size + 1):
        left, values, _ = np.linalg.svd(information.toarray())
    else:
        first = np.random.default_rng(0).standard_normal(n)  # where the search begins: the same every time
        left, values, _ = svds(information, k=size, v0=first)
        left, values = left[:, ::-1], values[::-1]
    kept = min(size, len(values))
    out[:, :kept] = left[:, :kept] * np.sqrt(values[:kept])
    return out
