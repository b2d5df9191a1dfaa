"""The case study as a picture (PNG), as Figure 5 has it: events at the left, heat columns at the right."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hup.files import write_aside
from hup.report.case_table import CaseGrid, GridCell, case_grid
from hup.report.explanation import Explanation
from hup.report.wording import level_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Heat by kind of level, as on the page: blue, vermilion, green (Okabe and Ito).
HEAT = {"micro": (0, 114, 178), "item": (213, 94, 0), "category": (0, 138, 100)}
STRONGEST = 0.75  # of the colour, so that a figure on it can still be read
_WIDTHS = (2.6, 2.6, 1.9, 0.8, 0.8)  # inches of category, item, behavior, dwell, interval
_HEAT_WIDTH, _ROW = 1.0, 0.3
_HEADS = ("Category", "Item", "Behavior", "Dwell", "Interval")
_DPI = 150
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
    n_folded = 1 if grid.folded else 0
    lines = 3 + n_folded + len(grid.rows)
    with mpl.rc_context({"text.parse_math": False, "font.size": 8, "font.family": "sans-serif"}):
        figure = Figure(figsize=(edges[-1] + 0.2, _ROW * lines + 0.5), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-0.1, edges[-1] + 0.1)
        axes.set_ylim(lines + 1.2, -0.3)  # rows go down
        _heads(axes, grid, explanation, edges)
        for place, cell in enumerate(grid.folded):
            text = f"{grid.n_folded} earlier events" if place == 0 else cell.text
            _cell(axes, edges, place, 3, GridCell(text, 1, cell.kind))
        for number, row in enumerate(grid.rows):
            for place, of_row in enumerate(row):
                if of_row is not None:
                    _cell(axes, edges, place, 3 + n_folded + number, of_row, truth=number >= grid.target)
        below = f"{explanation.source}. Attention in % of the history; the last rows are the ground truth, with ranks."
        _text(axes, 0, lines + 0.6, below, color="#444444")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # names may be in any script
            with write_aside(Path(path)) as aside:
                figure.savefig(aside, format="png")


def _heads(axes: Axes, grid: CaseGrid, explanation: Explanation, edges: list[float]) -> None:
    for place, title in enumerate(_HEADS):
        _text(axes, edges[place] + 0.05, 2.5, title, weight="bold")
    place = len(_HEADS)
    depth = len(explanation.events[0].path)
    for head in grid.heads:
        title = heading(level_title(head.level, depth), len(head.models))
        _text(axes, edges[place] + 0.05, 0.35, title, weight="bold", size=7)
        for name, trained in head.models:
            _text(axes, edges[place] + 0.05, 1.5, "\n".join(textwrap.wrap(name, 16)[:2]))
            if not trained:
                _text(axes, edges[place] + 0.05, 2.5, "untrained", style="italic", color="#666666")
            place += 1
    axes.plot([edges[0], edges[-1]], [3, 3], color="#222222", linewidth=0.8)


def heading(level: str, n_columns: int) -> str:
    """Break the title over the columns of a level so that it does not run into the next one's.

    Parameters
    ----------
    level : str
        As people call it.
    n_columns : int
        Models that have this level.
    """
    letters = int(16 * _HEAT_WIDTH * n_columns)  # 16 of this size are an inch
    return "\n".join(textwrap.wrap(f"Attention: {level}", letters, break_on_hyphens=False))


def _cell(axes: Axes, edges: list[float], place: int, top: int, cell: GridCell, *, truth: bool = False) -> None:
    from matplotlib.patches import Rectangle

    left, width, height = edges[place], edges[place + 1] - edges[place], cell.span
    style: dict[str, Any] = {"edgecolor": "#cccccc", "linewidth": 0.5, "facecolor": "#fff6d6" if truth else "white"}
    if cell.kind == "heat" and cell.trained:
        style["facecolor"] = (*(part / 255 for part in HEAT[cell.level]), STRONGEST * cell.heat)
    elif cell.kind == "heat":
        style |= {"facecolor": (0.5, 0.5, 0.5, 0.35 * cell.heat), "hatch": "///", "edgecolor": "#bbbbbb"}
    axes.add_patch(Rectangle((left, top), width, height, **style))
    if cell.kind == "text":
        wrapped = textwrap.wrap(cell.text, int(width * 15))[: max(1, 2 * height)]
        _text(axes, left + 0.05, top + height / 2, "\n".join(wrapped))
    else:
        weight = "bold" if cell.kind == "rank" else "normal"
        _text(axes, left + width / 2, top + height / 2, cell.text, ha="center", weight=weight)


def _text(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, va="center", clip_on=True, **style)
