"""Curves over a key and over growing data, their words and drawings; and tables as Markdown."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from hup.errors import HupError
from hup.report.charts import panels
from hup.report.curves import learning_curves, sweep_curves
from hup.report.page import write_report
from hup.report.table import Cell, Group, Table
from hup.report.worth import worth_curves

N = 40


def rank(value: float) -> np.ndarray:
    return np.full(N, float(value))


def swept(results_of, ranks: list[float]):
    rows = {f"hup@{place}": rank(value) for place, value in enumerate(ranks)}
    results = results_of(rows)
    values = [0.1 * (place + 1) for place in range(len(ranks))]
    return replace(results, swept={"key": "loss.lambda_item", "values": values, "rows": list(rows)})


def test_a_sweep_is_four_curves_in_the_order_of_its_values(results_of):
    curves = sweep_curves(swept(results_of, [8, 4, 2, 1]))
    assert [title for title, _ in curves.panels][:2] == ["Items: Recall@20, %", "Items: MRR@20, %"]
    assert len(curves.panels) == 4
    ((line,),) = {lines for title, lines in curves.panels if title == "Items: MRR@20, %"}
    assert line.x == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert [metric.value for metric in line.metrics] == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1])
    assert any("Items, MRR@20, rises with loss.lambda_item" in sentence for sentence in curves.sentences)
    assert any("Items, Recall@20: 100.0 % throughout" in sentence for sentence in curves.sentences)


def test_a_run_that_swept_nothing_is_no_sweep(results_of):
    with pytest.raises(HupError, match="no sweep"):
        sweep_curves(results_of({"hup": rank(1)}))


def test_learning_curves_say_from_which_size_hup_is_ahead(results_of):
    runs = [
        results_of({"hup": rank(hup), "recency": rank(3), "rib": rank(1)}, train_sessions=size, label="SIMULATED")
        for size, hup in ((100, 9), (1000, 4), (10_000, 2))
    ]
    curves = learning_curves(runs[::-1])
    assert "By MRR@20 HUP is ahead of Recency from 10,000 training sessions on." in curves.sentences
    assert {line.name for line in curves.panels[0][1]} == {"HUP", "RECENCY"}, "others are not drawn"
    assert "simulated" in curves.table.note


def test_one_size_makes_no_curve(results_of):
    run = results_of({"hup": rank(1), "recency": rank(2)})
    with pytest.raises(HupError, match="two or more"):
        learning_curves([run, run])


def test_charts_are_part_of_a_page_and_the_same_every_time(results_of):
    curves = sweep_curves(swept(results_of, [8, 4, 2]))
    titles, lines = zip(*curves.panels, strict=True)
    first, again = (panels(titles, lines, curves.x_title, log=False, number="a") for _ in range(2))
    assert first == again
    tree = ElementTree.fromstring(first)
    assert tree.tag == "svg"
    identifiers = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(set(identifiers)) == len(identifiers)
    assert all(name.startswith("a-") for name in identifiers)
    assert "currentColor" in first, "the text has the page's colour"


def test_markdown_keeps_names_from_being_markup_and_rows_whole():
    head = ((Cell(""), Cell("both", span=2)), (Cell("row"), Cell("a"), Cell("b")))
    rows = ((Cell("x|y <b>*\n"), Cell("1", "0.5", "best"), Cell("2")), (Cell("z"), Cell("none", span=2)))
    lines = Table("T", head, (Group("G", rows),), "note").markdown().splitlines()
    body = [line for line in lines if line.startswith("|")]
    assert body[0] == "| row | both, a | both, b |"
    assert "**1 (0.5)**" in body[3]
    assert "x\\|y &lt;b&gt;\\*" in body[3]
    assert {line.replace("\\|", "").count("|") for line in body} == {4}


def worth_of(results_of, size: int, **ranks: float):
    rows = {f"best-no-{part}": rank(value) for part, value in ranks.items()}
    return results_of({"hup-best": rank(2), **rows}, train_sessions=size)


def test_what_each_part_is_worth_is_best_less_best_without_it(results_of):
    runs = [worth_of(results_of, 1000, repeat=8, profile=2), worth_of(results_of, 100, repeat=4, memory=5, profile=1)]
    curves = worth_curves(runs)
    lines = {line.name: line for title, panel in curves.panels if "MRR" in title for line in panel}
    found = {name: dict(zip(line.x, (one.value for one in line.metrics), strict=True)) for name, line in lines.items()}
    assert found["repeat"] == pytest.approx({100: 1 / 2 - 1 / 4, 1000: 1 / 2 - 1 / 8})
    assert found["memory"] == pytest.approx({100: 1 / 2 - 1 / 5})
    assert found["profile"] == pytest.approx({100: 1 / 2 - 1, 1000: 0})
    assert "Repeat is worth +25.0 points of MRR@20 at 100 training sessions and +37.5 at 1,000." in curves.sentences
    assert len(curves.sentences) == 2, "memory has one size alone"
    (group,) = curves.table.groups
    assert [cell.text for cell in group.rows[2]] == ["profile", "+0.0", "−50.0*", "+0.0", "+0.0"]  # noqa: RUF001


def test_parts_of_one_size_make_no_figure(results_of):
    assert worth_curves([worth_of(results_of, 100, repeat=4), results_of({"hup-best": rank(1)})]) is None


def test_the_page_has_the_figure_where_runs_of_growing_size_have_the_parts(results_of, tmp_path):
    runs = [
        results_of(
            {"hup": rank(3), "hup-best": rank(2), "best-no-profile": rank(4), "recency": rank(3)}, train_sessions=n
        )
        for n in (100, 1000)
    ]
    write_report(runs[:1], tmp_path / "report.html", curves=runs, markdown=tmp_path / "report.md")
    page, tables = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    for said in ("What each part of best is worth", "Profile is worth +25.0 points of MRR@20 at 100 training sessions"):
        assert said in page
    assert r"| profile | +0.0 | +25.0\* |" in tables
    without = [results_of({"hup": rank(3), "recency": rank(3)}, train_sessions=n) for n in (200, 2000)]
    write_report(without[:1], tmp_path / "without.html", curves=without)
    assert "What each part of best is worth" not in (tmp_path / "without.html").read_text()
