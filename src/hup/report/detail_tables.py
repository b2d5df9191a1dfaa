"""Tables behind the main one: repeat and explore, significance, seeds, cost, settings, spread of vectors."""

from __future__ import annotations

from collections.abc import Callable

from hup.evaluation.figures import NOTHING, percent, percent_pair
from hup.evaluation.metrics import cutoff
from hup.experiment.read_results import SIGNIFICANT
from hup.experiment.results import Difference, Results, RowResult
from hup.report.result_tables import METRICS, grouped, shown_levels
from hup.report.table import Cell, Group, Table
from hup.report.wording import (
    RANGE,
    duration,
    level_title,
    metric_title,
    p_value,
    points,
    points_range,
    with_separators,
)


def detail_tables(results: Results) -> list[Table]:
    """All of them that have something to say of a run."""
    makers = (
        parts_table,
        significance_table,
        seeds_table,
        cost_table,
        settings_table,
        collapse_table,
        calibration_table,
    )
    tables = [make(results) for make in makers]
    return [table for table in tables if table.groups]


def parts_table(results: Results) -> Table:
    """Recall and MRR where the target was in the session already, and where it was not."""
    levels, depth = shown_levels(results), results.dataset["levels"]
    some = next((row for row in results.rows if row.levels), None)
    cells: dict[str, tuple[Cell, ...]] = {}
    head: tuple[tuple[Cell, ...], ...] = ((Cell("row"),),)
    if some is not None:
        first = some.levels
        head = (
            (Cell(""), *(Cell(level_title(level, depth), span=2) for level in levels)),
            (
                Cell("row"),
                *(
                    Cell(title, f"{part.sessions:,} sessions")
                    for level in levels
                    for title, part in (("repeat", first[level].repeat), ("explore", first[level].explore))
                ),
            ),
        )
        for row in results.rows:
            if row.levels:
                parts = [part for level in levels for part in (row.levels[level].repeat, row.levels[level].explore)]
                cells[row.row] = (Cell(row.title), *(Cell(percent_pair(part.recall, part.mrr)) for part in parts))
            else:
                cells[row.row] = (Cell(row.title), Cell(NOTHING, mark="reason", span=2 * len(levels)))
    note = (
        "Recall / MRR in %, at 20 for items and 5 for categories. Repeat: the target was in the session's history; "
        "explore: it was not. They are different tasks, and a row may be good at one alone."
    )
    return Table("Repeat and explore", head, grouped(results, cells), note)


def significance_table(results: Results) -> Table:
    """Differences of the reference row to every other."""
    levels, depth = shown_levels(results), results.dataset["levels"]
    by_column = {(d.row, d.level, d.metric): d for d in results.differences}
    titles = {row.row: row.title for row in results.rows}
    reference = titles.get(results.reference, results.reference)
    columns = [(level, metric) for level in levels for metric in METRICS]
    head = (
        (Cell(""), *(Cell(level_title(level, depth), span=2) for level in levels)),
        (Cell("row"), *(Cell(metric_title(metric, cutoff(level))) for level, metric in columns)),
    )
    cells = {
        row.row: (Cell(row.title), *(_difference(by_column.get((row.row, *column))) for column in columns))
        for row in results.rows
        if any((row.row, *column) in by_column for column in columns)
    }
    note = (
        f"{reference} minus row, in points, with the 95 % bootstrap interval and the p-value of the two-sided paired "
        f"t-test over sessions, corrected after Holm over all rows of the column. Coloured where p < 0.01: green where "
        f"{reference} is better, red where it is worse."
    )
    return Table(f"Significance: {reference} against every row", head, grouped(results, cells), note)


def _difference(difference: Difference | None) -> Cell:
    if difference is None:
        return Cell(NOTHING)
    sure = difference.p_holm < SIGNIFICANT
    mark = "" if not sure else "good" if difference.mean > 0 else "bad"
    return Cell(points(difference.mean), f"{points_range(difference.interval)}; {p_value(difference.p_holm)}", mark)


def seeds_table(results: Results) -> Table:
    """How far seeds alone move the figures; empty where no row has more than one."""
    levels, depth = shown_levels(results), results.dataset["levels"]
    head = (
        (Cell(""), Cell(""), *(Cell(level_title(level, depth), span=2) for level in levels)),
        (
            Cell("row"),
            Cell("seeds"),
            *(Cell(metric_title(metric, cutoff(level))) for level in levels for metric in METRICS),
        ),
    )
    cells = {}
    for row in results.rows:
        if len(row.seeds) > 1 and row.levels:
            spans = [getattr(row.levels[level], metric).by_seed for level in levels for metric in METRICS]
            figures = [f"{percent(min(by))}{RANGE}{percent(max(by))}" if by else NOTHING for by in spans]
            cells[row.row] = (Cell(row.title), Cell(str(len(row.seeds))), *map(Cell, figures))
    note = "Smallest and largest mean over sessions, in %, of the same row with different seeds."
    return Table("Spread over seeds", head, grouped(results, cells), note)


