"""How far the order of rows agrees with the order in the paper's Table 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hup.experiment.results import Results
from hup.report.paper import PAPER_ROWS, paper_figure
from hup.sessions.levels import Level

LEAST_ROWS = 3


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of a column with the paper's over the rows that both have.

    Attributes
    ----------
    level, metric : str
    rows : int
        Rows in common.
    kendall, spearman : float or None
        1 = the same order, -1 = the reverse; None for fewer than three rows, or a column without differences.
    """

    level: str
    metric: str
    rows: int
    kendall: float | None
    spearman: float | None


def agreement(results: Results, paper: str) -> list[Agreement]:
    """Compare the order of rows, column by column.

    Parameters
    ----------
    results : Results
    paper : {"appliances", "computers"}
    """
    finest = Level.category(results.dataset["levels"])
    by_name = {row.row: row for row in results.rows if row.failed is None}
    columns = []
    for level in ("item", finest):
        for metric in ("recall", "mrr"):
            pairs = []
            for name in PAPER_ROWS:
                theirs = paper_figure(paper, name, level, metric, finest)
                figures = by_name[name].levels.get(level) if name in by_name else None
                ours = None if figures is None else getattr(figures, metric).value
                if ours is not None and theirs is not None:
                    pairs.append((ours, theirs))
            columns.append(Agreement(level, metric, len(pairs), *_correlations(pairs)))
    return columns


def _correlations(pairs: list[tuple[float, float]]) -> tuple[float | None, float | None]:
    from scipy.stats import kendalltau, spearmanr

    if len(pairs) < LEAST_ROWS or any(len(set(column)) == 1 for column in zip(*pairs, strict=True)):
        return None, None
    ours, theirs = zip(*pairs, strict=True)
    correlations = float(kendalltau(ours, theirs).statistic), float(spearmanr(ours, theirs).statistic)
    kendall, spearman = (None if math.isnan(value) else value for value in correlations)
    return kendall, spearman
