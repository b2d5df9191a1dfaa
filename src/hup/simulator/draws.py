"""Vectorised draws that more than one part of the simulator needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def zipf_rank(uniform: Floats, size: Ints, exponent: float) -> Ints:
    """Return 0-based ranks with probability about ``(rank + 1) ** -exponent`` among ``size`` ranks.

    Inverts the continuous distribution function, so every element may have its own ``size`` and no table is needed.
    """
    top = size.astype(np.float64) + 1.0
    u = uniform.astype(np.float64)
    if abs(exponent - 1.0) < 1e-6:
        value = top**u
    else:
        power = 1.0 - exponent
        value = (u * (top**power - 1.0) + 1.0) ** (1.0 / power)
    rank: Ints = np.minimum(value.astype(np.int64) - 1, size - 1)
    return np.maximum(rank, 0)


def keyed_uniform(seed: int, *keys: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on the seed and the keys only (splitmix64).

    It gives every user lasting traits without storing users.
    """
    state: NDArray[np.uint64] = np.asarray(np.uint64(seed & 0xFFFFFFFFFFFFFFFF))
    with np.errstate(over="ignore"):
        for key in keys:
            state = state + _GOLDEN + np.asarray(key).astype(np.uint64)
            state = (state ^ (state >> np.uint64(30))) * _MIX_1
            state = (state ^ (state >> np.uint64(27))) * _MIX_2
            state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
