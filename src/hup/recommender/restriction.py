"""Which items and categories may be recommended: those in stock, none that were seen, one category's alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.recommender.name_file import names_from_file
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.levels import ITEM, Level

#: What stands between the names of a path where it is written as text.
PATH_MARK = " > "
#: Names, or a file of them.
Names = Iterable[str] | str | Path
Bools = NDArray[np.bool_]


class Restriction:
    """What may be recommended; all of it is asked of a candidate before the best ``k`` are taken.

    Parameters
    ----------
    only : iterable of str, or path, optional
        Items that may come, for example those in stock: names, or a file of them (one a line; of a ``.csv`` or
        ``.parquet`` the column ``item``). Names that the model does not know count for nothing.
    exclude : iterable of str, or path
        Items that may not come, likewise.
    within : str or sequence of str
        Category that what comes must lie in: its path, coarsest first, or the same written ``"a > b"``.
    new_only : bool
        Whether what the user has been on may not come: in the session, and as far as is known in earlier ones.
    seen : iterable of str, or path
        With ``new_only``, further items that were seen, for example what the user has bought; they may not come, nor
        may their categories where categories are asked for.

    Raises
    ------
    HupError
        A file does not read.

    Examples
    --------
    >>> in_stock = Restriction(only={"17", "42"}, within="lamps > desk", new_only=True)
    >>> in_stock.within
    ('lamps', 'desk')
    """

    def __init__(
        self,
        *,
        only: Names | None = None,
        exclude: Names = (),
        within: str | Sequence[str] = (),
        new_only: bool = False,
        seen: Names = (),
    ) -> None:
        self.only = None if only is None else _names(only)
        self.exclude = _names(exclude)
        path = (within.split(PATH_MARK) if within else ()) if isinstance(within, str) else within
        self.within = tuple(str(name) for name in path)
        self.new_only = new_only
        self.seen = _names(seen) if new_only else frozenset()

    def __repr__(self) -> str:
        only = "None" if self.only is None else f"{len(self.only):,} items"
        return (
            f"Restriction(only={only}, exclude={len(self.exclude):,} items, within={PATH_MARK.join(self.within)!r}, "
            f"new_only={self.new_only})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and values, names in alphabetical order, for JSON."""
        only = None if self.only is None else sorted(self.only)
        return {
            "only": only,
            "exclude": sorted(self.exclude),
            "within": list(self.within),
            "new_only": self.new_only,
            "seen": sorted(self.seen),
        }

    def check(self, vocabulary: Vocabulary, level: str) -> None:
        """Check that all of it can be asked of a level.

        Raises
        ------
        HupError
            Items are named and the level is one of categories; or ``within`` is no category that the model knows, or is
            a finer one than the level.
        """
        level = Level(level)
        if level.is_category and (self.only is not None or self.exclude):
            raise HupError(f"only and exclude name items, but what is asked for is level {level}.")
        if not self.within:
            return
        shown = PATH_MARK.join(self.within)
        if self.within not in vocabulary.category_codes:
            first = [path[0] for path in vocabulary.category_codes if len(path) == 1][:5]
            raise HupError(
                f"within is {shown!r}, which is no category that the model knows. Expected names from category_1 on, "
                f"with{PATH_MARK}between them; category_1 has: {', '.join(first)} …"
            )
        if level.is_category and level.k < len(self.within):
            raise HupError(f"within is {shown!r}, of category_{len(self.within)}; level {level} is coarser.")

    def note(self, vocabulary: Vocabulary, *, nothing_left: bool) -> str:
        """Say how many of the named items the model does not know, and that nothing is left; empty = all is well."""
        named = self.exclude | (self.only or frozenset())
        unknown = sum(name not in vocabulary.item_codes for name in named)
        parts = [f"The model does not know {unknown:,} of the {len(named):,} items that are named."] if unknown else []
        if nothing_left:
            parts.append("Nothing may come: the restriction leaves no candidate.")
        return " ".join(parts)

    def of_vocabulary(self, vocabulary: Vocabulary, level: str) -> Tensor | None:
        """Tell which known codes of a level may come, ``(n_known,)`` bool; None = all."""
        parts: list[Bools] = []
        if Level(level) == ITEM:
            codes = vocabulary.item_codes
            for names, allowed in ((self.only, True), (self.exclude or None, False)):
                if names is not None:
                    part = np.full(len(codes), not allowed)
                    part[[codes[name] for name in names if name in codes]] = allowed
                    parts.append(part)
        if self.within:
            parts.append(self._inside(vocabulary, level, vocabulary.paths, vocabulary.parents))
        if self.seen:
            places = [vocabulary.item_codes[name] for name in self.seen if name in vocabulary.item_codes]
            parts.append(_without(level, np.asarray(places, dtype=np.int64), vocabulary.paths, vocabulary.size(level)))
        return torch.from_numpy(np.logical_and.reduce(parts)) if parts else None

    def of_dataset(self, dataset: Dataset, vocabulary: Vocabulary, level: str) -> Tensor | None:
        """Tell which codes of a whole dataset may come, known or not, ``(n,)`` bool; None = all."""
        parts: list[Bools] = []
        if Level(level) == ITEM:
            if self.only is not None:
                parts.append(_is_in(dataset.item_name_array, self.only))
            if self.exclude:
                parts.append(~_is_in(dataset.item_name_array, self.exclude))
        if self.within:
            tree = dataset.taxonomy
            parts.append(self._inside(vocabulary, level, tree.paths, tree.parents))
        if self.seen:
            size = Level(level).pick(dataset.n_items, dataset.n_categories)
            items = np.flatnonzero(_is_in(dataset.item_name_array, self.seen))
            parts.append(_without(level, items, dataset.taxonomy.paths, size))
        return torch.from_numpy(np.logical_and.reduce(parts)) if parts else None

    def allows(self, name: str, path: tuple[str, ...]) -> bool:
        """Tell whether an item or category may come, by its name and its path of names."""
        named = (self.only is None or name in self.only) and name not in self.exclude
        return named and path[: len(self.within)] == self.within

    def _inside(
        self, vocabulary: Vocabulary, level: str, paths: NDArray[np.integer], parents: Sequence[NDArray[np.integer]]
    ) -> Bools:
        """Tell which codes of a level lie in the category."""
        level, depth = Level(level), len(self.within)
        wanted = vocabulary.category_codes[self.within]
        if not level.is_category:
            inside: Bools = paths[:, depth - 1] == wanted
            return inside
        code: NDArray[np.integer] = np.arange(len(parents[level.k - 1]))
        for k in range(level.k, depth, -1):
            code = parents[k - 1][code]
        inside = code == wanted
        return inside


def _names(names: Names) -> frozenset[str]:
    if isinstance(names, (str, Path)):
        return frozenset(names_from_file(Path(names), ["item"]))
    try:
        return frozenset(str(name) for name in names)
    except TypeError:
        raise HupError(f"{names!r} is neither a list of names nor a file of them.") from None


def _is_in(names: pa.Array, wanted: frozenset[str]) -> Bools:
    found: Bools = pc.is_in(names, value_set=pa.array(sorted(wanted), names.type)).to_numpy(zero_copy_only=False)
    return found


def _without(level: str, items: NDArray[np.int64], paths: NDArray[np.integer], size: int) -> Bools:
    """Mark the codes of a level but those of some items, ``(size,)``."""
    left = np.ones(size, dtype=bool)
    left[Level(level).pick(items, tuple(paths[items].T))] = False
    return left
