"""The case study as a picture (PNG), as Figure 5 has it: events at the left, heat columns at the right."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hup.files import write_aside
from hup.report.case_table import CaseGrid, GridCell, case_grid
from hup.report.explanation import Explanation
from hup.report.wording import level_title
from hup.report.wrapped import TextMeasure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Heat by kind of level, as on the page: blue, vermilion, green (Okabe and Ito).
HEAT = {"micro": (0, 114, 178), "item": (213, 94, 0), "category": (0, 138, 100)}
STRONGEST = 0.75  # of the colour, so that a figure on it can still be read
_WIDTHS = (2.6, 2.6, 1.9, 0.8, 0.8)  # inches of category, item, behavior, dwell, interval
_HEAT_WIDTH, _ROW = 1.1, 0.3
_HEADS = ("Category", "Item", "Behavior", "Dwell", "Interval")
_DPI, _SIZE = 150, 8
_LINE = 0.5  # rows, of a line of text
_MOST_ROWS = 150  # 7,000 pixels


def write_case_image(explanation: Explanation, path: str | Path, *, last: int | None = None) -> None:
    """Draw a case.

    Parameters
    ----------
    explanation : Explanation
    path : path
        The PNG file; it appears whole or not at all.
    last : int, optional
        As for :func:`case_grid`; never more than 150 events.

    Raises
    ------
    HupError
        If the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid = case_grid(explanation, min(last or _MOST_ROWS, _MOST_ROWS))
    edges = [0.0]
    for width in (*_WIDTHS, *(_HEAT_WIDTH for head in grid.heads for _ in head.models)):
        edges.append(edges[-1] + width)
    with mpl.rc_context({"text.parse_math": False, "font.size": _SIZE, "font.family": "sans-serif"}):
        figure = Figure(dpi=_DPI, facecolor="white")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # names may be in any script
            renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
            _Drawing(figure, grid, explanation, edges, TextMeasure(renderer, _SIZE))
            with write_aside(Path(path)) as aside:
                figure.savefig(aside, format="png")


class _Drawing:
    """The picture of a case; places are in inches from the left and rows from the top."""

    def __init__(
        self, figure: Figure, grid: CaseGrid, explanation: Explanation, edges: list[float], measure: TextMeasure
    ) -> None:
        self.edges, self.measure = edges, measure
        heads = self._wrapped_heads(grid, len(explanation.events[0].path))
        top = _LINE * (sum(heads.heights) + 1)
        rows = [grid.folded, *grid.rows] if grid.folded else grid.rows
        below = self.measure.wrapped(
            f"{explanation.source}. Attention in % of the history; the last rows are the ground truth, with ranks.",
            edges[-1],
            3,
        )
        height = top + len(rows) + 0.3 + _LINE * len(below)
        figure.set_size_inches(edges[-1] + 0.2, _ROW * (height + 0.5))
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(-0.1, edges[-1] + 0.1)
        self.axes.set_ylim(height + 0.2, -0.3)  # rows go down
        self._draw_heads(heads, top)
        for number, row in enumerate(rows):
            folded = number == 0 and bool(grid.folded)
            for place, cell in enumerate(row):
                if cell is not None:
                    text = f"{grid.n_folded} earlier events" if folded and place == 0 else cell.text
                    is_truth = number - bool(grid.folded) >= grid.target
                    self._cell(place, top + number, replace(cell, text=text), is_truth)
        self._text(0, top + len(rows) + 0.3, below, va="top", color="#444444")

    def _wrapped_heads(self, grid: CaseGrid, depth: int) -> _Heads:
        titles, names, place = [], [], len(_HEADS)
        for head in grid.heads:
            title, width = f"Attention: {level_title(head.level, depth)}", _HEAT_WIDTH * len(head.models) - 0.1
            titles.append((place, self.measure.wrapped(title, width, 4, bold=True)))
            for name, trained in head.models:
                names.append((place, self.measure.wrapped(name, _HEAT_WIDTH - 0.1, 4), trained))
                place += 1
        return _Heads(titles, names)

    def _draw_heads(self, heads: _Heads, top: float) -> None:
        for place, title in enumerate(_HEADS):
            self._text(self.edges[place] + 0.05, top - 0.15, [title], va="bottom", weight="bold")
        for place, lines in heads.titles:
            self._text(self.edges[place] + 0.05, 0, lines, va="top", weight="bold")
        for place, lines, trained in heads.names:
            self._text(self.edges[place] + 0.05, _LINE * heads.heights[0] + 0.2, lines, va="top")
            if not trained:
                below = {"va": "bottom", "style": "italic", "color": "#666666"}
                self._text(self.edges[place] + 0.05, top - 0.15, ["untrained"], **below)
        self.axes.plot([self.edges[0], self.edges[-1]], [top, top], color="#222222", linewidth=0.8)

    def _cell(self, place: int, top: float, cell: GridCell, is_truth: bool) -> None:
        from matplotlib.patches import Rectangle

        left, width, height = self.edges[place], self.edges[place + 1] - self.edges[place], cell.span
        style: dict[str, Any] = {"edgecolor": "#cccccc", "linewidth": 0.5}
        style["facecolor"] = "#fff6d6" if is_truth else "white"
        if cell.kind == "heat" and cell.trained:
            style["facecolor"] = (*(part / 255 for part in HEAT[cell.level]), STRONGEST * cell.heat)
        elif cell.kind == "heat":
            style |= {"facecolor": (0.5, 0.5, 0.5, 0.35 * cell.heat), "hatch": "///", "edgecolor": "#bbbbbb"}
        self.axes.add_patch(Rectangle((left, top), width, height, **style))
        if cell.kind == "text":
            lines = self.measure.wrapped(cell.text, width - 0.1, max(1, 2 * height))
            self._text(left + 0.05, top + height / 2, lines, va="center")
        else:
            weight = "bold" if cell.kind == "rank" else "normal"
            self._text(left + width / 2, top + height / 2, [cell.text], va="center", ha="center", weight=weight)

    def _text(self, x: float, y: float, lines: list[str], **style: Any) -> None:
        self.axes.text(x, y, "\n".join(lines), clip_on=True, **style)


@dataclass(frozen=True)
class _Heads:
    """Lines above the columns of heat, each with the place of its (first) column."""

    titles: list[tuple[int, list[str]]]
    names: list[tuple[int, list[str], bool]]

    @property
    def heights(self) -> tuple[int, int, int]:
        """Lines of titles, of names, and of what stands below these."""
        most_of_titles = max((len(lines) for _, lines in self.titles), default=0)
        return most_of_titles, max((len(lines) for _, lines, _ in self.names), default=0), 1
