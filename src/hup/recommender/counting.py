"""Counting in scores by the kernels of ``native/ranks.cpp``; None where they do not serve, and PyTorch has to."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hup.native import load

Counted = tuple[Tensor, Tensor]


def count_rows(values: Tensor, score: Tensor, mask: Tensor | None) -> Counted | None:
    """Count the values ``(B, n)`` of each row that are at least its ``score``, and add up the row.

    Parameters
    ----------
    values : Tensor
    score : Tensor
        ``(B,)``, of the same precision.
    mask : Tensor, optional
        ``(B, n)`` bool, what is counted; added up is all.

    Returns
    -------
    (Tensor, Tensor) or None
        ``(B,)`` int64 and ``(B,)``; a sum is NaN if one of its values is.
    """
    names = {torch.float32: "count_rows_float", torch.float64: "count_rows_double"}
    kernel = _kernel(names.get(values.dtype), values, score, mask)
    # A row's values stand one after the other. Rows need not: those of one and the same row do not.
    if kernel is None or not values.numel() or values.stride(1) != 1 or values.stride(0) < 0:
        return None
    score, mask = score.contiguous(), None if mask is None else mask.contiguous()
    counts, sums = torch.empty(len(values), dtype=torch.int64), torch.empty(len(values), dtype=values.dtype)
    n_rows, n = values.shape
    kernel(
        _of(values), _long(values.stride(0)), _of(mask), _of(score), _long(n_rows), _long(n), _threads(), _of(counts),
        _of(sums),
    )  # fmt: skip
    return counts, sums


def count_products(profiles: Tensor, vectors: Tensor, bias: Tensor | None, score: Tensor) -> Counted | None:
    """Count the scores ``profile · vector + bias`` of each profile that are at least its ``score``, and add them up.

    Parameters
    ----------
    profiles : Tensor
        ``(B, d)``.
    vectors : Tensor
        ``(n, d)``.
    bias : Tensor or None
        ``(n,)``.
    score : Tensor
        ``(B,)``, as :func:`products_at` gives them.

    Returns
    -------
    (Tensor, Tensor) or None
        As for :func:`count_rows`.
    """
    kernel = _of_products("count_products", profiles, vectors, bias)
    if kernel is None:
        return None
    profiles, vectors, score = profiles.contiguous(), vectors.contiguous(), score.contiguous()
    counts, sums = torch.empty(len(profiles), dtype=torch.int64), torch.empty(len(profiles))
    n, d = vectors.shape
    kernel(
        _of(profiles), _of(vectors), _of(bias), _of(score), _long(len(profiles)), _long(n), _long(d), _threads(),
        _of(counts), _of(sums),
    )  # fmt: skip
    return counts, sums


def products_at(profiles: Tensor, vectors: Tensor, bias: Tensor | None, codes: Tensor) -> Tensor | None:
    """Score one code ``(B,)`` of each profile, to the last digit as :func:`count_products` does."""
    kernel = _of_products("products_at", profiles, vectors, bias)
    if kernel is None:
        return None
    profiles, vectors, codes = profiles.contiguous(), vectors.contiguous(), codes.contiguous()
    scores = torch.empty(len(profiles))
    kernel(
        _of(profiles), _of(vectors), _of(bias), _of(codes), _long(len(codes)), _long(vectors.shape[1]), _of(scores)
    )  # fmt: skip
    return scores


def _of_products(name: str, profiles: Tensor, vectors: Tensor, bias: Tensor | None) -> Callable[..., None] | None:
    tensors = [profiles, vectors] if bias is None else [profiles, vectors, bias]
    if any(tensor.dtype != torch.float32 for tensor in tensors) or (bias is not None and not bias.is_contiguous()):
        return None
    return _kernel(name, *tensors)


def _kernel(name: str | None, *tensors: Tensor | None) -> Callable[..., None] | None:
    if name is None or any(tensor is not None and tensor.device.type != "cpu" for tensor in tensors):
        return None
    library = load("ranks")
    if library is None:
        return None
    kernel: Callable[..., None] = getattr(library, name)
    return kernel


def _of(tensor: Tensor | None) -> Any:
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())


_long = ctypes.c_int64


def _threads() -> int:
    return torch.get_num_threads()
