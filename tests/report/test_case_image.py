"""The picture of a case: nothing covers anything else or runs out of it, whatever models and items are called."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hup.report.case_image import write_case_image
from hup.report.explanation import EventRow, Explanation, HeatColumn, ModelView, Rank, Weight
from hup.report.wrapped import TextMeasure

MEASURE = TextMeasure(FigureCanvasAgg(Figure(dpi=150)).get_renderer(), 8)


@pytest.mark.filterwarnings("ignore:Glyph")
@settings(max_examples=40, deadline=None)
@given(st.text("abWi -.中", max_size=60), st.floats(0.2, 2), st.integers(1, 4))
def test_lines_are_no_wider_than_their_place_and_lose_nothing_in_silence(text, inches, most):
    lines = MEASURE.wrapped(text, inches, most)
    assert len(lines) <= most
    assert all(len(line) == 1 or MEASURE.inches(line) <= inches for line in lines)
    if lines and lines[-1].endswith("…"):
        assert len(lines) == most
    else:
        assert "".join(lines).replace(" ", "") == "".join(text.split())


def explained(names: list[str], item: str, source: str) -> Explanation:
    """Two events of the history and the ground truth, with equal weights."""
    events = tuple(
        EventRow(
            path=(item, f"{item} {n}"), item=f"{item}{n}", behavior=item, dwell=3.0, interval=None, is_target=n == 2
        )
        for n in range(3)
    )
    column = HeatColumn((Weight(0, 0, 0.5), Weight(1, 1, 0.5)), trained=False)
    levels = ("micro", "item", "category_2")
    ranks = {level: Rank(1, 9) for level in levels[1:]}
    models = tuple(ModelView(name=name, columns=dict.fromkeys(levels, column), ranks=ranks, top={}) for name in names)
    return Explanation(source=source, events=events, category_level="category_2", models=models)


@pytest.mark.parametrize(
    ("names", "item", "source", "last"),
    [
        (["hup"], "lamp", "log.txt", None),
        (["hup", "a long name of a model " * 5, "x" * 90], "a lamp of many words " * 9, "one very long name " * 20, 2),
        (["模型名称" * 6], "台灯" * 20, "日志" * 60, None),
    ],
    ids=["one model", "long names", "wide letters"],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_nothing_covers_anything_else(tmp_path, monkeypatch, names, item, source, last):
    drawn = []
    savefig = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *given, **more: drawn.append(self) or savefig(self, *given, **more)
    )
    write_case_image(explained(names, item, source), tmp_path / "case.png", last=last)
    (figure,) = drawn
    (axes,) = figure.axes
    boxes = [(text.get_text(), text.get_window_extent()) for text in axes.texts if text.get_text()]
    for text, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"{text!r} runs out of the picture"
    for (one, box), (other, other_box) in combinations(boxes, 2):
        assert not box.overlaps(other_box), f"{one!r} and {other!r} cover each other"
