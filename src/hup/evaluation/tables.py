"""The evaluation as tables for the terminal, one a level."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from hup.evaluation.metrics import cutoff
from hup.evaluation.result import Evaluation

NOTHING = "–"  # noqa: RUF001 (what stands where there is nothing to measure)


def level_tables(evaluation: Evaluation) -> list[Table]:
    """Lay out one table a level: rows against Recall and MRR with their intervals, and the repeat/explore split.

    Figures are percentages.
    """
    return [_level_table(evaluation, level) for level in evaluation.levels]


def _level_table(evaluation: Evaluation, level: str) -> Table:
    k = cutoff(level)
    first = next(iter(evaluation.rows.values()))[level]
    table = Table(
        title=f"{level}: {first['sessions']:,} sessions, ceiling {_percent(first['ceiling'])} %",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,  # so that the widest figures fit into 80 columns
        pad_edge=False,
    )
    table.add_column("row")
    for title in (f"Recall@{k} (95 %)", f"MRR@{k} (95 %)"):
        table.add_column(title, justify="right")
    for part in ("repeat", "explore"):
        table.add_column(f"{part}: {first[part]['sessions']:,}\nRecall / MRR", justify="right")
    for name, by_level in evaluation.rows.items():
        row = by_level[level]
        table.add_row(
            name,
            *(_with_interval(row, f"{metric}@{k}") for metric in ("recall", "mrr")),
            *(_pair(row[part], k) for part in ("repeat", "explore")),
        )
    return table


def _with_interval(row: dict[str, Any], key: str) -> str:
    if row[key] is None:
        return NOTHING
    low, high = row[f"{key}_interval"]
    return f"{_percent(row[key])} ({_percent(low)}–{_percent(high)})"  # noqa: RUF001 (a range)


def _pair(part: dict[str, Any], k: int) -> str:
    return f"{_percent(part[f'recall@{k}'])} / {_percent(part[f'mrr@{k}'])}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}"
