"""What several processes have found, each about sessions of its own, put together for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hup import processes
from hup.evaluation.exposure import ExposureCount


def joined(
    mine: NDArray[np.bool_],
    ranks: Mapping[str, Mapping[str, NDArray[np.float64]]],
    repeat: Mapping[str, NDArray[np.bool_]],
    lists: Mapping[str, ExposureCount],
) -> None:
    """Fill in what the other processes have found.

    Parameters
    ----------
    mine : ndarray
        ``(n,)``, the sessions that this process has ranked; each is one of one process alone.
    ranks : mapping
        By row and level, ``(n,)``; written.
    repeat : mapping
        By level, ``(n,)``; written.
    lists : mapping
        By level; what they count is added up.
    """
    for by_level in ranks.values():
        for of_level in by_level.values():
            of_level[:] = _summed(np.where(mine, of_level, 0))
    for is_repeat in repeat.values():
        is_repeat[:] = _summed((mine & is_repeat).astype(np.uint8))
    for counted in lists.values():
        for counts in counted.counts():
            counts[:] = _summed(counts)


def _summed(values: NDArray[Any]) -> NDArray[Any]:
    summed: NDArray[Any] = processes.summed(torch.from_numpy(values.copy())).numpy()
    return summed
