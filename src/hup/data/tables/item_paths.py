"""One category path for each item, from all the categories that the log saw it in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.tables.category_paths import SEPARATOR, ResolvedPaths
from hup.data.tables.item_pairs import ItemPairs, by_category
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


def choose_paths(
    pairs: ItemPairs, resolved: ResolvedPaths, n_items: int, known: Sequence[str | None] = ()
) -> ItemPaths:
    """Choose the path of each item: the one that most of its training events saw, then most of all its events.

    Of equals it is the one seen first, then the first by name. An item is in no category only if no event states one.
    The validation and test splits thus decide only about items that training has not seen.

    Parameters
    ----------
    pairs : ItemPairs
        How often used events saw items in categories; these are codes into `resolved`.
    resolved : ResolvedPaths
        The full path of each raw category.
    n_items : int
        Number of items; those without an event have a path that means nothing.
    known : sequence of str or None, optional
        Paths that items have already, by item id; these stay, and only other items are counted as without category,
        extended or cut.
    """
    nothing = SEPARATOR.join([NO_CATEGORY] * resolved.levels)
    settled = [path for path in known if path is not None]
    names, code = np.unique(np.array([*resolved.paths, *settled, nothing], dtype=object), return_inverse=True)
    path_of = code[: len(resolved.paths)]
    pair = by_category(replace(pairs, category=path_of[pairs.category].astype(np.int64)), len(names))
    missing = pair.category == code[-1]
    best = np.lexsort((pair.category, pair.first, -pair.events, -pair.train_events, missing, pair.item))
    item, path, events, missing = pair.item[best], pair.category[best], pair.events[best], missing[best]
    is_first = np.diff(item, prepend=-1) != 0
    chosen = np.full(n_items, code[-1], np.int64)
    chosen[item[is_first]] = path[is_first]
    is_known = np.zeros(n_items, bool)
    if settled:
        is_known[:] = [path is not None for path in known]
        chosen[is_known] = code[len(resolved.paths) : -1]
    used = np.bincount(item, weights=events, minlength=n_items).astype(np.int64)
    other = (path != chosen[item]) & ~missing
    in_none = (chosen == code[-1]) & (used > 0)
    new = chosen[(used > 0) & ~is_known]
    return ItemPaths(
        paths=pa.array(names[chosen], pa.string()),
        without=(int((in_none & ~is_known).sum()), int(used[in_none].sum())),
        extended=_flagged(new, path_of, resolved.extended, len(names)),
        cut=_flagged(new, path_of, resolved.cut, len(names)),
        moved_items=len(np.unique(item[other])),
        moved_events=int(events[other].sum()),
        moves=pa.table(
            {
                "item_id": pa.array(item[other]),
                "path": pa.array(names[chosen[item[other]]], pa.string()),
                "other": pa.array(names[path[other]], pa.string()),
                "events": pa.array(events[other]),
            }
        ),
    )


def _flagged(taken: Ints, path_of: npt.NDArray[Any], flag: npt.NDArray[np.bool_], n_paths: int) -> int:
    """Count the items whose path some raw category with this flag became."""
    flagged = np.zeros(n_paths, bool)
    flagged[path_of[flag]] = True
    return int(flagged[taken].sum())


def _shown(path: str) -> str:
    return path.replace(SEPARATOR, " > ")
