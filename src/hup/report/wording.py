"""How numbers, levels and choices are put into words, the same on every page."""

from __future__ import annotations

from collections.abc import Iterable

from hup.evaluation.figures import NOTHING, TITLES
from hup.sessions.levels import Level

MINUS, RANGE = "−", "–"  # noqa: RUF001 (the signs of typeset numbers)
SPEARMAN = "Spearman's ρ"  # noqa: RUF001 (a Greek letter)


def percent_range(interval: tuple[float, float] | None) -> str:
    """Write an interval of shares in percent."""
    return "" if interval is None else f"{100 * interval[0]:.1f}{RANGE}{100 * interval[1]:.1f}"


def points(value: float) -> str:
    """Write a difference of shares in points, with its sign."""
    text = f"{100 * abs(value):.1f}"
    return text if text == "0.0" else f"{'+' if value > 0 else MINUS}{text}"


def points_range(interval: tuple[float, float]) -> str:
    """Write an interval of differences in points."""
    return f"{points(interval[0])} to {points(interval[1])}"


def p_value(value: float) -> str:
    """Write a p-value."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def with_separators(value: float | None) -> str:
    """Write a whole number with separators."""
    return NOTHING if value is None else f"{round(value):,}"


def duration(value: float | None) -> str:
    """Write a time in the unit that suits it."""
    if value is None:
        return NOTHING
    if value < 1:
        return f"{value:.2f} s".replace("0.00 s", "< 0.01 s")
    if value < 120:
        return f"{value:.1f} s" if value % 1 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def level_title(level: str, depth: int) -> str:
    """Name a level for people: which of the category levels is coarsest, which finest."""
    if level in ("item", "micro"):
        return {"item": "Items", "micro": "Micro-behaviors"}[level]
    k = Level(level).k
    if depth == 1:
        return "Categories"
    return f"Categories, level {k}" + {1: " (coarsest)", depth: " (finest)"}.get(k, "")


def metric_title(metric: str, k: int) -> str:
    """Name a metric at its cutoff, as the paper does."""
    return f"{TITLES[metric]}@{k}"


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th and so on."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def listed(names: Iterable[str]) -> str:
    """Join names as a sentence does; by semicolons where names have commas of their own."""
    *first, last = names
    if any("," in name for name in (*first, last)):
        return "; ".join((*first, last))
    return f"{', '.join(first)} and {last}" if first else last
