"""The category tree of a dataset, and where each item sits in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hup.errors import HupError

NO_CATEGORY = "(none)"
"""Name of the category, at every level, of items that have none.

It is read like any other category, but never recommended, trained towards or counted in an evaluation.
"""


def extended_path(parts: Sequence[str], levels: int) -> tuple[str, ...]:
    """Give the category path of exactly `levels` names that stands for a path of any length.

    Parameters
    ----------
    parts : sequence of str
        Names, coarsest first.
    levels : int
        K, the number of names wanted.

    Returns
    -------
    tuple of str
        A path that stops early stands for itself at the finer levels; one that goes deeper is cut to its first names;
        an empty one is `NO_CATEGORY` at every level.

    Examples
    --------
    >>> extended_path(["electronics", "smartphone"], 3)
    ('electronics', 'smartphone', 'smartphone')
    >>> extended_path(["electronics", "audio", "headphone"], 2)
    ('electronics', 'audio')
    >>> extended_path([], 2)
    ('(none)', '(none)')
    """
    kept = tuple(parts[:levels]) or (NO_CATEGORY,)
    return kept + kept[-1:] * (levels - len(kept))


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Category tree with K levels, ``category_1`` coarsest.

    Attributes
    ----------
    paths : ndarray of int32, shape (items, K)
        Category codes of each item; column k-1 holds level k. No rows where only the tree was read.
    names : tuple of list of str
        ``names[k-1][code]`` is the name of a category of level k (last component of its path).
    parents : tuple of ndarray of int32
        ``parents[k-1][code]`` is the code of its parent at level k-1; -1 at level 1.
    """

    paths: npt.NDArray[np.int32]
    names: tuple[list[str], ...]
    parents: tuple[npt.NDArray[np.int32], ...]

    @classmethod
    def read(cls, path: str | Path, paths: npt.NDArray[np.int32] | None = None) -> Self:
        """Read the tree back from ``taxonomy.parquet`` of a dataset folder.

        Parameters
        ----------
        path : path
            The Parquet file: one row a category with ``level`` (1 … K), ``code`` (0, 1, … at each level), ``category``
            (its name), ``parent`` (code at the level above, -1 at level 1); other columns are for people.
        paths : ndarray of int32, shape (items, K), optional
            Category codes of items, if they are to go with the tree; ``items.arrow`` has them.

        Raises
        ------
        HupError
            If there is no such file, or it is no tree: a level or code is missing, or a parent does not exist.

        Examples
        --------
        >>> Taxonomy.read("dataset/taxonomy.parquet").names[0]         # doctest: +SKIP
        ['electronics', '(none)', 'furniture']
        """
        try:
            table = pq.read_table(path, columns=["level", "code", "category", "parent"])
        except FileNotFoundError:
            raise HupError(f"There is no taxonomy {path}.") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise HupError(f"{path} does not read as a taxonomy ({error}).") from error
        if missing := [name for name in ("level", "code", "category", "parent") if name not in table.column_names]:
            raise HupError(f"{path} does not read as a taxonomy: it has no column {missing[0]}.")
        level, code, parent = (table.column(name).to_numpy() for name in ("level", "code", "parent"))
        category = table.column("category").to_pylist()
        names: list[list[str]] = []
        parents: list[npt.NDArray[np.int32]] = []
        for k in range(1, int(level.max(initial=0)) + 1):
            rows = np.flatnonzero(level == k)
            rows = rows[np.argsort(code[rows], kind="stable")]
            if not len(rows) or not np.array_equal(code[rows], np.arange(len(rows))):
                raise HupError(f"{path}: codes of level {k} are not 0, 1, 2, …, each once.")
            above, least = (len(names[-1]) - 1, 0) if names else (-1, -1)
            if parent[rows].min() < least or parent[rows].max() > above:
                raise HupError(f"{path}: a category of level {k} has a parent that does not exist.")
            names.append([category[row] for row in rows])
            parents.append(parent[rows].astype(np.int32))
        if not names:
            raise HupError(f"{path} has no categories.")
        if paths is None:
            paths = np.empty((0, len(names)), np.int32)
        return cls(paths=paths, names=tuple(names), parents=tuple(parents))

    @property
    def levels(self) -> int:
        """Number of category levels, K."""
        return len(self.names)

    @cached_property
    def no_category(self) -> tuple[int, ...]:
        """For level 1 … K the code of `NO_CATEGORY` (the category of items without one), -1 where there is none."""
        found: list[int] = []
        for names, parents in zip(self.names, self.parents, strict=True):
            above = found[-1] if found else -1
            here = [code for code, name in enumerate(names) if name == NO_CATEGORY and parents[code] == above]
            found.append(here[0] if here else -1)
        return tuple(found)

    def path_names(self, level: int, code: int) -> tuple[str, ...]:
        """Names from the coarsest level down to category `code` of `level` (1 … K)."""
        names: list[str] = []
        for depth in range(level, 0, -1):
            names.append(self.names[depth - 1][code])
            code = int(self.parents[depth - 1][code])
        return tuple(reversed(names))

    def level_paths(self, level: int) -> list[tuple[str, ...]]:
        """Names from the coarsest level down, for every category of `level` (1 … K), by code."""
        paths: list[tuple[str, ...]] = [()]
        for names, parents in zip(self.names[:level], self.parents[:level], strict=True):
            paths = [(*paths[max(above, 0)], name) for name, above in zip(names, parents.tolist(), strict=True)]
        return paths
