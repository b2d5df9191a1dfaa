"""The category tree of a dataset with the size of every category, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from hup.data.taxonomy import Taxonomy

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CountedTree:
    """The categories of all levels in one numbering.

    Attributes
    ----------
    names : list of str
    level : ndarray of int64
        1 … K.
    items, events : ndarray of int64
        Sizes.
    children : list of list of int
        Of every category; most events first, of equals by name. A category that merely stands for the one above it (its
        only child, of the same name: a path that stopped early) is left out, and what is below it moves up.
    roots : list of int
        In the same order.
    stand_ins : ndarray of bool
        Those that are left out.
    """

    names: list[str]
    level: Ints
    items: Ints
    events: Ints
    children: list[list[int]]
    roots: list[int]
    stand_ins: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, taxonomy: Taxonomy, item_events: Ints) -> Self:
        """Count items and events of every category; `item_events` has the events of each item, ``(items,)``."""
        sizes = [len(names) for names in taxonomy.names]
        start = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        levels = list(zip(taxonomy.paths.T, sizes, strict=True))
        names = [name for level in taxonomy.names for name in level]
        events = np.concatenate([np.bincount(codes, item_events, n) for codes, n in levels]).astype(np.int64)
        children: list[list[int]] = [[] for _ in names]
        for k in range(1, taxonomy.levels):
            for code, parent in enumerate(taxonomy.parents[k].tolist()):
                children[start[k - 1] + parent].append(start[k] + code)
        stand_ins = np.zeros(len(names), bool)
        for node in reversed(range(len(names))):  # finer levels first
            if len(children[node]) == 1 and names[children[node][0]] == names[node]:
                stand_ins[children[node][0]] = True
                children[node] = children[children[node][0]]
        roots = list(range(sizes[0]))
        for siblings in (*children, roots):
            siblings.sort(key=lambda node: (-events[node], names[node]))
        return cls(
            names=names,
            level=np.repeat(np.arange(1, taxonomy.levels + 1), sizes),
            items=np.concatenate([np.bincount(codes, minlength=n) for codes, n in levels]),
            events=events,
            children=children,
            roots=roots,
            stand_ins=stand_ins,
        )

    def down_to(self, depth: int) -> set[int]:
        """Give the categories of level 1 … depth that are to be drawn."""
        return set(self._nodes(depth).tolist())

    def size(self, nodes: Sequence[int]) -> tuple[int, int]:
        """Add up items and events."""
        at = np.asarray(nodes, np.int64)
        return int(self.items[at].sum()), int(self.events[at].sum())

    def biggest(self, depth: int, lines: int) -> set[int]:
        """Choose the categories with most events, so that they and the remarks about the others fit `lines`.

        A category has no more events than the one above it, so whatever is chosen hangs together.

        Parameters
        ----------
        depth : int
            Choose from level 1 … depth.
        lines : int
            Wherever something is left out takes a line, too.
        """
        nodes = self._nodes(depth)
        order = nodes[np.lexsort((self.level[nodes], -self.events[nodes]))].tolist()
        allowed = set(order)
        low, high = 0, min(len(order), lines)
        while low < high:
            middle = (low + high + 1) // 2
            chosen = set(order[:middle])
            groups = [self.roots, *(self.children[node] for node in chosen)]
            remarks = sum(any(node in allowed and node not in chosen for node in group) for group in groups)
            if middle + remarks <= lines:
                low = middle
            else:
                high = middle - 1
        return set(order[:low])

    def _nodes(self, depth: int) -> Ints:
        return np.flatnonzero((self.level <= depth) & ~self.stand_ins)
