"""One category path for each item, from how often the events that are used saw it in each category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.tables.categories import SEPARATOR, ResolvedPaths
from hup.data.tables.table_sessions import CutSessions
from hup.data.taxonomy import NO_CATEGORY

Ints = npt.NDArray[np.int64]
CHUNK_EVENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class ItemPairs:
    """Distinct pairs of item and category, in order of both; every column has shape (pairs,).

    Attributes
    ----------
    item, category : ndarray of int64
        Their codes.
    events, train_events : ndarray of int64
        Events of the pair, and those of training sessions among them.
    first : ndarray of int64
        Place of the first session, in stored order, that has the pair.
    """

    item: Ints
    category: Ints
    events: Ints
    train_events: Ints
    first: Ints


def count_pairs(cut: CutSessions, order: Ints, n_train: int, n_items: int, n_categories: int) -> ItemPairs:
    """Count the pairs of all used events, chunk by chunk.

    Nearly all events see an item where it was seen first. These are counted by item; only the others are sorted.

    Parameters
    ----------
    cut : CutSessions
        Sessions and events.
    order : ndarray of int64, shape (sessions,)
        Session at each place of the stored order.
    n_train : int
        The first so many places are for training.
    n_items, n_categories : int
        Number of item ids, and of category codes.
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    items, categories = cut.events()["item_id"], cut.categories()
    length = cut.sessions.length
    ends = np.cumsum(length)
    usual = _UsualPairs(n_items)
    counted: list[ItemPairs] = []
    first = 0
    while first < len(order):
        begin = int(ends[first] - length[first])
        last = max(first + 1, int(np.searchsorted(ends, begin + CHUNK_EVENTS, side="right")))
        events = slice(begin, int(ends[last - 1]))
        rank = np.repeat(place[first:last], length[first:last])
        item, category = items[events], categories[events]
        other = usual.count(item, category, rank, n_train)
        each = ItemPairs(
            item=item[other].astype(np.int64),
            category=category[other].astype(np.int64),
            events=np.ones(len(other), np.int64),
            train_events=(rank[other] < n_train).astype(np.int64),
            first=rank[other],
        )
        counted.append(by_category(each, n_categories))
        if sum(len(pairs.item) for pairs in counted[1:]) > len(counted[0].item) + CHUNK_EVENTS:
            counted = [by_category(_joined(counted), n_categories)]
        first = last
    return by_category(_joined([usual.pairs(), *counted]), n_categories)


class _UsualPairs:
    """Counts of the events that see an item in the category that its first event here saw it in."""

    def __init__(self, n_items: int) -> None:
        self._category = np.full(n_items, -1, np.int64)
        self._events, self._train_events = np.zeros((2, n_items), np.int64)
        self._first = np.full(n_items, np.iinfo(np.int64).max)

    def count(
        self, item: npt.NDArray[np.int32], category: npt.NDArray[np.int32], rank: Ints, n_train: int
    ) -> npt.NDArray[np.intp]:
        """Count events, shape (events,) each, and list those that see an item elsewhere."""
        new = self._category[item] < 0
        self._category[item[new][::-1]] = category[new][::-1]  # of several the first stays
        usual = category == self._category[item]
        item, rank = (item, rank) if usual.all() else (item[usual], rank[usual])
        self._events += np.bincount(item, minlength=len(self._events))
        self._train_events += np.bincount(item[rank < n_train], minlength=len(self._events))
        np.minimum.at(self._first, item, rank)
        return np.flatnonzero(~usual)

    def pairs(self) -> ItemPairs:
        """Give a pair for each item that has events."""
        item = np.flatnonzero(self._events)
        of_items = (self._category, self._events, self._train_events, self._first)
        return ItemPairs(item, *(column[item] for column in of_items))


def _joined(parts: list[ItemPairs]) -> ItemPairs:
    empty = np.empty(0, np.int64)
    return ItemPairs(*(np.concatenate([empty, *(getattr(p, f.name) for p in parts)]) for f in fields(ItemPairs)))


def by_category(pairs: ItemPairs, n_categories: int) -> ItemPairs:
    """Make one pair of equal ones.

    Parameters
    ----------
    pairs : ItemPairs
        In any order, some perhaps equal.
    n_categories : int
        Number of category codes.
    """
    key = pairs.item * n_categories + pairs.category
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    if not len(starts):
        return pairs
    return ItemPairs(
        item=pairs.item[order][starts],
        category=pairs.category[order][starts],
        events=np.add.reduceat(pairs.events[order], starts),
        train_events=np.add.reduceat(pairs.train_events[order], starts),
        first=np.minimum.reduceat(pairs.first[order], starts),
    )


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
