"""What a model knows by name, items, categories and behaviors of the training split; and named events in its codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from hup.data.dataset import Behavior, Dataset
from hup.data.taxonomy import NO_CATEGORY, extended_path
from hup.errors import HupError
from hup.files import write_aside
from hup.sessions.batches import Histories
from hup.sessions.events import Event, between, dwell_until, elapsed, interval_until, intervals
from hup.sessions.levels import Level, ranked_levels
from hup.sessions.runs import run_counts

ITEMS, CATEGORIES = "items.parquet", "categories.parquet"
IntArray = npt.NDArray[np.int64]
CodePath = tuple[int, ...]


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
    def category_paths(self) -> tuple[list[tuple[str, ...]], ...]:
        """Names from category_1 down to every category, by code, for category_1 … category_K."""
        paths: list[list[tuple[str, ...]]] = []
        above: list[tuple[str, ...]] = [()]
        for names, parents in zip(self.categories, self.parents, strict=True):
            above = [(*above[max(int(parent), 0)], name) for name, parent in zip(names, parents, strict=True)]
            paths.append(above)
        return tuple(paths)

    @cached_property
    def category_codes(self) -> dict[tuple[str, ...], int]:
        """Code of every category by its path of names, coarsest first; the level is the path's length."""
        return {path: code for paths in self.category_paths for code, path in enumerate(paths)}

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
        return self.category_paths[k - 1][code]

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


@dataclass(frozen=True)
class Seen:
    """An item of a live session: its code, beyond the vocabulary if unknown, and its path in codes and in names."""

    code: int
    path: CodePath
    names: tuple[str, ...]


class SessionReader:
    """Turns named events into codes of a vocabulary.

    Parameters
    ----------
    vocabulary : Vocabulary
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._known: dict[int, Seen] = {}  # what has been asked for

    def items(self, session: Iterable[Event]) -> dict[str, Seen]:
        """Every item of a session by name."""
        items: dict[str, Seen] = {}
        for event in session:
            items = self.meet(items, event)
        return items

    def histories(self, sessions: Iterable[Sequence[Event]], now: Sequence[float | None] | None = None) -> Histories:
        """Lay out whole sessions, none of them empty, as a batch; the twin of folding them event by event."""
        rows: dict[str, list[Any]] = {"item": [], "path": [], "behavior": [], "interval": [], "dwell": []}
        lengths = []
        for number, session in enumerate(sessions):
            items = self.items(session)
            moment = None if now is None else now[number]
            for run, following in item_runs(session):
                last = between(run[-1], moment) if following is None else interval_until(run[-1], following)
                dwell = elapsed(run, moment) if following is None else dwell_until(run, following)
                rows["interval"] += intervals(run, last)
                rows["dwell"] += [dwell] * len(run)
            rows["item"] += [items[event.item].code for event in session]
            rows["path"] += [items[event.item].path for event in session]
            rows["behavior"] += [self.behavior(event) for event in session]
            lengths.append(len(session))
        times = {key: np.array(rows[key], dtype=np.float64) / 1000 for key in ("interval", "dwell")}
        for value in times.values():
            value[value < 0] = np.nan
        return Histories(
            offsets=torch.tensor([0, *np.cumsum(lengths).tolist()]),
            item=torch.tensor(rows["item"]),
            categories=torch.tensor(rows["path"]),
            behavior=torch.tensor(rows["behavior"]),
            interval=torch.from_numpy(times["interval"].astype(np.float32)),
            dwell=torch.from_numpy(times["dwell"].astype(np.float32)),
        )

    def meet(self, items: dict[str, Seen], event: Event) -> dict[str, Seen]:
        """Make sure that the event's item is among some, with its identity and path; what was given is not changed."""
        if event.item in items:
            return items
        return {**items, event.item: self.known(event.item) or self._unknown(items, event)}

    def known(self, item: str) -> Seen | None:
        """Give an item of the vocabulary; None = it is none."""
        code = self.vocabulary.item_codes.get(item)
        if code is None:
            return None
        if code not in self._known:
            path = tuple(self.vocabulary.paths[code].tolist())
            self._known[code] = Seen(code, path, self.vocabulary.category_path(len(path), path[-1]))
        return self._known[code]

    def _unknown(self, items: Mapping[str, Seen], event: Event) -> Seen:
        """Give an item that the vocabulary lacks the next code beyond it, and so its categories."""
        names = extended_path(event.categories, self.vocabulary.levels)  # as a log's items get theirs
        path = tuple(self._category(names[:k], items) for k in range(1, self.vocabulary.levels + 1))
        before = max((seen.code for seen in items.values()), default=-1)
        return Seen(max(before + 1, len(self.vocabulary.items)), path, names)

    def _category(self, names: tuple[str, ...], items: Mapping[str, Seen]) -> int:
        """Code of a category by its path; one that the vocabulary lacks has that of a session's item, or the next."""
        known = self.vocabulary.category_codes.get(names)
        if known is not None:
            return known
        k = len(names)
        same = (seen.path[k - 1] for seen in items.values() if seen.names[:k] == names)
        before = max((seen.path[k - 1] for seen in items.values()), default=-1)
        return next(same, max(before + 1, self.vocabulary.size(Level.category(k))))

    def behavior(self, event: Event) -> int:
        """Code of the event's behavior, -1 if unknown."""
        return self.vocabulary.behavior_codes.get(event.behavior, -1)


def item_runs(session: Sequence[Event]) -> Iterable[tuple[Sequence[Event], Event | None]]:
    """Item runs of a session, each with the event that follows it."""
    start = 0
    for end in range(1, len(session) + 1):
        if end == len(session) or session[end].item != session[start].item:
            yield session[start:end], session[end] if end < len(session) else None
            start = end
