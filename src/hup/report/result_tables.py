"""The tables that the paper has: statistics of the datasets (Table 2), and all rows (Table 3)."""

from __future__ import annotations

from collections.abc import Sequence

from hup.evaluation.figures import NOTHING, percent
from hup.experiment.results import LevelResult, Metric, Results, RowResult
from hup.experiment.rows import GROUPS
from hup.report.paper import STATISTICS, paper_figure
from hup.report.table import Cell, Group, Table
from hup.report.wording import level_title, metric_title, percent_range, with_separators
from hup.sessions.levels import Level

FULL_DATA = "paper, measured on the full data"
METRICS = ("recall", "mrr")


def shown_levels(results: Results) -> list[str]:
    """Levels that the tables show, as the rows have them; by the paper's protocol items and finest categories."""
    return results.levels[:2] if results.protocol.get("name") == "paper" else results.levels


def grouped(results: Results, cells: dict[str, tuple[Cell, ...]]) -> tuple[Group, ...]:
    """Put the rows that have cells into their groups, in the order of the table."""
    groups = []
    for group, title in GROUPS.items():
        rows = tuple(cells[row.row] for row in results.rows if row.group == group and row.row in cells)
        if rows:
            groups.append(Group(title, rows))
    return tuple(groups)


def statistics_table(runs: Sequence[Results], papers: Sequence[str | None]) -> Table:
    """Table 2: every dataset beside the paper's that it is a part of."""
    columns: list[tuple[Cell, list[Cell]]] = []
    done: set[str] = set()
    for results, paper in zip(runs, papers, strict=True):
        facts = results.dataset
        if facts["fingerprint"] in done:
            continue
        done.add(facts["fingerprint"])
        columns.append((Cell(results.label), _facts(results)))
        if paper is not None and paper not in done:
            done.add(paper)
            theirs = STATISTICS[paper]
            figures = [None, theirs.users, theirs.products, theirs.categories, theirs.events, None, None]
            muted = [Cell(with_separators(value), mark="muted") for value in figures]
            columns.append((Cell(theirs.title, "paper", "muted"), muted))
    names = (
        "Sessions",
        "Users",
        "Products (items)",
        "Categories, coarsest level first",
        "Micro-behaviors (events)",
        "Sessions of training / validation / test",
        "Sessions whose target was in their history",
    )
    rows = tuple((Cell(name), *(cells[place] for _, cells in columns)) for place, name in enumerate(names))
    head = ((Cell(""), *(title for title, _ in columns)),)
    return Table("Table 2: statistics of the datasets", head, (Group("", rows),))


def _facts(results: Results) -> list[Cell]:
    facts: dict[str, object] = results.dataset
    categories, users, share = facts.get("categories"), facts.get("users"), facts.get("target_repeat_share")
    splits = [facts.get(f"{split}_sessions") for split in ("train", "validation", "test")]
    known = [with_separators(value) if isinstance(value, int) else NOTHING for value in splits]
    return [
        _whole(facts.get("sessions")),
        _whole(users) if isinstance(users, int) else Cell("not named by the log"),
        _whole(facts.get("items")),
        Cell(_sizes(results, categories)),
        _whole(facts.get("events")),
        Cell(" / ".join(known)),
        Cell(f"{percent(share)} %" if isinstance(share, float) else NOTHING),
    ]


def _sizes(results: Results, categories: object) -> str:
    if results.levels == ["item"]:
        return "none"  # no target has a category
    return " / ".join(map(with_separators, categories)) if isinstance(categories, Sequence) else NOTHING


def _whole(value: object) -> Cell:
    return Cell(with_separators(value) if isinstance(value, int) else NOTHING)


def main_table(results: Results, paper: str | None = None) -> Table:
    """Table 3: Recall and MRR of every row, the paper's figures beside them where it has any."""
    levels, depth = shown_levels(results), results.dataset["levels"]
    finest = Level.category(depth)
    with_paper = {level: paper is not None and level in ("item", finest) for level in levels}
    widths = {level: 2 if with_paper[level] else 1 for level in levels}
    figures = {level: next(row.levels[level] for row in results.rows if level in row.levels) for level in levels}
    head: list[tuple[Cell, ...]] = [
        (Cell(""), *(Cell(level_title(level, depth), span=2 * widths[level]) for level in levels)),
        (
            Cell(""),
            *(
                Cell(metric_title(metric, figures[level].k), span=widths[level])
                for level in levels
                for metric in METRICS
            ),
        ),
    ]
    if any(with_paper.values()):
        pair = {True: (Cell("here"), Cell("paper", mark="muted")), False: (Cell("here"),)}
        head.append((Cell("row"), *(cell for level in levels for _ in METRICS for cell in pair[with_paper[level]])))
    best = {
        (level, metric): max(_value(row, level, metric) for row in results.rows if level in row.levels)
        for level in levels
        for metric in METRICS
    }
    cells = {}
    for row in results.rows:
        fields = [Cell(row.title)]
        if not row.levels:
            width = 2 * sum(widths.values())
            fields.append(Cell(f"no figures: {row.failed or 'the run has none'}", mark="reason", span=width))
        else:
            for level in levels:
                for metric in METRICS:
                    fields.append(_figure(results, row, level, metric, best[level, metric]))
                    if with_paper[level]:
                        fields.append(_papers(paper, row.row, level, metric, finest))
        cells[row.row] = tuple(fields)
    name = "paper's" if results.protocol.get("name") == "paper" else "default"
    tested = f"{results.dataset['test_sessions']:,} test sessions"
    note = (
        f"{tested}, {name} protocol. Figures in %, means over seeds; below them the 95 % bootstrap interval over "
        "sessions. Bold: best of its column. *: better than every other row (two-sided paired t-test, p < 0.01 after "
        "Holm)."
    )
    if any(with_paper.values()):
        note += f" Grey: {FULL_DATA}, with other test sessions, so compare the order, not the height."
    if not levels:
        head = [(Cell("row"), Cell("figures"))]
    return Table(f"Table 3: {results.label}", tuple(head), grouped(results, cells), note)


def _value(row: RowResult, level: str, metric: str) -> float:
    value: float | None = getattr(row.levels[level], metric).value
    return -1.0 if value is None else value


def _figure(results: Results, row: RowResult, level: str, metric: str, best: float) -> Cell:
    of_level: LevelResult | None = row.levels.get(level)
    if of_level is None:
        return Cell(NOTHING)
    figure: Metric = getattr(of_level, metric)
    star = "*" if results.stars.get(level, {}).get(metric) == row.row else ""
    is_best = figure.value is not None and figure.value == best
    return Cell(percent(figure.value) + star, percent_range(figure.interval), "best" if is_best else "")


def _papers(paper: str | None, row: str, level: str, metric: str, finest: str) -> Cell:
    value = paper_figure(paper, row, level, metric, finest)
    star = "*" if row == "hup" and value is not None else ""  # the paper stars HUP in every column
    return Cell("" if value is None else percent(value) + star, mark="muted")
