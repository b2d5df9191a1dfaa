"""The results of a grid as tables for the terminal, one a level."""

from __future__ import annotations

from rich import box
from rich.table import Table

from hup.evaluation.figures import NOTHING, percent_pair, percent_with_interval
from hup.evaluation.tables import further_table
from hup.experiment.results import Metric, Results, RowResult
from hup.experiment.rows import GROUPS


def grid_tables(results: Results) -> list[Table]:
    """Lay out one table a level: rows of every group against Recall and MRR, the best one bold, a clear winner starred.

    Figures are percentages, with 95 % intervals over sessions. Where more was asked for, a level has a table of that,
    too.
    """
    levels = results.levels
    if results.protocol["name"] == "paper":
        levels = levels[:2]  # items, and the finest category
    tables = []
    for level in levels:
        tables.append(_table(results, level))
        if results.choice.goes_further(level):
            figures = {
                row.title: {name: figure.value for name, figure in row.levels[level].figures.items()}
                for row in results.rows
                if level in row.levels
            }
            tables.append(further_table(level, results.choice, figures))
    return tables


def _table(results: Results, level: str) -> Table:
    figures = {row.row: row.levels[level] for row in results.rows if level in row.levels}
    first = next(iter(figures.values()))
    table = Table(
        title=f"{results.label}, {level}: {first.sessions:,} sessions",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("row", no_wrap=True)
    for title in (f"Recall@{first.k} (95 %)", f"MRR@{first.k} (95 %)"):
        table.add_column(title, justify="right")
    for part in ("repeat", "explore"):
        table.add_column(f"{part}: {getattr(first, part).sessions:,}\nRecall / MRR", justify="right")
    best = {
        metric: max(getattr(level, metric).value or 0.0 for level in figures.values()) for metric in ("recall", "mrr")
    }
    group = ""
    for row in results.rows:
        if row.group != group:
            group = row.group
            table.add_section()
            table.add_row(f"[dim]{GROUPS[group]}[/]")
        table.add_row(*_cells(results, row, level, best))
    return table


def _cells(results: Results, row: RowResult, level: str, best: dict[str, float]) -> list[str]:
    figures = row.levels.get(level)
    if figures is None:
        return [row.title, f"[red]{row.failed or NOTHING}[/]", "", "", ""]
    out = [row.title]
    for name in ("recall", "mrr"):
        metric: Metric = getattr(figures, name)
        text = percent_with_interval(metric.value, metric.interval)
        if results.stars.get(level, {}).get(name) == row.row:
            text = f"{text} *"
        out.append(f"[bold]{text}[/]" if metric.value is not None and metric.value == best[name] else text)
    return [*out, *(percent_pair(part.recall, part.mrr) for part in (figures.repeat, figures.explore))]
