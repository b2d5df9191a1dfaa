"""The category tree of a dataset, and where each item sits in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Category tree with K levels, ``category_1`` coarsest.

    Attributes
    ----------
    paths : ndarray of int32, shape (items, K)
        Category codes of each item; column k-1 holds level k.
    names : tuple of list of str
        ``names[k-1][code]`` is the name of a category of level k (last component of its path).
    parents : tuple of ndarray of int32
        ``parents[k-1][code]`` is the code of its parent at level k-1; -1 at level 1.
    """

    paths: npt.NDArray[np.int32]
    names: tuple[list[str], ...]
    parents: tuple[npt.NDArray[np.int32], ...]

    @property
    def levels(self) -> int:
        """Number of category levels, K."""
        return len(self.names)

    def path_names(self, level: int, code: int) -> tuple[str, ...]:
        """Names from the coarsest level down to category `code` of `level` (1 … K)."""
        names: list[str] = []
        for depth in range(level, 0, -1):
            names.append(self.names[depth - 1][code])
            code = int(self.parents[depth - 1][code])
        return tuple(reversed(names))
