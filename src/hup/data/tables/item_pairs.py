"""How often each item was seen in each category, by the events that a dataset gets."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from hup.data.tables.table_sessions import CutSessions

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


def count_pairs(cut: CutSessions, order: Ints, n_train: int, n_categories: int) -> ItemPairs:
    """Count the pairs of all used events, chunk by chunk.

    Parameters
    ----------
    cut : CutSessions
        Sessions and events.
    order : ndarray of int64, shape (sessions,)
        Session at each place of the stored order.
    n_train : int
        The first so many places are for training.
    n_categories : int
        Number of category codes.
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    items, categories = cut.events()["item_id"], cut.categories()
    length = cut.sessions.length
    ends = np.cumsum(length)
    found: list[ItemPairs] = []
    first = 0
    while first < len(order):
        begin = int(ends[first] - length[first])
        last = max(first + 1, int(np.searchsorted(ends, begin + CHUNK_EVENTS, side="right")))
        events = slice(begin, int(ends[last - 1]))
        rank = np.repeat(place[first:last], length[first:last])
        item, category = items[events].astype(np.int64), categories[events].astype(np.int64)
        each = ItemPairs(item, category, np.ones(len(item), np.int64), (rank < n_train).astype(np.int64), rank)
        found.append(by_category(each, n_categories))
        if sum(len(pairs.item) for pairs in found[1:]) > len(found[0].item) + CHUNK_EVENTS:
            found = [by_category(_joined(found), n_categories)]
        first = last
    return by_category(_joined(found), n_categories)


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
