"""What the paper says of its tables, and how far the order of rows agrees with its own, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from hup.evaluation.figures import NOTHING
from hup.evaluation.metrics import cutoff
from hup.experiment.results import Results
from hup.report.agreement import Agreement
from hup.report.claims import FAILS, HOLDS, UNSURE, JudgedClaim, Verdict
from hup.report.table import Cell, Group, Table
from hup.report.wording import SPEARMAN, level_title, metric_title, p_value, points

_MARKS = {HOLDS: "good", FAILS: "bad", UNSURE: "unsure"}


def agreement_table(agreements: Sequence[Agreement], depth: int) -> Table:
    """Rank correlations of the columns with the paper's."""
    rows = tuple(
        (
            Cell(f"{level_title(one.level, depth)}, {metric_title(one.metric, cutoff(one.level))}"),
            Cell(_correlation(one.kendall)),
            Cell(_correlation(one.spearman)),
            Cell(str(one.rows)),
        )
        for one in agreements
    )
    head = ((Cell("column"), Cell("Kendall's τ"), Cell(SPEARMAN), Cell("rows in common")),)
    note = "1: the rows stand in the same order as in the paper's table; 0: no relation; −1: the reverse."  # noqa: RUF001
    return Table("Agreement in order with the paper's Table 3", head, (Group("", rows),), note)


def _correlation(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.2f}".replace("-", "−")  # noqa: RUF001 (a minus sign)


def claims_table(claims: Sequence[JudgedClaim], results: Results) -> Table:
    """Lay out what the paper says, and what the figures say of it, column by column."""
    titles = {row.row: row.title for row in results.rows}
    depth = results.dataset["levels"]
    columns = [(verdict.level, verdict.metric) for verdict in claims[0].columns] if claims else []
    head = (
        (
            Cell("claim"),
            Cell("all in all"),
            *(
                Cell(f"{level_title(level, depth)}, {metric_title(metric, 20 if level == 'item' else 5)}")
                for level, metric in columns
            ),
        ),
    )
    groups = []
    for title, asked in (("The paper", True), ("What the paper does not ask", False)):
        rows = tuple(
            (
                Cell(judged.claim.text, judged.claim.source, "text"),
                Cell(judged.overall, mark=_MARKS[judged.overall]),
                *(_verdict(verdict, titles) for verdict in judged.columns),
            )
            for judged in claims
            if bool(judged.claim.source) is asked
        )
        if rows:
            groups.append(Group(title, rows))
    note = (
        "Holds: every pair of rows is ordered as claimed with p < 0.01 (two-sided paired t-test over sessions, Holm "
        "over the claim's pairs). Does not hold: at least one pair is ordered the other way with p < 0.01. Cannot be "
        "told: neither. Below: pairs whose means are in the claimed order, and the pair furthest from it, in points."
    )
    return Table("The paper's claims", head, tuple(groups), note)


def _verdict(verdict: Verdict, titles: dict[str, str]) -> Cell:
    told = f"{verdict.ordered} of {verdict.pairs} pairs"
    if verdict.weakest is not None and verdict.mean is not None:
        better, worse = (titles.get(name, name) for name in verdict.weakest)
        sure = "not tested" if verdict.p is None else p_value(verdict.p)
        told += f"; {better} against {worse} {points(verdict.mean)}, {sure}"
    if verdict.missing:
        told += f"; without {', '.join(titles.get(name, name) for name in verdict.missing)}"
    if verdict.paper is False:
        told += "; not so in the paper's own table either"
    return Cell(verdict.verdict, told, _MARKS[verdict.verdict])
