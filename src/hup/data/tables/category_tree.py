"""A category tree from a table that says which category lies in which.

Such tables are kept by hand, so they have holes and knots. What is done about each:

- A category that has no parent is a root; so is one that is its own parent, as some shops write roots.
- A parent that has no row of its own is a root, too, so that its children stay together.
- Of several parents of one category the last one named counts, as tables are corrected by adding to them.
- Categories that lie in each other in a circle hang below the one of the smallest name, which becomes a root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hup.data.taxonomy import NO_CATEGORY

_SHOWN = 3
_SHOWN_CYCLE = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class CategoryTree:
    """Categories, each below one parent or none.

    Attributes
    ----------
    parents : dict of str to (str or None)
        Parent of each category; None: it is a root. Parents come before their children.
    unknown_parents : tuple of str
        Parents that had no row of their own, by name.
    several_parents : dict of str to tuple of str
        Categories that were given several parents, and these in order of their last mention; the last one counts.
    cycles : tuple of tuple of str
        Circles that were opened, each from its new root downwards.
    """

    parents: dict[str, str | None]
    unknown_parents: tuple[str, ...] = ()
    several_parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cycles: tuple[tuple[str, ...], ...] = ()

    def paths(self, levels: int) -> dict[str, tuple[str, ...]]:
        """Give the first `levels` names of the path of each category, coarsest first."""
        paths: dict[str, tuple[str, ...]] = {}
        for name, parent in self.parents.items():
            above = () if parent is None else paths[parent]
            paths[name] = above if len(above) == levels else (*above, name)
        return paths

    def depths(self) -> dict[str, int]:
        """Give the number of names in the whole path of each category; 1 for a root."""
        depths: dict[str, int] = {}
        for name, parent in self.parents.items():
            depths[name] = 1 if parent is None else depths[parent] + 1
        return depths

    @property
    def notes(self) -> tuple[str, ...]:
        """What was odd, in sentences with examples."""
        notes = []
        if self.unknown_parents:
            notes.append(
                f"Categories that are named as parents only are taken as roots: {len(self.unknown_parents):,}, such as "
                f"{_listed(self.unknown_parents)}."
            )
        if self.several_parents:
            examples = (f"{name} (in {', then '.join(given)})" for name, given in self.several_parents.items())
            notes.append(
                f"Categories in several parents; the last one counts: {len(self.several_parents):,}, such as "
                f"{_listed(examples)}."
            )
        if self.cycles:
            examples = (_circle(cycle) for cycle in self.cycles)
            notes.append(
                f"Categories that lie in each other in a circle; the first one becomes a root: {len(self.cycles):,} "
                f"circles, such as {_listed(examples)}."
            )
        return tuple(notes)


def build_tree(categories: Iterable[str | None], parents: Iterable[str | None]) -> CategoryTree:
    """Make a tree of the rows of a parent table.

    Parameters
    ----------
    categories, parents : iterable of str or None
        A category and the one it lies in, row by row. Rows without a category say nothing. A parent that is missing
        takes none away that another row names.

    Returns
    -------
    CategoryTree
        Depends on the order of rows only where a category is given several parents.
    """
    named: dict[str, dict[str, None]] = {}
    for category, parent in zip(categories, parents, strict=True):
        child, above = clean_name(category), clean_name(parent)
        if not child:
            continue
        given = named.setdefault(child, {})
        if above and above != child:
            given.pop(above, None)
            given[above] = None
    table: dict[str, str | None] = {child: next(reversed(given), None) for child, given in named.items()}
    unknown = tuple(sorted({parent for parent in table.values() if parent is not None and parent not in table}))
    cycles = _open_cycles(table)
    return CategoryTree(
        parents=_parents_first(table),
        unknown_parents=unknown,
        several_parents={child: tuple(given) for child, given in named.items() if len(given) > 1},
        cycles=cycles,
    )


def clean_name(name: str | None) -> str:
    """Give a category's name without control characters, nor blanks at its ends; empty if there is none."""
    cleaned = _CONTROL.sub(" ", name or "").strip()
    return "" if cleaned == NO_CATEGORY else cleaned


def _open_cycles(table: dict[str, str | None]) -> tuple[tuple[str, ...], ...]:
    """Make the smallest name of each circle a root; returns the circles, by that name."""
    cycles = []
    walk_of: dict[str, str] = {}
    for start in table:
        walk: list[str] = []
        name: str | None = start
        while name in table and name not in walk_of:
            walk_of[name] = start
            walk.append(name)
            name = table[name]
        if name is not None and walk_of.get(name) == start:
            upwards = walk[walk.index(name) :]
            root = upwards.index(min(upwards))
            table[upwards[root]] = None
            cycles.append((upwards[root], *reversed(upwards[root + 1 :] + upwards[:root])))
    return tuple(sorted(cycles))


def _parents_first(table: Mapping[str, str | None]) -> dict[str, str | None]:
    """Give the same table, and parents without a row as roots, in an order in which parents come first."""
    ordered: dict[str, str | None] = {}
    for start in table:
        climbed = []
        name: str | None = start
        while name is not None and name not in ordered:
            climbed.append(name)
            name = table.get(name)
        ordered.update((child, table.get(child)) for child in reversed(climbed))
    return ordered


def _listed(examples: Iterable[str]) -> str:
    return "; ".join(example for example, _place in zip(examples, range(_SHOWN), strict=False))


def _circle(cycle: Sequence[str]) -> str:
    inner = list(cycle[:_SHOWN_CYCLE]) + ["…"] * (len(cycle) > _SHOWN_CYCLE)
    return " > ".join([*inner, cycle[0]])
