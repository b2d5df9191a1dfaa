"""What is drawn as curves: a key over its values (Figure 6), and rows over growing training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hup.errors import HupError
from hup.evaluation.figures import NOTHING, percent
from hup.experiment.results import Metric, Results, RowResult
from hup.report.result_tables import METRICS
from hup.report.table import Cell, Group, Table
from hup.report.wording import SPEARMAN, level_title, metric_title, percent_range
from hup.sessions.levels import ITEM, Level


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes
    ----------
    name : str
    x : tuple of float
    metrics : tuple of Metric
        The figure at every x.
    is_ours : bool
        Drawn thicker and with its interval.
    is_bar : bool
        What the others have to beat, drawn dashed in the colour of text.
    """

    name: str
    x: tuple[float, ...]
    metrics: tuple[Metric, ...]
    is_ours: bool = False
    is_bar: bool = False


@dataclass(frozen=True)
class Curves:
    """A figure: panels of lines, its figures as a table, and what they show in words."""

    title: str
    panels: tuple[tuple[str, tuple[Line, ...]], ...]
    x_title: str
    log: bool
    table: Table
    sentences: tuple[str, ...]

    @property
    def alt(self) -> str:
        """The figure in words, for those who cannot see it."""
        what = "; ".join(title for title, _ in self.panels)
        return f"{self.title}. Line charts over {self.x_title}: {what}. {' '.join(self.sentences)}"


def sweep_curves(results: Results) -> Curves:
    """Four curves of a sweep: Recall and MRR of items and of the finest categories.

    Raises
    ------
    HupError
        If the run is no sweep, or none of its rows has figures.
    """
    if results.swept is None:
        raise HupError(f"{results.path} is no sweep; make one with `hup sweep`.")
    key = results.swept["key"]
    by_name = {row.row: row for row in results.rows}
    pairs = [(float(value), by_name[name]) for value, name in zip(*_swept(results), strict=True)]
    pairs = sorted(((value, row) for value, row in pairs), key=lambda pair: pair[0])
    measured = [(value, row) for value, row in pairs if row.levels]
    if not measured:
        raise HupError(f"No row of the sweep {results.path} has figures.")
    depth = results.dataset["levels"]
    finest = [level for level in (ITEM, Level.category(depth)) if level in measured[0][1].levels]
    columns = [(level, metric) for level in finest for metric in METRICS]
    panels, sentences = [], []
    for level, metric in columns:
        k = measured[0][1].levels[level].k
        title = f"{level_title(level, depth)}: {metric_title(metric, k)}, %"
        metrics = tuple(getattr(row.levels[level], metric) for _, row in measured)
        panels.append((title, (Line("HUP", tuple(value for value, _ in measured), metrics, is_ours=True),)))
        sentences.append(_trend(level_title(level, depth), metric_title(metric, k), key, measured, metrics))
    head = (
        (Cell(key), *(Cell(title.removesuffix(", %").replace(":", ",")) for title, _ in panels)),
    )  # one line, so that the table reads without the figure
    rows = tuple(
        (
            Cell(f"{value:g}"),
            *(
                _cell(getattr(row.levels[level], metric)) if row.levels else Cell(row.failed or NOTHING, mark="reason")
                for level, metric in columns
            ),
        )
        for value, row in pairs
    )
    name = "Figure 6: trade-off in the loss" if key == "loss.lambda_item" else f"{key}, value by value"
    note = "Figures in %, means over seeds, with 95 % bootstrap intervals over sessions."
    table = Table(f"{name}: {results.label}", head, (Group("", rows),), note)
    x_title = "λ_item (λ_category = 1 − λ_item)" if key == "loss.lambda_item" else key  # noqa: RUF001 (a minus sign)
    return Curves(f"{name}, {results.label}", tuple(panels), x_title, False, table, tuple(filter(None, sentences)))


def _swept(results: Results) -> tuple[list[float], list[str]]:
    assert results.swept is not None
    return results.swept["values"], results.swept["rows"]


def _trend(
    level: str, metric: str, key: str, measured: Sequence[tuple[float, RowResult]], metrics: Sequence[Metric]
) -> str:
    """Say how a figure moves with the key."""
    from scipy.stats import spearmanr

    values = [metric.value for metric in metrics if metric.value is not None]
    if len(values) < 3 or len(values) < len(measured):
        return ""
    low, high = min(values), max(values)
    spread = f"between {percent(low)} and {percent(high)} %"
    if low == high:
        return f"{level}, {metric}: {percent(low)} % throughout."
    rho = float(spearmanr([value for value, _ in measured], values).statistic)
    moves = "rises" if rho > 0.5 else "falls" if rho < -0.5 else "neither rises nor falls clearly"
    sign = f"{rho:+.2f}".replace("-", "−")  # noqa: RUF001 (a minus sign)
    return f"{level}, {metric}, {moves} with {key} ({SPEARMAN} {sign}), {spread}."


