"""What a simulated shop log is made from: sizes, seed and the habits of its users."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hup.errors import HupError

CHUNK_SESSIONS = 2048
"""Sessions drawn together.  Part of what a seed means: another value gives another log."""

MIN_EVENTS_SHARE = 0.7
"""Shortest session over mean session; the samples have 40 over 57.3."""


@dataclass(frozen=True)
class SimulatorConfig:
    """Sizes, seed and habits of a simulated shop.

    Parameters
    ----------
    sessions, items, levels
        How many sessions and items, and how many category levels the tree has.
    seed
        The same configuration and seed give the same log; the first sessions do not depend on how many follow.
    categories
        Categories of the finest level.  ``None`` takes :meth:`leaf_count`'s default, which grows with the items.
    mean_events
        Mean events of a session.  The shortest session has about 0.7 of it, as in the JD samples.
    sessions_per_user, sessions_per_day
        Log density: how often a user comes back (users keep arriving), and how fast the clock runs.
    drift_days
        Mean life of a user's interest in a category; then another takes its place.
    popularity_exponent
        Zipf exponent of categories, of styles in a category and of items in a style.
    style_items
        Mean size of a style, the hidden group of alike items inside a category that a session follows.
    follow_successor
        Probability that the next new item is the fixed successor of the present one.
    return_strength
        Pull of the items already seen in the session, against a new item's pull of 1.
    closing_return
        Factor on that pull for the last run of a session.
    excursions
        Mean probability that a new item is looked for in a category other than the present one.
    order_cooling
        Factor on the pull of everything seen so far once the user has ordered.

    Raises
    ------
    HupError
        If a value is out of range; the message names it.
    """

    sessions: int = 10_000
    items: int = 10_000
    levels: int = 1
    seed: int = 0
    categories: int | None = None
    mean_events: float = 57.3
    sessions_per_user: float = 4.0
    sessions_per_day: float = 5_000.0
    drift_days: float = 20.0
    popularity_exponent: float = 1.0
    style_items: float = 60.0
    follow_successor: float = 0.2
    return_strength: float = 0.074
    closing_return: float = 3.8
    excursions: float = 0.045
    order_cooling: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            self._require_number(field.name)
        self._require("sessions", self.sessions >= 1, "at least 1")
        self._require("items", 4 <= self.items <= 100_000_000, "between 4 and 100000000")
        self._require("levels", 1 <= self.levels <= 20, "between 1 and 20")
        self._require("seed", self.seed >= 0, "0 or more")
        self._require("mean_events", 4 <= self.mean_events <= 1_000, "between 4 and 1000")
        self._require("style_items", self.style_items >= 2, "at least 2")
        for name in ("sessions_per_user", "sessions_per_day", "drift_days"):
            self._require(name, getattr(self, name) > 0, "above 0")
        for name in ("popularity_exponent", "return_strength", "closing_return"):
            self._require(name, 0 <= getattr(self, name) <= 100, "between 0 and 100")
        for name in ("follow_successor", "excursions", "order_cooling"):
            self._require(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        if self.categories is not None:
            most = self.items // 2
            self._require("categories", 1 <= self.categories <= most, f"between 1 and {most} (half of the items)")

    def leaf_count(self) -> int:
        """Return how many categories the finest level has: as asked for, or from the number of items and levels."""
        if self.categories is not None:
            return self.categories
        return max(1, min(self.items // 4, round(1.9 * math.cbrt(self.items)) * self.levels))

    def _require_number(self, name: str) -> None:
        value = getattr(self, name)
        whole = name in {"sessions", "items", "levels", "seed", "categories"}
        if name == "categories" and value is None:
            return
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or value != value:
            expected = "a whole number" if whole else "a number"
            raise HupError(f"simulator: {name} is {value!r}; expected {expected}.")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise HupError(f"simulator: {name} is {getattr(self, name)!r}; expected {expected}.")
