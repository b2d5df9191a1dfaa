"""The category tree of a dataset, drawn for a terminal: the biggest branches, or all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.tree import Tree

if TYPE_CHECKING:
    from hup.data.dataset import Dataset

LINES = 40


def category_tree(dataset: Dataset, *, whole: bool = False, depth: int | None = None, lines: int = LINES) -> Tree:
    """Draw the category tree with the items and events of every category.

    Parameters
    ----------
    dataset : Dataset
    whole : bool
        Draw every category; otherwise the biggest, with a remark wherever some are left out.
    depth : int, optional
        Draw levels 1 … depth only.
    lines : int
        Most lines to take, but for the title, where not the whole is drawn.
    """
    from hup.report.counted_tree import CountedTree

    tree = CountedTree.of(dataset.taxonomy, dataset.item_events)
    depth = dataset.levels if depth is None else depth
    allowed = tree.down_to(depth)
    shown = allowed if whole else tree.biggest(depth, lines)
    counts = ", ".join(f"{n:,}" for n in dataset.n_categories)
    drawn = Tree(f"[bold]Category tree[/]: {counts} categories by level; [dim]items, events[/]", guide_style="dim")

    def draw(branch: Tree, group: list[int]) -> None:
        for node in group:
            if node in shown:
                items, events = tree.size([node])
                label = f"{escape(tree.names[node])}  [dim]{items:,}, {events:,}[/]"
                draw(branch.add(label), tree.children[node])
        hidden = [node for node in group if node in allowed and node not in shown]
        if hidden:
            items, events = tree.size(hidden)
            branch.add(f"[dim]… {len(hidden):,} more  {items:,}, {events:,}[/]")

    draw(drawn, tree.roots)
    return drawn