def learning_curves(runs: Sequence[Results]) -> Curves:
    """Recall and MRR of items over the number of training sessions, for HUP, its variants and recency.

    Parameters
    ----------
    runs : sequence of Results
        One for each size; where two have the same number of training sessions, the later one counts.

    Raises
    ------
    HupError
        For fewer than two sizes.
    """
    by_size = {int(results.dataset["train_sessions"]): results for results in runs}
    if len(by_size) < 2:
        raise HupError("A learning curve needs runs with two or more different numbers of training sessions.")
    sizes = sorted(by_size)
    titles: dict[str, str] = {}
    for size in sizes:
        for row in by_size[size].rows:
            if row.row == "recency" or row.group in ("hup", "variant"):
                titles.setdefault(row.row, row.title)
    rows = {size: {row.row: row for row in by_size[size].rows if "item" in row.levels} for size in sizes}
    k = next((row.levels["item"].k for of_size in rows.values() for row in of_size.values()), 20)
    panels = tuple(
        (
            f"Items: {metric_title(metric, k)}, %",
            tuple(line for name in titles if (line := _line(name, titles[name], rows, metric)).x),
        )
        for metric in METRICS
    )
    simulated = any("simul" in results.label.lower() for results in runs)
    label = f"{by_size[sizes[-1]].label}{' (simulated data)' if simulated else ''}"
    head = (
        (Cell(""), *(Cell(f"{size:,} sessions", span=2) for size in sizes)),
        (Cell("row"), *(Cell(metric_title(metric, k)) for _ in sizes for metric in METRICS)),
    )
    body = tuple(
        (Cell(title), *(_at(by_size[size], name, metric) for size in sizes for metric in METRICS))
        for name, title in titles.items()
    )
    note = "Items; figures in %, means over seeds."
    if simulated:
        note += " The data is simulated: it shows what the machinery can learn, not how good a model is in a real shop."
    table = Table(f"Learning curves: {label}", head, (Group("", body),), note)
    return Curves(f"Learning curves, {label}", panels, "training sessions", True, table, _crossing(sizes, rows, k))


def _line(name: str, title: str, rows: dict[int, dict[str, RowResult]], metric: str) -> Line:
    known = [(size, of_size[name]) for size, of_size in rows.items() if name in of_size]
    metrics = tuple(getattr(row.levels["item"], metric) for _, row in known)
    return Line(title, tuple(size for size, _ in known), metrics, is_ours=name == "hup", is_bar=name == "recency")


def _at(results: Results, name: str, metric: str) -> Cell:
    row = next((row for row in results.rows if row.row == name), None)
    if row is None:
        return Cell("not run", mark="muted")
    if "item" not in row.levels:
        return Cell(row.failed or NOTHING, mark="reason")
    return _cell(getattr(row.levels["item"], metric))


def _cell(metric: Metric) -> Cell:
    return Cell(percent(metric.value), percent_range(metric.interval))


def _crossing(sizes: Sequence[int], rows: dict[int, dict[str, RowResult]], k: int) -> tuple[str, ...]:
    """Say from which size on HUP is ahead of recency."""
    sentences = []
    for metric in METRICS:
        gaps = {}
        for size in sizes:
            pair = [rows[size].get(name) for name in ("hup", "recency")]
            values = [getattr(row.levels["item"], metric).value for row in pair if row is not None]
            if len(values) == 2 and None not in values:
                gaps[size] = values[0] - values[1]
        if not gaps:
            continue
        ahead = [size for size in gaps if all(gap > 0 for other, gap in gaps.items() if other >= size)]
        name = metric_title(metric, k)
        if not ahead:
            sentences.append(f"By {name} HUP is not ahead of Recency at the largest size ({max(gaps):,} sessions).")
        elif ahead[0] == min(gaps):
            sentences.append(f"By {name} HUP is ahead of Recency at every size.")
        else:
            sentences.append(f"By {name} HUP is ahead of Recency from {ahead[0]:,} training sessions on.")
    return tuple(sentences)
