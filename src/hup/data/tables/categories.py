"""The raw categories of a log as paths of exactly K names, and the tree that a table of parent categories is.

A shop's paths are ragged. What is done about each kind:

- No category: every level is `NO_CATEGORY`.
- A path that stops early stands for itself at the finer levels; one that goes deeper than K is cut to its first K.
- A category is its path: one name under two parents is two categories.
- Empty parts of a path in one column ("a..b") are dropped: they mean nothing.
- In K columns a value keeps its level. A gap between two of them is filled with the coarser name, which stands for
  itself as in a path that stops early; a gap before all of them with `NO_CATEGORY`.
- A path written finest first is turned round. If the mapping says how many levels it has, the finest name may contain
  the delimiter: "Cambridge, Ontario, Canada" of two levels is Canada > "Cambridge, Ontario".
- A category that the table of parents does not know is a root.
- Names have no blanks at their ends and no control characters.

Tables that say which category lies in which are kept by hand, so they have holes and knots:

- A category that has no parent is a root; so is one that is its own parent, as some shops write roots.
- A parent that has no row of its own is a root, too, so that its children stay together.
- Of several parents of one category the last one named counts, as tables are corrected by adding to them.
- Categories that lie in each other in a circle hang below the one of the smallest name, which becomes a root.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hup.data.rejects import FileReject
from hup.data.tables.mapping_rules import CategoryRules
from hup.data.taxonomy import NO_CATEGORY, extended_path

SEPARATOR = "\x1f"
DEEPEST_BY_DEFAULT = 5
_SHOWN = 3
_SHOWN_CYCLE = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_SENTENCES = {
    "extended": "Categories above level {K} stand for themselves at the finer levels",
    "cut": "Categories below level {K} count as the one of level {K} that they lie in",
    "filled": "Categories with a gap in their path take the coarser name there, if any",
    "unlisted": "Categories that the table of parents does not know are taken as roots",
}

Bools = npt.NDArray[np.bool_]
Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ResolvedPaths:
    """The path of each raw category; arrays have shape (raw categories,).

    Attributes
    ----------
    paths : list of str
        K names joined by `SEPARATOR`, coarsest first.
    levels : int
        K.
    missing : ndarray of bool
        No category at any level.
    extended : ndarray of bool
        The path stops before level K.
    cut : ndarray of bool
        The path goes deeper than level K.
    filled : ndarray of bool
        The path has a gap.
    unlisted : ndarray of bool
        The table of parents does not know the category.
    notes : tuple of str
        What was done, in sentences with counts of raw categories and examples.
    """

    paths: list[str]
    levels: int
    missing: Bools
    extended: Bools
    cut: Bools
    filled: Bools
    unlisted: Bools
    notes: tuple[str, ...]


def resolve_paths(
    raw: Sequence[str | None], rules: CategoryRules, levels: int | None = None, tree: CategoryTree | None = None
) -> ResolvedPaths:
    """Give every raw category its path of exactly K names.

    Parameters
    ----------
    raw : sequence of str or None
        Distinct categories as the log has them: a path in one text; the values of K columns joined by `SEPARATOR`,
        empty where missing; or the name of a category in `tree`.
    rules : CategoryRules
        Which of these, and how it is written.
    levels : int, optional
        K; by default what the rules say, else the depth of the deepest path in `raw`, where that is one text at most
        `DEEPEST_BY_DEFAULT`.
    tree : CategoryTree, optional
        Where categories lie.

    Returns
    -------
    ResolvedPaths
        Row by row of `raw`.
    """
    written = _written_in(rules)
    paths = [written(text) if text is not None else () for text in raw]
    depths = np.array([len(path) for path in paths], np.int64)
    unlisted = np.zeros(len(raw), bool)
    wanted = levels or rules.levels
    if tree is not None:
        # Trees can be deep: no path is longer than needed.
        path_of, depth_of = tree.paths(wanted or DEEPEST_BY_DEFAULT), tree.depths()
        unlisted[:] = [path != () and path[0] not in depth_of for path in paths]
        depths[:] = [depth_of.get(path[0], 1) if path else 0 for path in paths]
        paths = [path_of.get(path[0], path) if path else () for path in paths]
    K = wanted or min(int(depths.max(initial=1)), _n_columns(rules) or DEEPEST_BY_DEFAULT)
    missing = np.array([all(name == NO_CATEGORY for name in path[:K]) for path in paths], bool)
    kinds = {
        "extended": ~missing & (depths < K),
        "cut": ~missing & (depths > K),
        "filled": np.array([_has_gap(text) for text in raw], bool) if _n_columns(rules) else np.zeros(len(raw), bool),
        "unlisted": unlisted,
    }
    return ResolvedPaths(
        paths=[SEPARATOR.join(extended_path(path, K)) for path in paths],
        levels=K,
        missing=missing,
        **kinds,
        notes=tuple(_note(raw, rows, _SENTENCES[kind].format(K=K)) for kind, rows in kinds.items() if rows.any()),
    )


def _note(raw: Sequence[str | None], rows: Bools, sentence: str) -> str:
    """Give a sentence with the number of `rows` and examples of `raw`."""
    examples = [shown_path(raw[row] or "") for row in np.flatnonzero(rows)[:_SHOWN]]
    return f"{sentence}: {int(rows.sum()):,}, such as {'; '.join(examples)}."


def shown_path(text: str) -> str:
    """Write a raw category for people."""
    return " > ".join(clean_name(part) or "…" for part in text.split(SEPARATOR))


def _n_columns(rules: CategoryRules) -> int:
    """Count the columns that a path is written in; 0 if it is in one text."""
    return len(rules.columns) or (len(rules.items.columns) if rules.items is not None else 0)


def _written_in(rules: CategoryRules) -> Callable[[str], Path]:
    """Choose how to read a path, given how it is written."""
    delimiter = rules.delimiter
    if _n_columns(rules):
        return _in_columns
    if delimiter is None:
        return lambda text: _without_empty([text])
    if rules.finest_first:
        return lambda text: _without_empty(_finest_first(text, delimiter, rules.levels))
    return lambda text: _without_empty(text.split(delimiter))


def _without_empty(parts: Iterable[str]) -> Path:
    return tuple(name for name in map(clean_name, parts) if name)


def _in_columns(text: str) -> Path:
    """Read the values of K columns; a gap takes the name before it."""
    path: list[str] = []
    for name in _columns(text):
        path.append(name or (path[-1] if path else NO_CATEGORY))
    return tuple(path)


def _has_gap(text: str | None) -> bool:
    return "" in _columns(text or "")


def _columns(text: str) -> list[str]:
    """Give the names in K columns, without those that are empty at the end."""
    names = [clean_name(part) for part in text.split(SEPARATOR)]
    while names and not names[-1]:
        names.pop()
    return names


def _finest_first(text: str, delimiter: str, levels: int | None) -> list[str]:
    """Divide a path that begins with its finest name and turn it; that name takes what is too much for `levels`."""
    parts = text.split(delimiter)
    named = [place for place, part in enumerate(parts) if clean_name(part)]
    if levels is not None and len(named) > levels:
        end = named[-levels] + 1
        parts = [delimiter.join(parts[named[0] : end]), *parts[end:]]
    return parts[::-1]


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


@dataclass(frozen=True)
class SideRejects:
    """Rows of a table of items or of parents that cannot be used.

    Attributes
    ----------
    files : tuple of str
        Names of the files.
    rows : str
        Name under which the engine keeps ``file`` int32 (index into `files`), ``row`` int64, ``text`` and ``reason``,
        strings.
    """

    files: tuple[str, ...]
    rows: str


@dataclass(frozen=True)
class CategorySource:
    """Where raw categories come from.

    Attributes
    ----------
    assigned : str or None
        Name under which the engine keeps ``item``, ``category``, and since (inclusive) and until (exclusive) when,
        ``since_ms`` and ``until_ms``; None: events state their categories themselves.
    tree : CategoryTree or None
        Where raw categories hang; None: they are paths.
    notes : tuple of str
        What was odd, in sentences.
    bad : tuple of SideRejects
        Rows that cannot be used, for each table that the mapping names.
    file_rejects : tuple of FileReject
        Whole files of these tables that could not be used, or not to their end.
    """

    assigned: str | None = None
    tree: CategoryTree | None = None
    notes: tuple[str, ...] = ()
    bad: tuple[SideRejects, ...] = ()
    file_rejects: tuple[FileReject, ...] = ()

    def of_events(self, good: str) -> str:
        """Give usable rows, a SELECT, with the raw category (null: none) that their item had at their time."""
        if self.assigned is None:
            return good
        return f"""
            SELECT event.* REPLACE (held.category AS category)
            FROM ({good}) AS event LEFT JOIN {self.assigned} AS held
                ON event.item = held.item AND event.time_ms >= held.since_ms AND event.time_ms < held.until_ms"""
