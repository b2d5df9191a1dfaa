"""Sums by whole-number key, looked up many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class SumsByKey:
    """Sums by key.

    Attributes
    ----------
    keys : ndarray
        ``(n,)`` int64, ascending, each once.
    values : ndarray
        ``(n,)`` float64.
    """

    keys: Ints
    values: Doubles

    @classmethod
    def of(cls, keys: Ints, values: Doubles | None = None) -> SumsByKey:
        """Sum values ``(P,)`` by their keys; without values count the keys."""
        found, place = np.unique(keys, return_inverse=True)
        return cls(found, np.bincount(place, values, minlength=len(found)).astype(np.float64))

    def at(self, keys: Ints) -> Doubles:
        """Look up keys; 0 where there is none such."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.values[place], 0)
