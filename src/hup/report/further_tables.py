"""Tables of the metrics and cut-offs that a run was asked for besides Recall and MRR at the paper's."""

from __future__ import annotations

from hup.evaluation.choice import LIST_METRICS, SYNONYMS
from hup.evaluation.figures import TITLES, written
from hup.experiment.results import Results, RowResult
from hup.report.result_tables import shown_levels
from hup.report.table import Cell, Group, Table
from hup.report.wording import level_title, percent_range

_MEANING = {
    "ndcg": "NDCG: the mean of 1 / log2(1 + rank).",
    "coverage": "Coverage: the share of the catalogue that stands in some list.",
    "gini": "Gini index of how often each item or category is recommended: 0 = all alike.",
    "novelty": "Novelty: the mean of −log2 of the share of training runs, in bits.",  # noqa: RUF001 (a minus sign)
    "popularity_bias": "Popularity bias: by how much what is recommended is more popular in training than what users "
    "took; 0 = as popular.",
}


def further_tables(results: Results) -> list[Table]:
    """Lay out a table a level; none where nothing further was asked for."""
    return [_table(results, level) for level in shown_levels(results) if results.choice.goes_further(level)]


def _table(results: Results, level: str) -> Table:
    choice, depth = results.choice, results.dataset["levels"]
    cutoffs = sorted(choice.cutoffs(level))
    rows = [row for row in results.rows if level in row.levels]
    groups = tuple(Group(TITLES[metric], _rows(rows, level, metric, cutoffs)) for metric in choice.metrics)
    head = ((Cell("row"), *(Cell(f"@{k}") for k in cutoffs)),)
    told = ["Figures in %, means over seeds; below them the 95 % bootstrap interval over sessions where there is one."]
    told += [_MEANING[metric] for metric in choice.metrics if metric in _MEANING]
    if "recall" in choice.metrics:
        same = [name.replace("_", " ") for name, of in SYNONYMS.items() if of == "recall"]
        told.append(f"With one target a session Recall is the {same[0]}, too.")
    return Table(f"{level_title(level, depth)}: further figures", head, groups, " ".join(told))


def _rows(rows: list[RowResult], level: str, metric: str, cutoffs: list[int]) -> tuple[tuple[Cell, ...], ...]:
    """Write a metric of all rows; the best of a column is bold where more is better."""
    figures = {row.row: [row.levels[level].figures.get(f"{metric}@{k}") for k in cutoffs] for row in rows}
    values = {row: [None if one is None else one.value for one in of] for row, of in figures.items()}
    best = [
        max((value for value in column if value is not None), default=None)
        for column in zip(*values.values(), strict=True)
    ]

    def cell(row: str, place: int) -> Cell:
        figure, value = figures[row][place], values[row][place]
        is_best = metric not in LIST_METRICS and value is not None and value == best[place]
        return Cell(
            written(metric, value), "" if figure is None else percent_range(figure.interval), "best" if is_best else ""
        )

    return tuple((Cell(row.title), *(cell(row.row, place) for place in range(len(cutoffs)))) for row in rows)
