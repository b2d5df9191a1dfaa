"""The evaluation as tables for the terminal, one a level."""

from __future__ import annotations

from rich import box
from rich.table import Table

from hup.evaluation.figures import percent, percent_pair, percent_with_interval
from hup.evaluation.metrics import cutoff
from hup.evaluation.result import Evaluation


def level_tables(evaluation: Evaluation) -> list[Table]:
    """Lay out one table a level: rows against Recall and MRR with their intervals, and the repeat/explore split.

    Figures are percentages.
    """
    return [_level_table(evaluation, level) for level in evaluation.levels]


def _level_table(evaluation: Evaluation, level: str) -> Table:
    k = cutoff(level)
    first = next(iter(evaluation.rows.values()))[level]
    table = Table(
        title=f"{level}: {first['sessions']:,} sessions, ceiling {percent(first['ceiling'])} %",
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
            *(percent_with_interval(row[key], row[f"{key}_interval"]) for key in (f"recall@{k}", f"mrr@{k}")),
            *(percent_pair(row[part][f"recall@{k}"], row[part][f"mrr@{k}"]) for part in ("repeat", "explore")),
        )
    return table
