"""Further cut-offs and metrics of a grid: from what is kept, or by asking its models again, never by fitting."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import hup
from hup.evaluation import evaluate
from hup.evaluation.metrics import ndcg, recall
from hup.experiment import compare, read_results
from hup.experiment.run_folder import RUN, RunFolder
from hup.experiment.tasks import Grid
from hup.recommender.kinds import load

from ..helpers.grids import without_processes
from .conftest import QUICK

in_one_process = pytest.fixture(without_processes, scope="module")
ASKED = {"models": ["hup", "recency"], "seeds": 2, "tuning": 1, "jobs": 1, "overrides": QUICK}


@pytest.fixture(scope="module")
def plain(dataset, tmp_path_factory, in_one_process):
    """A run that was asked for nothing further, as one of an earlier version is."""
    out = tmp_path_factory.mktemp("further") / "run"
    results = compare(dataset.path, out, **ASKED)
    content = json.loads((out / RUN).read_text())
    (out / RUN).write_text(json.dumps({key: value for key, value in content.items() if key not in ("metrics", "at")}))
    return out, results


@pytest.fixture
def run(plain, tmp_path):
    """A copy of it."""
    import shutil

    shutil.copytree(plain[0], tmp_path / "run")
    return tmp_path / "run"


def asked_again(dataset, run, **further):
    """Ask a finished run for more; with what was run for it."""
    told: list[str] = []
    results = compare(
        dataset.path, run, **ASKED, **further, watcher=lambda *now: told.append(now[2].task.title if now[2] else "")
    )
    return results, told


def test_a_run_of_an_earlier_version_reads(plain):
    out, before = plain
    found = read_results(out)
    assert [row.levels for row in found.rows] == [row.levels for row in before.rows]
    assert list(found.rows[0].levels["item"].figures) == ["recall@20", "mrr@20"]


@pytest.mark.usefixtures("in_one_process")
def test_cutoffs_and_metrics_of_ranks_need_no_run(dataset, run):
    results, told = asked_again(dataset, run, at=(1, 50), metrics=["hit_rate", "ndcg"])
    assert told == []
    assert read_results(run).choice == results.choice, "and the folder knows what was asked"
    evaluations = [evaluate(load(run / "models" / "hup" / f"seed-{seed}"), dataset, rows=()) for seed in (0, 1)]
    for level, of in results.rows[0].levels.items():
        ranks = np.stack([one.ranks["hup"][level] for one in evaluations])
        for k in (1, 50, of.k):
            assert of.figures[f"recall@{k}"].value == pytest.approx(recall(ranks, k).mean())
            assert of.figures[f"ndcg@{k}"].value == pytest.approx(ndcg(ranks, k).mean())
            assert of.figures[f"ndcg@{k}"].by_seed == pytest.approx(tuple(ndcg(ranks, k).mean(axis=1)))
            low, high = of.figures[f"ndcg@{k}"].interval
            assert low <= of.figures[f"ndcg@{k}"].value <= high
        assert of.figures[f"recall@{of.k}"] == of.recall
    assert {d.metric for d in results.differences} == {"recall", "mrr"}
    assert compare(dataset.path, run, **ASKED).choice.at == (), "what was asked last counts"


@pytest.mark.usefixtures("in_one_process")
def test_metrics_of_lists_ask_the_kept_models_once(dataset, run, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was fitted")

    monkeypatch.setattr("hup.experiment.tasks.fit", refuse)
    assert read_results(run, metrics=["coverage"]).rows[0].levels["item"].figures["coverage@20"].value is None
    before = {path: path.read_bytes() for path in run.glob("cells/*/*/*")}
    results, told = asked_again(dataset, run, at=(3,), metrics=["coverage", "novelty"])
    assert sorted(told) == ["", "hup, seed 0", "hup, seed 1", "recency, seed 0"]
    assert {path: path.read_bytes() for path in before} == before, "what was there stays as it is"
    found = [
        evaluate(load(run / "models" / "hup" / f"seed-{seed}"), dataset, rows=(), at=(3,), metrics=["coverage"])
        for seed in (0, 1)
    ]
    by_seed = tuple(one.rows["hup"]["item"]["coverage@3"] for one in found)
    assert results.rows[0].levels["item"].figures["coverage@3"].by_seed == pytest.approx(by_seed)
    assert results.rows[0].levels["item"].figures["coverage@3"].interval is None
    # Another metric of the same lists follows from what was counted; longer lists are counted anew, and the old kept.
    assert asked_again(dataset, run, at=(3,), metrics=["gini"])[1] == []
    assert len(asked_again(dataset, run, at=(8,), metrics=["gini"])[1]) == 4
    assert asked_again(dataset, run, at=(3, 8), metrics=["coverage"])[1] == []


@pytest.mark.usefixtures("in_one_process")
def test_a_killed_run_counts_what_is_left(dataset, run):
    asked_again(dataset, run, metrics=["coverage"])
    RunFolder(run).exposure("hup", 1).unlink()
    assert asked_again(dataset, run, metrics=["coverage"])[1] == ["", "hup, seed 1"]


@pytest.mark.usefixtures("in_one_process")
def test_lists_that_fail_cost_no_finished_cell(dataset, run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise hup.HupError("no memory")

    monkeypatch.setattr(Grid, "_fitted", fail)
    results, _ = asked_again(dataset, run, metrics=["coverage", "ndcg"])
    for row in results.rows:
        assert row.failed is None
        assert row.levels["item"].figures["coverage@20"].value is None
        assert row.levels["item"].figures["ndcg@20"].value is not None


@pytest.mark.usefixtures("in_one_process")
def test_a_new_cell_counts_its_lists_at_once(dataset, tmp_path):
    asked = {"models": ["recency"], "seeds": 1, "tuning": 1, "jobs": 1, "metrics": ["popularity_bias"], "at": [2]}
    told: list[object] = []
    results = compare(dataset.path, tmp_path / "run", **asked, watcher=lambda *now: told.append(now))
    assert len(told) == 2
    expected = evaluate(
        load(tmp_path / "run" / "models" / "recency" / "seed-0"),
        dataset,
        rows=(),
        **{name: asked[name] for name in ("metrics", "at")},
    )
    for level, of in results.rows[0].levels.items():
        assert of.figures["popularity_bias@2"].value == expected.rows["recency"][level]["popularity_bias@2"]


def test_a_wrong_choice_is_told_before_anything_runs(dataset, tmp_path):
    for wrong in ({"at": [0]}, {"metrics": ["auc"]}):
        with pytest.raises(hup.HupError, match=r"A cut-off is 0|no metric 'auc'"):
            compare(dataset.path, tmp_path / "run", models=["recency"], **wrong)
    assert not (tmp_path / "run").exists()


def test_results_as_a_frame_and_as_json(plain, monkeypatch):
    results = read_results(plain[0], at=(1,))
    frame = results.to_frame()
    assert list(frame.columns)[:7] == ["row", "title", "group", "level", "part", "metric", "k"]
    # Of two rows at three levels: Recall and MRR at two cut-offs, and of both parts at one.
    assert len(frame) == 2 * 3 * (4 + 4)
    (line,) = frame.query("row == 'hup' and level == 'item' and part == 'all' and metric == 'mrr' and k == 20").to_dict(
        "records"
    )
    mrr = results.rows[0].levels["item"].mrr
    assert (line["value"], line["low"], line["high"]) == pytest.approx((mrr.value, *mrr.interval))
    assert line["seeds"] == 2
    content = json.loads(results.to_json())
    assert len(content["figures"]) == len(frame)
    assert content["failed"] == {}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(hup.HupError, match="pip install pandas"):
        results.to_frame()


def test_a_failed_row_has_a_line_without_figures(run):
    for cell in run.glob("cells/hup/*/cell.json"):
        cell.write_text('{"failed": "it broke"}')
    results = read_results(run)
    lines = results.to_frame().query("row == 'hup'")
    assert len(lines) == 1
    assert lines.metric.isna().all()
    assert json.loads(results.to_json())["failed"] == {"hup": "it broke"}
    assert "– / –" in repr(results)  # noqa: RUF001


def test_results_show_themselves_in_a_few_lines(plain):
    results = plain[1]
    lines = repr(results).splitlines()
    assert lines[0] == f"Comparison on {results.label}, 24 test sessions, Recall / MRR in %"
    assert lines[1].split() == ["item", "@20", "category_2", "@5", "category_1", "@5"]
    assert [line.split()[0] for line in lines[2:]] == ["hup", "recency"]
    assert results._repr_html_().count("<tr>") == 3


@pytest.mark.usefixtures("in_one_process")
def test_a_log_without_categories_has_no_category_figures(bare_shops, tmp_path):
    results = compare(bare_shops["K=1, bare"].path, tmp_path / "run", models=["recency"], seeds=1, tuning=1, jobs=1)
    assert results.levels == list(results.rows[0].levels) == ["item"]
    assert "category" not in repr(results) + results._repr_html_()
