"""Codes by first appearance, and the category tree that follows from the items' paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.taxonomy import Taxonomy

Ints = npt.NDArray[np.int64]


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
