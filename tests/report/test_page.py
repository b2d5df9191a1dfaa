"""The pages: whole, offline, escaped, with a number or a reason in every row; and what the commands refuse."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hup
from hup.cli import app
from hup.experiment import compare, read_results, sweep

from ..helpers.grids import without_processes

QUICK = ("network.hidden=6", "training.epochs=1", "embeddings.skipgram_epochs=1")
in_one_process = pytest.fixture(without_processes, scope="module")
VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Balanced(HTMLParser):
    """Finds tags that do not close, and everything that the page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:")):
                self.fetched.append(value)
        if tag == "script":
            self.wrong.append("script")

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def read(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    page = Balanced()
    page.feed(text)
    assert not page.wrong
    assert not page.open
    assert not page.fetched, page.fetched
    assert "url(http" not in text
    return text


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory, in_one_process) -> Path:
    """A folder with `dataset`, a `run` on it in which a row has failed, a `swept` run, and `clicks.txt`."""
    folder = tmp_path_factory.mktemp("pages")
    config = hup.SimulatorConfig(sessions=120, items=60, levels=2, mean_events=10, seed=2)
    hup.simulate(config, folder / "clicks.txt", format="jd")
    text = (folder / "clicks.txt").read_text()
    # A name that would be markup, were it not escaped.
    first = text.split("+", 1)[0]
    (folder / "clicks.txt").write_text(
        re.sub(rf"(?<![^\s]){re.escape(first)}(?=\+)", "<script>alert(1)</script>", text)
    )
    dataset = hup.prepare(folder / "clicks.txt", format="jd", out=folder / "dataset")
    rows = ["hup", "hup-best", "hup-tlstm", "recency"]
    compare(dataset.path, folder / "run", models=rows, seeds=2, tuning=1, overrides=QUICK, jobs=1, label="A <shop>")
    broken = folder / "run" / "cells" / "hup-tlstm"
    for cell in broken.glob("*/cell.json"):
        cell.write_text('{"failed": "it ran out of <luck>"}')
    sweep(dataset.path, folder / "swept", values=[0.2, 0.8], seeds=1, overrides=QUICK, jobs=1)
    return folder


def test_the_report_is_one_offline_page(shop):
    out, tables = shop / "report.html", shop / "tables.md"
    done = run("report", shop / "run", "--sweep", shop / "swept", "--out", out, "--markdown", tables)
    assert done.exit_code == 0, done.output
    page = read(out)
    assert "A &lt;shop&gt;" in page
    assert "A <shop>" not in page
    assert "it ran out of &lt;luck&gt;" in page
    assert "it ran out of <luck>" in done.stderr
    results = read_results(shop / "run")
    for row in results.rows:
        assert row.title in page
        for figures in row.levels.values():
            assert f"{100 * figures.recall.value:.1f}" in page
    assert "<svg" in page, "the trade-off is a figure"
    assert "Calibration of probabilities" in page
    assert "came true, %" in page
    assert results.dataset["fingerprint"] in page or results.dataset["fingerprint"][:12] in page
    assert results.command.split()[0] in page
    assert "| HUP |" in tables.read_text()
    assert "| Recency |" in tables.read_text()


def test_further_figures_stand_in_the_report_of_a_run_that_was_asked_for_them(shop, tmp_path, in_one_process):
    plain = tmp_path / "plain.html"
    assert run("report", shop / "run", "--out", plain).exit_code == 0
    assert "further figures" not in read(plain)
    asked = {"models": ["recency"], "seeds": 1, "tuning": 1, "jobs": 1, "at": [1, 10], "metrics": ["ndcg", "coverage"]}
    results = compare(shop / "dataset", tmp_path / "run", **asked)
    out, tables = tmp_path / "report.html", tmp_path / "tables.md"
    assert run("report", tmp_path / "run", "--out", out, "--markdown", tables).exit_code == 0
    page, markdown = read(out), tables.read_text()
    for level, title in (("item", "Items"), ("category_1", "Categories, level 1 (coarsest)")):
        assert f"{title}: further figures" in page
        figures = results.rows[0].levels[level].figures
        for name in ("ndcg@1", "ndcg@10", "coverage@1", "coverage@10"):
            assert f"{100 * figures[name].value:.1f}" in markdown
    assert "1 / log2(1 + rank)" in page
    assert "Gini" not in page


def test_a_log_without_categories_has_no_category_columns(bare_shops, tmp_path, in_one_process):
    rows = ["hup-best", "recency", "popularity"]
    shop = bare_shops["K=1, bare"]
    compare(shop.path, tmp_path / "run", models=rows, seeds=1, tuning=1, overrides=QUICK, jobs=1, at=[5])
    sweep(shop.path, tmp_path / "swept", values=[0.2, 0.8], seeds=1, overrides=QUICK, jobs=1)
    out, tables = tmp_path / "report.html", tmp_path / "tables.md"
    asked = ("report", tmp_path / "run", "--sweep", tmp_path / "swept", "--out", out, "--markdown", tables)
    done = run(*asked)
    assert done.exit_code == 0, done.output
    read(out)
    text = tables.read_text()
    assert "| Categories, coarsest level first | none |" in text
    assert text.count("Categor") == 1
    assert "The paper's claims" in text


def test_the_papers_figures_stand_beside_ours_where_they_are_asked_for(shop):
    out = shop / "paper.html"
    done = run("report", shop / "run", "--paper", f"{shop / 'run'}=appliances", "--out", out)
    assert done.exit_code == 0, done.output
    page = read(out)
    for figure in ("51.5", "20.5", "93.8", "91.6", "6,166,916", "176,483,033"):
        assert figure in page


def test_a_case_study_of_a_session(shop):
    models = [shop / "run" / "models" / name / "seed-0" for name in ("hup", "recency")]
    out, png = shop / "explain.html", shop / "explain.png"
    done = run("explain", *models, "--session", shop / "clicks.txt", "--line", 1, "--out", out, "--png", png)
    assert done.exit_code == 0, done.output
    page = read(out)
    assert "<script>alert" not in page
    assert "untrained" in page, "the micro level had no loss"
    assert "hup" in page
    assert "recency" in page
    assert png.read_bytes().startswith(b"\x89PNG")
    from_dataset = run("explain", models[0], "--dataset", shop / "dataset", "--png", shop / "other.png")
    assert from_dataset.exit_code == 0, from_dataset.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "nowhere", "--out", "x.html"), "not a run folder"),
        (("report", "run", "--paper", "run=magic", "--out", "x.html"), "expected RUN=NAME"),
        (("explain", "run/models/hup/seed-0"), "Name one session"),
        (("explain", "run/models/hup/seed-0", "--dataset", "dataset", "--index", "9999"), "9999"),
        (("explain", "nowhere", "--dataset", "dataset"), "not a model folder"),
        (("explain", "run/models/hup/seed-0", "--dataset", "dataset", "--level", "category_7"), "category_7"),
    ],
)
def test_what_is_refused_is_told(shop, monkeypatch, arguments, message):
    monkeypatch.chdir(shop)
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    assert message in done.stderr
    assert not (shop / "x.html").exists()


def test_a_session_of_one_item_run_has_no_ground_truth(shop):
    (shop / "one.txt").write_text("1+5+1/2+3+9 1+6+1/2+4+9\n")
    done = run("explain", shop / "run" / "models" / "hup" / "seed-0", "--session", shop / "one.txt")
    assert done.exit_code == 1
    assert "item run" in done.stderr
