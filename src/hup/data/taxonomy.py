"""The category tree of a dataset, where each item sits in it, and the codes that items and categories get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hup.errors import HupError

Ints = npt.NDArray[np.int64]

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

    @property
    def is_empty(self) -> bool:
        """Whether there is no category at all: what there is says "no category"."""
        return all(name == NO_CATEGORY for name in self.names[0])

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


class FirstAppearance:
    """Gives codes 0, 1, 2 … to ids in the order in which they first appear in a stream.

    Parameters
    ----------
    n_ids : int
        Ids are 0 … n_ids - 1.
    """

    def __init__(self, n_ids: int) -> None:
        self._code: npt.NDArray[np.int32] = np.full(n_ids, -1, np.int32)
        self._count = np.zeros(n_ids, np.int64)
        self._ids: list[npt.NDArray[Any]] = []
        self._n = 0

    def encode(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
        """Give the codes of the next stretch of the stream."""
        new = ids[self._code[ids] < 0]
        if len(new):
            distinct, first = np.unique(new, return_index=True)
            appeared = distinct[np.argsort(first)]
            self._code[appeared] = np.arange(self._n, self._n + len(appeared), dtype=np.int32)
            self._ids.append(appeared)
            self._n += len(appeared)
        self._count += np.bincount(ids, minlength=len(self._count))
        codes: npt.NDArray[np.int32] = self._code[ids]
        return codes

    def ids(self) -> Ints:
        """Give the id of each code."""
        return np.concatenate([np.empty(0, np.int64), *self._ids])

    def counts(self) -> Ints:
        """Give the number of times each code appeared."""
        return self._count[self.ids()]


@dataclass(frozen=True, eq=False)
class CodedItems:
    """Items and categories by code.

    Attributes
    ----------
    items : LargeStringArray
        Name of each item.
    item_events : ndarray of int64
        Events of each item.
    taxonomy : Taxonomy
        Names, parents and item paths.
    """

    items: pa.LargeStringArray
    item_events: Ints
    taxonomy: Taxonomy

    def item_batch(self) -> pa.RecordBatch:
        """Give the rows of ``items.arrow``."""
        levels = range(self.taxonomy.levels)
        return pa.record_batch(
            {
                "item": self.items,
                **{f"category_{k + 1}": pa.array(np.ascontiguousarray(self.taxonomy.paths[:, k])) for k in levels},
                "events": pa.array(self.item_events),
            }
        )

    def category_table(self) -> pa.Table:
        """Give the rows of ``taxonomy.parquet``."""
        return pa.concat_tables([self._level_table(level) for level in range(1, self.taxonomy.levels + 1)])

    def _level_table(self, level: int) -> pa.Table:
        names = self.taxonomy.names[level - 1]
        codes = self.taxonomy.paths[:, level - 1]
        events = np.bincount(codes, weights=self.item_events, minlength=len(names)).astype(np.int64)
        return pa.table(
            {
                "level": pa.array(np.full(len(names), level, np.int8)),
                "code": pa.array(np.arange(len(names), dtype=np.int32)),
                "category": pa.array(names, pa.string()),
                "parent": pa.array(self.taxonomy.parents[level - 1]),
                "items": pa.array(np.bincount(codes, minlength=len(names)).astype(np.int64)),
                "events": pa.array(events),
                "path": pa.array([" > ".join(path) for path in self.taxonomy.level_paths(level)], pa.string()),
            }
        )


def coded_items(items: pa.Table, appearance: FirstAppearance, levels: int, separator: str) -> CodedItems:
    """Give codes to the items and categories of a log, by first appearance.

    Parameters
    ----------
    items : Table
        Columns ``item`` and ``path`` (K names joined by `separator`), row by item id.
    appearance : FirstAppearance
        The codes of the items, after the whole log.
    levels : int
        K, the number of names in every path.
    separator : str
        What joins the names of a path.
    """
    ids = pa.array(appearance.ids())
    seen = items.take(ids).combine_chunks()
    parts = pc.split_pattern(seen["path"].cast(pa.large_string()), separator).combine_chunks().flatten()
    n_items = len(ids)
    codes = np.empty((n_items, levels), np.int32)
    level_names, parents = [], []
    parent = np.full(n_items, -1, np.int64)
    for level in range(levels):
        column = parts.take(pa.array(np.arange(level, n_items * levels, levels)))
        distinct = column.dictionary_encode()
        # A category is its path, so one name under two parents makes two keys. Items come in order of first
        # appearance, hence so do their categories.
        keys = (parent + 1) * len(distinct.dictionary) + distinct.indices.to_numpy()
        codes[:, level], first = _codes_by_first_appearance(keys)
        level_names.append(column.take(pa.array(first)).to_pylist())
        parents.append(parent[first].astype(np.int32))
        parent = codes[:, level].astype(np.int64)
    return CodedItems(
        items=seen["item"].cast(pa.large_string()).combine_chunks(),
        item_events=appearance.counts(),
        taxonomy=Taxonomy(paths=codes, names=tuple(level_names), parents=tuple(parents)),
    )


def _codes_by_first_appearance(keys: Ints) -> tuple[npt.NDArray[np.int32], Ints]:
    """Give the code of each key and the place where each code first appears."""
    _distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    code = np.empty(len(first), np.int32)
    code[order] = np.arange(len(first), dtype=np.int32)
    return code[inverse], first[order]
