"""One category path for each item, from all the categories that the log saw it in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.tables.category_paths import SEPARATOR, ResolvedPaths
from hup.data.taxonomy import NO_CATEGORY

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ItemPaths:
    """The path of every item, and which items were seen elsewhere, too.

    Attributes
    ----------
    paths : Array of string, shape (items,)
        K names joined by `SEPARATOR`, by item id.
    without : tuple of int
        Items in no category, and their events.
    extended, cut : int
        Items whose path stopped early, or went deeper than K.
    moved_items : int
        Items that some of their events saw in another category.
    moved_events : int
        Those events.
    moves : Table
        ``item_id``, ``path`` (the item's), ``other`` and ``events``, a row for each other path of an item.
    """

    paths: pa.StringArray
    without: tuple[int, int]
    extended: int
    cut: int
    moved_items: int
    moved_events: int
    moves: pa.Table

    def move_rows(self, items: pa.Array, batch: int = 1 << 16) -> Iterator[tuple[pa.Array, list[str]]]:
        """Yield item names and a sentence for each row of `moves`."""
        for start in range(0, len(self.moves), batch):
            part = self.moves.slice(start, batch)
            sentences = [
                f"item has another category, too: {_shown(row['other'])} ({row['events']:,} events), used: "
                f"{_shown(row['path'])}"
                for row in part.select(["path", "other", "events"]).to_pylist()
            ]
            yield items.take(part["item_id"].combine_chunks()), sentences


def choose_paths(pairs: pa.Table, resolved: ResolvedPaths, used: Ints, known: Sequence[str | None] = ()) -> ItemPaths:
    """Choose the path of each item: the one that most of its training events saw, then most of all its events.

    Of equals it is the one seen first, then the first by name. An item is in no category only if no row states one.
    The validation and test splits thus decide only about items that training has not seen.

    Parameters
    ----------
    pairs : Table
        ``item_id``, ``category`` (code into `resolved`), ``events``, ``train_events``, ``first_ms``; a row for each
        distinct pair.
    resolved : ResolvedPaths
        The full path of each raw category.
    used : ndarray of int64, shape (items,)
        Events of each item in the dataset; items without any are not counted.
    known : sequence of str or None, optional
        Paths that items have already, by item id; these stay.
    """
    settled = [path for path in known if path is not None]
    names, code = np.unique(np.array([*resolved.paths, *settled], dtype=object), return_inverse=True)
    path_of = code[: len(resolved.paths)]
    pair = _distinct_pairs(pairs, path_of, len(names))
    nowhere = np.flatnonzero(names == SEPARATOR.join([NO_CATEGORY] * resolved.levels))
    missing = np.isin(pair.path, nowhere)
    best = np.lexsort((pair.path, pair.first_ms, -pair.events, -pair.train_events, missing, pair.item))
    item, path, events, missing = pair.item[best], pair.path[best], pair.events[best], missing[best]
    is_first = np.diff(item, prepend=-1) != 0
    chosen = np.empty(len(used), np.int64)
    chosen[item[is_first]] = path[is_first]
    if settled:
        has_path = np.array([path is not None for path in known])
        chosen[has_path] = code[len(resolved.paths) :]
    other = (path != chosen[item]) & ~missing & (used[item] > 0)
    moves = pa.table(
        {
            "item_id": pa.array(item[other]),
            "path": pa.array(names[chosen[item[other]]], pa.string()),
            "other": pa.array(names[path[other]], pa.string()),
            "events": pa.array(events[other]),
        }
    )
    in_none = np.isin(chosen, nowhere) & (used > 0)
    return ItemPaths(
        paths=pa.array(names[chosen], pa.string()),
        without=(int(in_none.sum()), int(used[in_none].sum())),
        extended=_flagged(chosen[used > 0], path_of, resolved.extended, len(names)),
        cut=_flagged(chosen[used > 0], path_of, resolved.cut, len(names)),
        moved_items=len(np.unique(item[other])),
        moved_events=int(events[other].sum()),
        moves=moves,
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Distinct pairs of item and path, in order of item; raw categories of one path are one."""

    item: Ints
    path: Ints
    events: Ints
    train_events: Ints
    first_ms: Ints


def _distinct_pairs(pairs: pa.Table, path_of: npt.NDArray[Any], n_paths: int) -> _Pairs:
    column = {name: pairs[name].to_numpy().astype(np.int64) for name in pairs.column_names}
    item, path = column["item_id"], path_of[column["category"]].astype(np.int64)
    key = item * n_paths + path
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return _Pairs(
        item=item[order][starts],
        path=path[order][starts],
        events=np.add.reduceat(column["events"][order], starts),
        train_events=np.add.reduceat(column["train_events"][order], starts),
        first_ms=np.minimum.reduceat(column["first_ms"][order], starts),
    )


def _flagged(taken: Ints, path_of: npt.NDArray[Any], flag: npt.NDArray[np.bool_], n_paths: int) -> int:
    """Count the items whose path some raw category with this flag became."""
    flagged = np.zeros(n_paths, bool)
    flagged[path_of[flag]] = True
    return int(flagged[taken].sum())


def _shown(path: str) -> str:
    return path.replace(SEPARATOR, " > ")
