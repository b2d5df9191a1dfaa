"""The evaluation as tables for the terminal, one a level, and a second one where more was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table

from hup.evaluation.choice import Choice
from hup.evaluation.figures import TITLES, percent, percent_pair, percent_with_interval, written
from hup.evaluation.metrics import cutoff
from hup.evaluation.result import Evaluation


def level_tables(evaluation: Evaluation) -> list[Table]:
    """Lay out one table a level: rows against Recall and MRR with their intervals, and the repeat/explore split.

    Figures are percentages. A level without sessions has no table. Where further metrics or cut-offs were asked for, a
    level has a table of these, too.
    """
    tables = []
    for level in evaluation.levels:
        figures = {name: by_level[level] for name, by_level in evaluation.rows.items()}
        if next(iter(figures.values()))["sessions"]:
            tables.append(_level_table(evaluation, level))
            if evaluation.choice.goes_further(level):
                tables.append(further_table(level, evaluation.choice, figures))
    return tables


def further_table(level: str, choice: Choice, figures: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Lay out all metrics that were chosen over all cut-offs of a level: a block of rows for every metric.

    Parameters
    ----------
    level : str
    choice : Choice
    figures : mapping
        By row, then by ``"metric@k"``.
    """
    cutoffs = sorted(choice.cutoffs(level))
    table = Table(
        title=f"{level}, at {len(cutoffs)} cut-offs" if len(cutoffs) > 1 else f"{level}, further metrics",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("row", no_wrap=True)
    for k in cutoffs:
        table.add_column(f"@{k}", justify="right", no_wrap=True)
    for metric in choice.metrics:
        table.add_section()
        table.add_row(f"[dim]{TITLES[metric]}[/]")
        for name, of in figures.items():
            table.add_row(name, *(written(metric, of.get(f"{metric}@{k}")) for k in cutoffs))
    return table


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
