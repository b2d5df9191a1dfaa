"""Charts as inline SVG: the trade-off of §6.3 (Figure 6), and learning curves."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hup.experiment.results import Metric
from hup.report.curves import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, which colour-blind readers can tell apart, without those too pale for white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A68A6", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: Drawn in this colour and then replaced by the text's own, which is light where the page is dark.
_INK = "#010203"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "legend.labelcolor": _INK,
    "legend.frameon": False,
    "text.parse_math": False,
}


@contextmanager
def drawing(size: tuple[float, float], number: str) -> Iterator[tuple[Figure, list[str]]]:
    """Give a figure to draw on, ``size`` inches large; its SVG is put into the list when the block ends."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out: list[str] = []
    with mpl.rc_context({**_STYLE, "svg.hashsalt": number}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, out
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    out.append(_inlined(buffer.getvalue(), number))


def _inlined(svg: str, number: str) -> str:
    """Make an SVG file a part of a page: no prolog, no metadata, no style for all, its own names, the text's ink."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{number}-\1"', svg)
    svg = re.sub(r'(url\(|xlink:href=")#', rf"\g<1>#{number}-", svg).replace("xlink:href", "href")
    width = re.search(r'<svg[^>]*?\swidth="([\d.]+)pt"', svg)
    svg = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    points = float(width[1]) if width else 460.0
    svg = svg.replace("<svg", f'<svg aria-hidden="true" style="max-width:{points * 4 / 3:.0f}px"', 1)
    return svg.replace(_INK, "currentColor")


def panels(titles: Sequence[str], lines: Sequence[Sequence[Line]], x_title: str, *, log: bool, number: str) -> str:
    """Draw panels side by side, each with the same names of lines, and one legend below.

    Parameters
    ----------
    titles : sequence of str
        Of the panels.
    lines : sequence of sequence of Line
        Of every panel.
    x_title : str
    log : bool
        Whether x is on a logarithmic scale.
    number : str
        Makes names within the SVG unique on the page.

    Returns
    -------
    str
        ``<svg>…</svg>``.
    """
    columns = 2
    rows = -(-len(titles) // columns)
    names = list(dict.fromkeys(line.name for panel in lines for line in panel))
    with_legend = len(names) > 1
    size = (7.4, 2.55 * rows + (0.24 * -(-len(names) // 3) if with_legend else 0) + 0.2)
    with drawing(size, number) as (figure, out):
        axes = figure.subplots(rows, columns, squeeze=False).flatten()
        for place, axis in enumerate(axes):
            if place >= len(titles):
                axis.set_axis_off()
                continue
            _panel(axis, titles[place], lines[place], names, log=log)
            if place >= len(titles) - columns:
                axis.set_xlabel(x_title)
        if with_legend:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(names)), fontsize=9)
    return out[0]


def reliability_chart(panels: Mapping[str, Sequence[tuple[float, float]]], number: str) -> str:
    """Draw the share that came true over the probability that was given, beside the diagonal of perfect calibration.

    Parameters
    ----------
    panels : mapping of str to sequence of (float, float)
        By title: (probability, came true) of every bin.
    number : str
        Makes names within the SVG unique on the page.
    """
    with drawing((7.4, 2.7), number) as (figure, out):
        axes = figure.subplots(1, len(panels), squeeze=False).flatten()
        for axis, (title, bins) in zip(axes, panels.items(), strict=True):
            given, true = ([100 * value for value in values] for values in zip(*bins, strict=True))
            most = 1.05 * max(*given, *true, 1e-9)
            axis.set_title(title)
            axis.plot([0, most], [0, most], color=_INK, linestyle="--", linewidth=1)
            axis.plot(given, true, color=PALETTE[0], marker=MARKERS[0], linewidth=1.6, markersize=4)
            axis.set_xlabel("probability given, %")
            axis.set_xlim(0, most)
            axis.set_ylim(0, most)
        axes[0].set_ylabel("came true, %")
    return out[0]


def _panel(axis: Axes, title: str, lines: Sequence[Line], names: Sequence[str], *, log: bool) -> None:
    axis.set_title(title)
    axis.grid(axis="y", color="#888888", alpha=0.3, linewidth=0.6)
    for line in lines:
        place = names.index(line.name)
        known = [(x, metric) for x, metric in zip(line.x, line.metrics, strict=True) if metric.value is not None]
        x = [one for one, _ in known]
        y = [_percent(metric) for _, metric in known]
        style: dict[str, Any] = {
            "color": _INK if line.is_bar else PALETTE[place % len(PALETTE)],
            "marker": None if line.is_bar else MARKERS[place % len(MARKERS)],
            "linestyle": "--" if line.is_bar else "-",
            "linewidth": 2.2 if line.is_ours else 1.4,
            "markersize": 5 if line.is_ours else 4,
        }
        axis.plot(x, y, label=line.name, **style)
        if line.is_ours and all(metric.interval is not None for _, metric in known):
            low, high = zip(*(_span(metric) for _, metric in known), strict=True) if known else ((), ())
            axis.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    if log:
        _log_ticks(axis, sorted({x for line in lines for x in line.x}))
    else:
        axis.set_xticks(sorted({x for line in lines for x in line.x}))
        axis.margins(x=0.04)


def _log_ticks(axis: Axes, values: list[float]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(values))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([f"{value:,.0f}" for value in values], rotation=30, ha="right")


def _percent(metric: Metric) -> float:
    assert metric.value is not None
    return 100 * metric.value


def _span(metric: Metric) -> tuple[float, float]:
    assert metric.interval is not None
    return 100 * metric.interval[0], 100 * metric.interval[1]
