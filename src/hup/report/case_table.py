"""The case study as a grid: cells of events, paths and attention that span the rows they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hup.evaluation.figures import percent
from hup.report.explanation import EventRow, Explanation, HeatColumn, Rank
from hup.report.wording import duration, ordinal


@dataclass(frozen=True)
class GridCell:
    """A cell that begins in a row and covers ``span`` rows.

    Attributes
    ----------
    text : str
    span : int
    kind : str
        ``"text"``, ``"number"``, ``"heat"``, ``"folded"`` (attention on events that are not shown) or ``"rank"``.
    level : str
        Of heat: ``"micro"``, ``"item"`` or ``"category"``.
    heat : float
        0 … 1, share of the column's largest weight.
    trained : bool
    """

    text: str
    span: int = 1
    kind: str = "text"
    level: str = ""
    heat: float = 0.0
    trained: bool = True


@dataclass(frozen=True)
class GridHead:
    """Models with a column under a level, and whether each is trained."""

    level: str
    models: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class CaseGrid:
    """Cells by row; None where a cell from above covers the place.

    Attributes
    ----------
    heads : tuple of GridHead
    folded : tuple of GridCell
        One row for the events before those shown; empty where all are shown.
    n_folded : int
    rows : tuple of tuple of (GridCell or None)
        Category, item, behavior, dwell, interval, then a column for each model of each head.
    target : int
        Row at which the ground truth begins.
    """

    heads: tuple[GridHead, ...]
    folded: tuple[GridCell, ...]
    n_folded: int
    rows: tuple[tuple[GridCell | None, ...], ...]
    target: int

    @property
    def has_untrained(self) -> bool:
        """Whether a column shows weights that no loss reaches."""
        return any(not trained for head in self.heads for _, trained in head.models)

    @property
    def sections(self) -> tuple[tuple[str, tuple[tuple[GridCell | None, ...], ...]], ...]:
        """Rows of the history, and those of the ground truth."""
        return (("history", self.rows[: self.target]), ("truth", self.rows[self.target :]))


def case_grid(explanation: Explanation, last: int | None = None) -> CaseGrid:
    """Lay out a case.

    Parameters
    ----------
    explanation : Explanation
    last : int, optional
        Show so many events at the end, the ground truth among them, and at least one before it, from the beginning of
        an item run; what lies before is folded into one row. Default all.
    """
    events, cut = explanation.events, explanation.cut
    start = _first_shown(events, cut, last)
    shown = events[start:]
    columns: list[list[GridCell | None]] = [
        _spans(shown, lambda event: event.path, lambda event: " › ".join(event.path), cut - start),  # noqa: RUF001 (an arrow)
        _spans(shown, lambda event: event.item, lambda event: event.item, cut - start),
        [GridCell(event.behavior) for event in shown],
        _dwells(shown),
        [GridCell("" if event.interval is None else duration(event.interval), kind="number") for event in shown],
    ]
    folded = [GridCell("")] * 5
    heads = []
    for level in explanation.shown_levels:
        models = [model for model in explanation.models if level in model.columns]
        heads.append(GridHead(level, tuple((model.name, model.columns[level].trained) for model in models)))
        for model in models:
            # A model that looks at events alone looks for the item.
            of = "item" if level == "micro" and len(model.columns) == 1 else level
            rank = model.ranks.get(of)
            cells, before = _heat(model.columns[level], level, start, cut, len(shown), rank)
            columns.append(cells)
            folded.append(before)
    rows = tuple(zip(*columns, strict=True))
    return CaseGrid(tuple(heads), tuple(folded) if start else (), start, rows, cut - start)


def _first_shown(events: Sequence[EventRow], cut: int, last: int | None) -> int:
    if last is None or last >= len(events):
        return 0
    start = min(len(events) - last, cut - 1)
    while start > 0 and events[start - 1].item == events[start].item:
        start -= 1  # not in the middle of an item run
    return start


def _spans(
    shown: Sequence[EventRow], key: Callable[[EventRow], Any], text: Callable[[EventRow], str], cut: int
) -> list[GridCell | None]:
    """One cell for every run of equal keys; the ground truth has cells of its own."""
    cells: list[GridCell | None] = [None] * len(shown)
    begin = 0
    for end in range(1, len(shown) + 1):
        if end in (cut, len(shown)) or key(shown[end]) != key(shown[begin]):
            cells[begin] = GridCell(text(shown[begin]), end - begin)
            begin = end
    return cells


def _dwells(shown: Sequence[EventRow]) -> list[GridCell | None]:
    cells = _spans(shown, lambda event: event.item, lambda event: "", sum(not event.is_target for event in shown))
    return [
        None
        if cell is None
        else GridCell("" if event.dwell is None else duration(event.dwell), cell.span, kind="number")
        for cell, event in zip(cells, shown, strict=True)
    ]


def _heat(
    column: HeatColumn, level: str, start: int, cut: int, n_shown: int, rank: Rank | None
) -> tuple[list[GridCell | None], GridCell]:
    """Cells of one column beside the shown events, and the sum of the weights before them."""
    kind = level.partition("_")[0]
    largest = max((weight.value for weight in column.weights), default=0.0) or 1.0
    cells: list[GridCell | None] = [None] * n_shown
    before = 0.0
    for weight in column.weights:
        if weight.last < start:
            before += weight.value
            continue
        first = max(weight.first, start)
        heat = weight.value / largest
        span = weight.last - first + 1
        cells[first - start] = GridCell(percent(weight.value), span, "heat", kind, heat, column.trained)
    covered = 0
    for place in range(cut - start):
        cell = cells[place]
        covered = max(covered, place + cell.span if cell is not None else 0)
        if place >= covered:
            cells[place] = GridCell("", kind="number")  # an event that the level does not look at
    told = "" if rank is None else ordinal(rank.rank) if rank.rank is not None else "no rank"
    cells[cut - start] = GridCell(told, n_shown - (cut - start), "rank", kind)
    return cells, GridCell(percent(before), 1, "folded", kind, 0.0, column.trained)
