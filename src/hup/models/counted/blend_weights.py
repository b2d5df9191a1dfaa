"""Weights of a blend: those that can be given, those that are tried, and which of them the gains speak for."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, model_validator

from hup.config import Section

#: Weight of recency where nothing says which; the other components share the rest alike.
DEFAULT_RECENCY = 0.75


class Weights(Section):
    """Fixed weights of the components, in their order; the last one is recency's."""

    item: tuple[NonNegativeFloat, ...] | None = None
    category: tuple[NonNegativeFloat, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, tree: Any) -> Any:
        # TOML and JSON have no tuples.
        if not isinstance(tree, dict):
            return tree
        return {key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()}


def weight_grid(n: int, steps: int) -> list[tuple[float, ...]]:
    """List all ``n`` weights that are multiples of ``1 / steps`` and sum to 1, those with most of the last first."""
    grid = [parts for parts in product(range(steps + 1), repeat=n) if sum(parts) == steps]
    return [tuple(part / steps for part in parts) for parts in sorted(grid, key=lambda parts: -parts[-1])]


def best_weights(tried: list[tuple[float, ...]], gains: NDArray[np.float64]) -> tuple[float, ...]:
    """Take the weights with the highest gain, of equal ones the first: the one with the most recency.

    Where no weights gain anything, as there was no session to tell, recency has three quarters.

    Parameters
    ----------
    tried : list of tuple of float
        As :func:`weight_grid` lists them.
    gains : ndarray
        ``(len(tried),)``.
    """
    if gains.any():
        # Sums of equal gains in another order must not decide.
        return tried[int(np.argmax(np.round(gains, 9)))]
    n = len(tried[0]) - 1
    return (*((1 - DEFAULT_RECENCY) / n for _ in range(n)), DEFAULT_RECENCY)
