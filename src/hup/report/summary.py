"""Who wins where, in sentences made from the figures."""

from __future__ import annotations

from collections.abc import Sequence

from hup.evaluation.figures import percent
from hup.experiment.read_results import SIGNIFICANT
from hup.experiment.results import Difference, LevelResult, Results, RowResult
from hup.report.claims import FAILS, HOLDS, JudgedClaim
from hup.report.wording import level_title, listed, metric_title, ordinal, percent_range, points

HUP_ROW = "hup"


def summary_sentences(results: Results, claims: Sequence[JudgedClaim], levels: Sequence[str]) -> list[str]:
    """Say who is best at every level, where HUP stands, whom it beats and by whom it is beaten, and what failed.

    Parameters
    ----------
    results : Results
    claims : sequence of JudgedClaim
    levels : sequence of str
        Those that the tables show.
    """
    sentences = []
    for level in levels:
        measured = [row for row in results.rows if level in row.levels and row.levels[level].recall.value is not None]
        if measured:
            sentences += _level(results, level, measured)
    asked = [judged for judged in claims if judged.claim.source]
    if asked:
        held = sum(judged.overall == HOLDS for judged in asked)
        where = "at both levels and " if len(asked[0].columns) > 2 else ""
        failed = sum(judged.overall == FAILS for judged in asked)
        sentences.append(
            f"Of {len(asked)} claims of the paper, {held} hold here {where}by both metrics, {failed} do "
            f"not hold in at least one column, and {len(asked) - held - failed} cannot be told from these sessions."
        )
    if failures := [row.title for row in results.rows if row.failed is not None]:
        sentences.append(f"No figures for {listed(failures)}; the table says why.")
    return sentences


def _level(results: Results, level: str, measured: list[RowResult]) -> list[str]:
    title = level_title(level, results.dataset["levels"])
    by_recall, by_mrr = _ordered(measured, level, "recall"), _ordered(measured, level, "mrr")
    first: LevelResult = by_recall[0].levels[level]
    recall, mrr = metric_title("recall", first.k), metric_title("mrr", first.k)
    best = f"{title}: {by_recall[0].title} is best in {recall} with {_figure(by_recall[0], level, 'recall')}"
    if by_mrr[0].row == by_recall[0].row:
        best += f" and in {mrr} with {_figure(by_mrr[0], level, 'mrr')}."
    else:
        best += f", {by_mrr[0].title} in {mrr} with {_figure(by_mrr[0], level, 'mrr')}."
    sentences = [best]
    names = [row.row for row in by_recall]
    if HUP_ROW in names:
        place = names.index(HUP_ROW) + 1
        hup = by_recall[place - 1]
        standing = f"HUP comes {ordinal(place)} of {len(names)} by {recall}, with {_figure(hup, level, 'recall')},"
        standing += f" and {ordinal([row.row for row in by_mrr].index(HUP_ROW) + 1)} by {mrr}."
        sentences.append(standing)
        sentences += _recency(hup, measured, level, recall, mrr)
        sentences += _tested(results, level, recall)
    return sentences


def _recency(hup: RowResult, measured: list[RowResult], level: str, recall: str, mrr: str) -> list[str]:
    recency = next((row for row in measured if row.row == "recency"), None)
    if recency is None:
        return []
    gaps = []
    for metric, title in (("recall", recall), ("mrr", mrr)):
        ours, theirs = (getattr(row.levels[level], metric).value for row in (hup, recency))
        gaps.append((ours - theirs, title))
    if all(gap < 0 for gap, _ in gaps):
        told = listed(f"{points(gap)} points in {title}" for gap, title in gaps)
        return [f"HUP loses to Recency, for which nothing is trained: {told}."]
    if all(gap > 0 for gap, _ in gaps):
        told = listed(f"{points(gap)} points in {title}" for gap, title in gaps)
        return [f"HUP is ahead of Recency, for which nothing is trained: {told}."]
    told = listed(f"{points(gap)} points in {title}" for gap, title in gaps)
    return [f"Against Recency, for which nothing is trained, HUP is neither ahead nor behind in both: {told}."]


def _tested(results: Results, level: str, recall: str) -> list[str]:
    """Count the rows that HUP is surely better or worse than."""
    if results.reference != HUP_ROW:
        return []
    of = [d for d in results.differences if d.level == level and d.metric == "recall"]
    titles = {row.row: row.title for row in results.rows}

    def names(which: list[Difference]) -> str:
        return listed(titles[d.row] for d in which) if which else "none"

    sure = [d for d in of if d.p_holm < SIGNIFICANT]
    better, worse = [d for d in sure if d.mean > 0], [d for d in sure if d.mean < 0]
    return [
        f"By {recall} and with p < 0.01 after Holm, HUP is better than {names(better)}, and worse than {names(worse)}; "
        f"{len(of) - len(sure)} other rows cannot be told from it."
    ]


def _ordered(rows: list[RowResult], level: str, metric: str) -> list[RowResult]:
    return sorted(rows, key=lambda row: -getattr(row.levels[level], metric).value)


def _figure(row: RowResult, level: str, metric: str) -> str:
    figure = getattr(row.levels[level], metric)
    interval = percent_range(figure.interval)
    return f"{percent(figure.value)} %" + (f" ({interval})" if interval else "")