def cost_table(results: Results) -> Table:
    """Lay out what every row costs."""
    names = ("row", "fit", "tuning", "settings tried", "epochs", "events/s", "sessions/s", "parameters", "seeds")
    cells = {}
    for row in results.rows:
        cost = row.cost
        figures = (
            duration(cost.fit_seconds),
            duration(cost.tune_seconds),
            str(len(row.trials)) if row.trials else NOTHING,
            NOTHING if cost.epochs is None else f"{cost.epochs:.0f}",
            with_separators(cost.events_per_second),
            with_separators(cost.sessions_per_second),
            with_separators(cost.parameters),
            str(len(row.seeds)) if row.seeds else NOTHING,
        )
        cells[row.row] = (Cell(row.title), *map(Cell, figures))
    note = (
        "Fit: one seed, mean over seeds. Tuning: all settings tried. Events/s: in training. Sessions/s: ranked in the "
        "test, all levels. Rows without a random part have one seed."
    )
    return Table("Cost", (tuple(map(Cell, names)),), grouped(results, cells), note)


def settings_table(results: Results) -> Table:
    """Lay out the settings that tuning chose for every row, and what they gained where they were tried."""
    head = ((Cell("row"), Cell("chosen", mark="text"), Cell("defaults"), Cell("chosen setting"), Cell("tried")),)
    depth = results.dataset["levels"]
    cells = {row.row: _setting(row, depth) for row in results.rows if row.trials}
    note = (
        "Every model got the same number of settings to try, fewer only where it has nothing more to tune: on "
        "validation and the late part of training where a model is counted, on validation where it is trained. Rows "
        "whose levels have nothing in common get a setting for each. Figures: mean over levels of the gain "
        "1 / √rank, in %."
    )
    return Table("Settings chosen", head, grouped(results, cells), note)


def _setting(row: RowResult, depth: int) -> tuple[Cell, ...]:
    tried = {tuple(trial["overrides"]): trial.get("gains") or {} for trial in row.trials}
    settings = {level_title(level, depth): ", ".join(s) or "the defaults" for level, s in row.overrides.items()}
    same = len(set(settings.values())) < 2
    text = "; ".join({*settings.values()} if same else [f"{level}: {s}" for level, s in settings.items()])

    def mean(setting: Callable[[str], tuple[str, ...]]) -> float | None:
        gains = [tried.get(setting(level), {}).get(level) for level in row.overrides]
        known = [gain for gain in gains if gain is not None]
        return sum(known) / len(known) if known else None

    return (
        Cell(row.title),
        Cell(text or NOTHING, mark="text"),
        Cell(percent(mean(lambda _: ()))),
        Cell(percent(mean(lambda level: row.overrides[level]))),
        Cell(str(len(row.trials))),
    )


def collapse_table(results: Results) -> Table:
    """Mean cosine and effective rank of the vectors of models that have any."""
    rows = tuple(
        (
            Cell(row.title),
            Cell(name, mark="text"),
            Cell(f"{spread['mean_cosine']:.2f}"),
            Cell(f"{spread['effective_rank']:.1f}"),
        )
        for row in results.rows
        for name, spread in row.collapse.items()
    )
    head = ((Cell("row"), Cell("table", mark="text"), Cell("mean cosine"), Cell("effective rank")),)
    note = (
        "Of the first seed. Cosine 1 or rank 1 would mean that all vectors are one, which the paper's loss allows "
        "where targets are trained; here they are frozen."
    )
    return Table("Collapse: how far vectors are spread", head, (Group("", rows),) if rows else (), note)


def calibration_table(results: Results) -> Table:
    """Lay out how far probabilities are from what came; empty where no row gives any."""
    levels, depth = shown_levels(results), results.dataset["levels"]
    rows = tuple(
        (Cell(row.title), *(Cell(f"{100 * row.calibration[level]['error']:.1f}") for level in levels))
        for row in results.rows
        if all(level in row.calibration for level in levels) and row.levels
    )
    head = ((Cell("row"), *(Cell(level_title(level, depth)) for level in levels)),)
    note = (
        "Expected calibration error in points, of the first seed: over the five likeliest known candidates of every "
        "test session, in ten bins, the mean difference between the probability given and the share that came true."
    )
    return Table("Calibration of probabilities", head, (Group("", rows),) if rows else (), note)
