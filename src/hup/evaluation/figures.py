"""How figures are written, the same in every table: shares in percent with one decimal."""

from __future__ import annotations

from typing import Final

NOTHING: Final = "–"  # noqa: RUF001 (what stands where there is nothing to measure)
#: Metrics as tables name them.
TITLES: Final = {
    "recall": "Recall",
    "mrr": "MRR",
    "ndcg": "NDCG",
    "coverage": "Coverage",
    "gini": "Gini index",
    "novelty": "Novelty, bits",
    "popularity_bias": "Popularity bias",
}


def percent(value: float | None) -> str:
    """Write a share in percent, one decimal, without the sign."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def percent_with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """Write a share in percent and, in brackets, its interval."""
    if value is None or interval is None:
        return NOTHING
    return f"{percent(value)} ({percent(interval[0])}–{percent(interval[1])})"  # noqa: RUF001 (a range)


def percent_pair(recall: float | None, mrr: float | None) -> str:
    """Write Recall and MRR beside each other."""
    return f"{percent(recall)} / {percent(mrr)}"


def written(metric: str, value: float | None) -> str:
    """Write a figure of a metric: bits as they are, a popularity bias with its sign, all others in percent."""
    if value is None:
        return NOTHING
    if metric == "novelty":
        return f"{value:.2f}"
    if metric == "popularity_bias":
        return f"{100 * value:+.1f}".replace("-", "−")  # noqa: RUF001 (a minus sign)
    return percent(value)
