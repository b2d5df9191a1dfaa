"""What a model knows by name: items, categories and behaviors of the training split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from hup.data.dataset import Behavior, Dataset
from hup.data.taxonomy import NO_CATEGORY
from hup.errors import HupError
from hup.files import write_aside
from hup.sessions.levels import Level, ranked_levels
from hup.sessions.runs import run_counts

ITEMS, CATEGORIES = "items.parquet", "categories.parquet"
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Names and codes of the training split.

    Attributes
    ----------
    items : list of str
        Names by code.
    paths : ndarray
        ``(n_items, K)`` int64, categories of every item, coarsest first.
    categories : tuple of list of str
        Names by code, for category_1 … category_K.
    parents : tuple of ndarray
        For each level, the code of every category's parent at the level above (-1 at level 1).
    behaviors : list of Behavior
    counts : dict of str to ndarray
        Runs in the training split by level, "item" and "category_k": what popularity means here.
    """

    items: list[str]
    paths: IntArray
    categories: tuple[list[str], ...]
    parents: tuple[IntArray, ...]
    behaviors: list[Behavior]
    counts: dict[str, IntArray] = field(repr=False)

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Take the training vocabulary of a dataset."""
        n_items, sizes = dataset.n_train_items, dataset.n_train_categories
        tree = dataset.taxonomy
        return cls(
            items=dataset.item_names[:n_items],
            paths=tree.paths[:n_items].astype(np.int64),
            categories=tuple(list(names[:n]) for names, n in zip(tree.names, sizes, strict=True)),
            parents=tuple(parent[:n].astype(np.int64) for parent, n in zip(tree.parents, sizes, strict=True)),
            behaviors=dataset.behaviors,
            counts={level: run_counts(dataset, level) for level in ranked_levels(dataset.levels)},
        )

    @property
    def levels(self) -> int:
        """Number of category levels, K."""
        return len(self.categories)

    def size(self, level: str) -> int:
        """Count the known codes of a level."""
        return len(Level(level).pick(self.items, self.categories))

    def ancestors(self, k: int) -> Tensor:
        """Ancestors of every category of level k, ``(n_k, k - 1)`` int64, coarsest first."""
        columns: list[IntArray] = []
        code = np.arange(len(self.categories[k - 1]))
        for level in range(k - 1, 0, -1):
            code = self.parents[level][code]
            columns.insert(0, code)
        return torch.from_numpy(np.stack(columns, axis=1) if columns else np.zeros((len(code), 0), dtype=np.int64))

    @cached_property
    def item_codes(self) -> dict[str, int]:
        """Code of every item by name."""
        return {name: code for code, name in enumerate(self.items)}

    @cached_property
    def category_codes(self) -> dict[tuple[str, ...], int]:
        """Code of every category by its path of names, coarsest first; the level is the path's length."""
        codes: dict[tuple[str, ...], int] = {}
        above: list[tuple[str, ...]] = [()]
        for names, parents in zip(self.categories, self.parents, strict=True):
            here = [(*above[max(int(parent), 0)], name) for name, parent in zip(names, parents, strict=True)]
            codes.update({path: code for code, path in enumerate(here)})
            above = here
        return codes

    @cached_property
    def no_category(self) -> tuple[int, ...]:
        """For level 1 … K the code of "no category", -1 where training saw none."""
        return tuple(self.category_codes.get((NO_CATEGORY,) * k, -1) for k in range(1, self.levels + 1))

    @cached_property
    def behavior_codes(self) -> dict[str, int]:
        """Index of every behavior by code and by name."""
        by_name = {behavior.name: index for index, behavior in enumerate(self.behaviors)}
        return by_name | {behavior.code: index for index, behavior in enumerate(self.behaviors)}

    def category_path(self, k: int, code: int) -> tuple[str, ...]:
        """Names from category_1 down to the category of level k."""
        names: list[str] = []
        for level in range(k, 0, -1):
            names.insert(0, self.categories[level - 1][code])
            code = int(self.parents[level - 1][code])
        return tuple(names)

    def save(self, folder: Path) -> None:
        """Write items and categories into a model folder."""
        items = {"item": pa.array(self.items, pa.string()), "runs": self.counts["item"]}
        items |= {f"category_{k}": self.paths[:, k - 1] for k in range(1, self.levels + 1)}
        rows = {
            "level": np.repeat(np.arange(1, self.levels + 1, dtype=np.int8), [len(names) for names in self.categories]),
            "code": np.concatenate([np.arange(len(names)) for names in self.categories]),
            "category": pa.array([name for names in self.categories for name in names], pa.string()),
            "parent": np.concatenate(self.parents),
            "runs": np.concatenate([self.counts[f"category_{k}"] for k in range(1, self.levels + 1)]),
        }
        for name, columns in ((ITEMS, items), (CATEGORIES, rows)):
            with write_aside(folder / name) as path:
                pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, folder: Path, behaviors: Sequence[Behavior]) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        HupError
            If a file is missing or does not read.
        """
        items = _read(folder / ITEMS, ("item", "category_1", "runs"))
        rows = _read(folder / CATEGORIES, ("level", "category", "parent", "runs"))
        depth = len([name for name in items.column_names if name.startswith("category_")])
        level = rows.column("level").to_numpy()
        parts = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in ("parent", "runs")}
        names = rows.column("category").to_pylist()
        bounds = np.searchsorted(level, np.arange(1, depth + 2))
        spans = [slice(int(low), int(high)) for low, high in pairwise(bounds)]
        counts = {f"category_{k}": parts["runs"][span] for k, span in enumerate(spans, 1)}
        return cls(
            items=items.column("item").to_pylist(),
            paths=np.stack([items.column(f"category_{k}").to_numpy() for k in range(1, depth + 1)], axis=1),
            categories=tuple(names[span] for span in spans),
            parents=tuple(parts["parent"][span] for span in spans),
            behaviors=list(behaviors),
            counts={"item": items.column("runs").to_numpy(), **counts},
        )


def _read(path: Path, needed: Sequence[str]) -> pa.Table:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise HupError(f"{path.parent} is not a complete model folder: {path.name} is missing.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise HupError(f"{path} does not read as Parquet ({error}).") from None
    if missing := [name for name in needed if name not in table.column_names]:
        raise HupError(f"{path} has no column {missing[0]}; expected {', '.join(needed)} at least.")
    return table
