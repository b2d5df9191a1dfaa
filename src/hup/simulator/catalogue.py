"""The shop: a category tree, items in its leaves, and the hidden styles and successors that sessions follow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hup.simulator.config import SimulatorConfig

_FIRST_ITEM_NUMBER = 100_000
RELATED = 4
"""Categories that a category leads to."""


@dataclass(frozen=True)
class Catalogue:
    """Items, their one path in the category tree, and what the log does not show: styles and successors.

    Items are numbered so that the items of a style are neighbours, most popular first; styles of a category likewise.

    Attributes
    ----------
    tree : tuple of int32 arrays
        ``tree[k - 1][c]`` is the parent (a code of level k - 1) of category ``c`` of level k; level 1 has -1.
    leaf : (M,) int32
        Finest category of each item.
    style : (M,) int32
        Style of each item, numbered over the whole shop.
    successor : (M,) int32
        Another item of the same style that users tend to look at next (itself if the style has one item only).
    number : (M,) int64
        The number that the log shows as the item's name; it says nothing about category or popularity.
    style_start, style_size : (number of styles,) int64
    leaf_first_style, leaf_styles : (number of leaves,) int64
    related : (number of leaves, 4) int32
        Categories that this one leads to: siblings first, another branch last.
    leaf_share : (number of leaves,) float64
        How popular each finest category is; sums to 1.
    """

    tree: tuple[NDArray[np.int32], ...]
    leaf: NDArray[np.int32]
    style: NDArray[np.int32]
    successor: NDArray[np.int32]
    number: NDArray[np.int64]
    style_start: NDArray[np.int64]
    style_size: NDArray[np.int64]
    leaf_first_style: NDArray[np.int64]
    leaf_styles: NDArray[np.int64]
    related: NDArray[np.int32]
    leaf_share: NDArray[np.float64]

    @property
    def levels(self) -> int:
        """Number of category levels K."""
        return len(self.tree)

    @property
    def items(self) -> int:
        """Number of items M."""
        return len(self.leaf)

    @cached_property
    def leaf_paths(self) -> NDArray[np.int32]:
        """(number of leaves, K) codes from the coarsest to the finest level."""
        path = np.empty((len(self.tree[-1]), self.levels), np.int32)
        path[:, -1] = np.arange(len(self.tree[-1]))
        for level in range(self.levels - 1, 0, -1):
            path[:, level - 1] = self.tree[level][path[:, level]]
        return path

    @property
    def paths(self) -> NDArray[np.int32]:
        """(M, K) category codes of every item, coarsest level first."""
        paths: NDArray[np.int32] = self.leaf_paths[self.leaf]
        return paths


def build_catalogue(config: SimulatorConfig) -> Catalogue:
    """Build the shop of a configuration; it depends on the seed, the items, the levels and the categories only."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(0,)))
    leaves = config.leaf_count()
    tree = _grow_tree(rng, leaves, config.levels, config.popularity_exponent)
    share = _zipf_shares(leaves, config.popularity_exponent)[rng.permutation(leaves)]
    leaf_items = _spread(config.items, share**0.8)
    leaf_styles = np.maximum(1, np.rint(leaf_items / config.style_items).astype(np.int64))
    style_size = _split_evenly(leaf_items, leaf_styles)
    style_start = np.cumsum(style_size) - style_size
    style = np.repeat(np.arange(len(style_size), dtype=np.int32), style_size)
    return Catalogue(
        tree=tree,
        leaf=np.repeat(np.arange(leaves, dtype=np.int32), leaf_items),
        style=style,
        successor=_successors(rng, style, style_start, style_size),
        number=rng.permutation(config.items) + _FIRST_ITEM_NUMBER,
        style_start=style_start,
        style_size=style_size,
        leaf_first_style=np.cumsum(leaf_styles) - leaf_styles,
        leaf_styles=leaf_styles,
        related=_related_leaves(rng, tree, share),
        leaf_share=share,
    )


def _zipf_shares(count: int, exponent: float) -> NDArray[np.float64]:
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _grow_tree(rng: np.random.Generator, leaves: int, levels: int, exponent: float) -> tuple[NDArray[np.int32], ...]:
    """Widths grow geometrically to the leaves; every parent has a child, the others go to parents by Zipf."""
    widths = [max(1, round(leaves ** (level / levels))) for level in range(1, levels + 1)]
    tree = [np.full(widths[0], -1, np.int32)]
    for parents, children in pairwise(widths):
        rest = rng.choice(parents, children - parents, p=_zipf_shares(parents, exponent))
        tree.append(rng.permutation(np.concatenate([np.arange(parents), rest])).astype(np.int32))
    return tuple(tree)


def _spread(total: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Share out ``total`` by weights, at least one each, exactly."""
    spare = total - len(weights)
    exact = weights / weights.sum() * spare
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    largest = np.argsort(counts - exact, kind="stable")[: spare - int(counts.sum())]
    counts[largest] += 1
    return counts + 1


def _split_evenly(totals: NDArray[np.int64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    owner = np.repeat(np.arange(len(parts)), parts)
    position = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    sizes: NDArray[np.int64] = totals[owner] // parts[owner] + (position < totals[owner] % parts[owner])
    return sizes


def _successors(
    rng: np.random.Generator,
    style: NDArray[np.int32],
    style_start: NDArray[np.int64],
    style_size: NDArray[np.int64],
) -> NDArray[np.int32]:
    """One random cycle through the items of each style."""
    cycle = np.lexsort((rng.random(len(style)), style))
    position = np.arange(len(style)) - style_start[style]
    following = style_start[style] + (position + 1) % style_size[style]
    successor = np.empty(len(style), np.int32)
    successor[cycle] = cycle[following]
    return successor


def _related_leaves(
    rng: np.random.Generator, tree: tuple[NDArray[np.int32], ...], share: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Siblings where there are any, and one category drawn from the whole shop."""
    leaves = len(share)
    related = rng.choice(leaves, (leaves, RELATED), p=share)
    if len(tree) > 1:
        parent = tree[-1]
        for leaf in range(leaves):
            siblings = np.flatnonzero(parent == parent[leaf])
            siblings = siblings[siblings != leaf]
            if len(siblings):
                related[leaf, : RELATED - 1] = rng.choice(siblings, RELATED - 1)
    own = related == np.arange(leaves)[:, None]
    related[own] = (related[own] + 1) % leaves
    return related.astype(np.int32)
