"""The levels of a pyramid by name: micro, item, category_K … category_1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, Self, TypeVar

Part = TypeVar("Part")


class _Columns(Protocol):
    def __getitem__(self, key: Any, /) -> Any: ...


Codes = TypeVar("Codes", bound=_Columns)
_CATEGORY: Final = "category_"


class Level(str):
    """The name of a level, which knows what it is a level of.

    It is a string, ``"micro"``, ``"item"`` or ``"category_k"``, so that files, tables and callers name levels by plain
    text: ``Level(name)`` takes such a name up.
    """

    __slots__ = ()

    @classmethod
    def category(cls, k: int) -> Self:
        """Give the name of the categories of level k, 1 = coarsest."""
        return cls(f"{_CATEGORY}{k}")

    @property
    def is_category(self) -> bool:
        """Whether it is a level of categories; micro and item are levels of items."""
        return self.startswith(_CATEGORY)

    @property
    def k(self) -> int:
        """Number of the category level, 1 = coarsest; also the length of its paths. Of micro and item 0."""
        return int(self.removeprefix(_CATEGORY)) if self.is_category else 0

    def pick(self, item: Part, categories: Sequence[Part]) -> Part:
        """Choose what belongs to the level: the item's, or that of one of category_1 … category_K."""
        return categories[self.k - 1] if self.is_category else item

    def codes(self, item: Codes, categories: Codes) -> Codes:
        """Choose the level's codes: items ``(N,)``, or a column of categories ``(N, K)``, coarsest first."""
        if not self.is_category:
            return item
        column: Codes = categories[:, self.k - 1]
        return column


MICRO: Final = Level("micro")
ITEM: Final = Level("item")


def level_names(levels: int) -> tuple[Level, ...]:
    """Names of the pyramid's levels for K category levels, bottom first: micro, item, category_K … category_1."""
    return (MICRO, *ranked_levels(levels))


def ranked_levels(levels: int) -> tuple[Level, ...]:
    """Names of the levels that are recommended, for K category levels: item, category_K … category_1."""
    return (ITEM, *(Level.category(k) for k in range(levels, 0, -1)))
