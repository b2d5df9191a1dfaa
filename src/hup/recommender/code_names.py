"""Names and paths of the codes of a dataset as Arrow arrays, from which whole columns are taken at once."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.sessions.levels import Level

PATH = pa.list_(pa.string())
Codes = NDArray[np.int64]


class CodeNames:
    """Gives codes their names.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._tree = dataset, dataset.taxonomy
        self._categories = [pa.array(names, pa.string()) for names in self._tree.names]
        self._paths = cache(self._all_paths)

    def names(self, level: str, codes: Codes) -> pa.Array:
        """Names of codes of a level, ``(n,)`` strings."""
        level = Level(level)
        if level.is_category:
            return self._categories[level.k - 1].take(pa.array(codes))
        return self._dataset.item_name_array.take(pa.array(codes)).cast(pa.string())

    def paths(self, level: str, codes: Codes) -> pa.Array:
        """Names of the categories of codes of a level, coarsest first, ``(n,)`` lists."""
        level = Level(level)
        if not level.is_category:
            codes, level = self._tree.paths[codes, -1].astype(np.int64), Level.category(self._tree.levels)
        return self._paths(level.k).take(pa.array(codes))

    def _all_paths(self, k: int) -> pa.ListArray:
        """Paths of all categories of level k."""
        codes: list[NDArray[np.integer]] = [np.arange(len(self._tree.names[k - 1]))]
        for level in range(k, 1, -1):
            codes.insert(0, self._tree.parents[level - 1][codes[0]])
        n = len(codes[0])
        names = pa.concat_arrays(
            [names.take(pa.array(of)) for names, of in zip(self._categories[:k], codes, strict=True)]
        )
        by_code = np.arange(k * n).reshape(k, n).T.ravel()
        return pa.ListArray.from_arrays(pa.array(np.arange(n + 1) * k, pa.int32()), names.take(pa.array(by_code)))
