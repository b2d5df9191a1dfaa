"""Grids: what they run, what they leave, how they go on, and what a failing model costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import hup
from hup.data.dataset import Dataset
from hup.data.folds import folds
from hup.errors import HupError
from hup.evaluation import evaluate
from hup.evaluation.metrics import mean_gains, recall, reciprocal_rank
from hup.evaluation.significance import holm, paired_t_test
from hup.experiment import compare, read_results
from hup.experiment.results import RowResult
from hup.experiment.rows import Row, all_rows
from hup.experiment.run_folder import RunFolder
from hup.experiment.tasks import Grid, Task
from hup.models.counted.by_level import ByLevel
from hup.recommender.kinds import KINDS, load, model_class
from hup.recommender.model_folder import write_json
from hup.sessions.batches import histories_and_targets

from ..helpers.grids import without_processes
from .conftest import QUICK

ROWS = ["popularity", "item-knn", "hup", "recency", "vsknn"]


#: To start two processes takes longer than all that they do; one that is started is below.
WORK = ["in one process", pytest.param("in two", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=WORK)
def run(request, dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    seen: list[tuple[int, int]] = []
    with nullcontext() if request.param == "in two" else contextmanager(without_processes)():
        results = compare(
            dataset.path,
            out,
            models=ROWS,
            seeds=2,
            tuning=2,
            overrides=QUICK,
            jobs=2,
            watcher=lambda done, total, ended: seen.append((done, total)),
        )
    return out, results, seen


def test_every_row_has_a_number_and_models_are_kept(run, dataset):
    out, results, seen = run
    assert [row.row for row in results.rows] == ROWS
    # Two settings each of three models, and a cell for each row and seed that it has.
    assert seen == [(done, 12) for done in range(13)]
    for row in results.rows:
        assert row.failed is None
        assert row.seeds == ((0, 1) if row.row == "hup" else (0,))
        assert list(row.levels) == ["item", "category_2", "category_1"]
        assert row.cost.fit_seconds > 0
        for figures in row.levels.values():
            assert 0 <= figures.recall.value <= 1
            assert figures.recall.interval[0] <= figures.recall.value <= figures.recall.interval[1]
            assert len(figures.mrr.by_seed) == len(row.seeds)
        model = load(out / "models" / row.row / "seed-0")
        assert model.name == row.row
        assert model.recommend([], k=3).basis == "popularity"
    assert not list((out / "models").glob("*/trial-*")), "models of settings that were not chosen are removed"
    assert results.rows[2].cost.parameters > 0


def test_figures_are_those_of_the_evaluation_averaged_over_seeds(run, dataset):
    out, results, _ = run
    found = [evaluate(load(out / "models" / "hup" / f"seed-{seed}"), dataset, rows=()) for seed in (0, 1)]
    for level, figures in next(row for row in results.rows if row.row == "hup").levels.items():
        ranks = np.stack([one.ranks["hup"][level] for one in found])
        assert figures.recall.value == pytest.approx(recall(ranks, figures.k).mean())
        assert figures.mrr.value == pytest.approx(reciprocal_rank(ranks, figures.k).mean())
        repeat = found[0].repeat[level]
        assert (figures.repeat.sessions, figures.explore.sessions) == (repeat.sum(), (~repeat).sum())
        if repeat.any():
            assert figures.repeat.mrr == pytest.approx(reciprocal_rank(ranks, figures.k)[:, repeat].mean())


def test_the_first_reference_that_is_there_is_what_others_are_tested_against(run, monkeypatch):
    out, results, _ = run
    for names, expected in ((("no such row", "vsknn"), "vsknn"), (("no such row",), results.rows[0].row)):
        monkeypatch.setattr(sys.modules[read_results.__module__], "REFERENCES", names)
        again = read_results(out)
        assert again.reference == expected
        assert {one.reference for one in again.differences} == {expected}


def test_differences_are_paired_over_sessions_and_corrected(run, dataset):
    out, results, _ = run
    assert results.reference == "hup"

    def values(row: str, seeds: tuple[int, ...]) -> np.ndarray:
        models = [load(out / "models" / row / f"seed-{seed}") for seed in seeds]
        return np.mean([reciprocal_rank(evaluate(m, dataset, rows=()).ranks[row]["item"], 20) for m in models], axis=0)

    ours = values("hup", (0, 1))
    others = {row: values(row, (0,)) for row in ROWS if row != "hup"}
    p_values = [paired_t_test(ours, other) for other in others.values()]
    found = {d.row: d for d in results.differences if d.level == "item" and d.metric == "mrr"}
    for row, p, corrected in zip(others, p_values, holm(p_values), strict=True):
        assert (found[row].p, found[row].p_holm) == pytest.approx((p, corrected))
        assert found[row].mean == pytest.approx((ours - others[row]).mean())


def gains_of(row: RowResult, number: int, dataset: Dataset) -> dict[str, float]:
    """What a setting gains, worked out anew: on the folds where the row is counted."""
    made = next(one for one in all_rows(overrides=QUICK) if one.name == row.row)
    config = made.config(row.trials[number]["overrides"], seed=0)
    if row.row == "hup":
        parts = [evaluate(made.make(config).fit(dataset), dataset, split="validation", rows=()).ranks]
    else:
        earlier = [fold.dataset for fold in folds(dataset, 5_000)]
        assert len(earlier) == 3
        parts = [evaluate(made.make(config).fit(before), before, rows=()).ranks for before in earlier]
    return mean_gains({level: np.concatenate([part[row.row][level] for part in parts]) for level in row.levels})


def test_settings_are_chosen_by_equal_budgets_and_by_level_where_levels_are_independent(run, dataset):
    out, results, _ = run
    for row in results.rows:
        if row.row in ("popularity", "recency"):
            assert row.trials == []
            continue
        assert len(row.trials) == 2
        for number, trial in enumerate(row.trials):
            assert trial["gains"] == pytest.approx(gains_of(row, number, dataset))
            assert trial["selection"] == pytest.approx(np.mean(list(trial["gains"].values())))
        assert list(row.overrides) == ["item", "category_2", "category_1"]
        for level, setting in row.overrides.items():
            by = {"hup": lambda trial: trial["selection"]}.get(row.row, lambda trial, at=level: trial["gains"][at])
            assert list(setting) == max(row.trials, key=by)["overrides"]
        cell = RunFolder(out).read_cell(row.row, 0)
        assert cell["overrides"] == {level: list(setting) for level, setting in row.overrides.items()}


@pytest.mark.usefixtures("in_one_process")
def test_a_row_with_settings_by_level_is_a_model_of_several(dataset, tmp_path):
    """Each level of the cell is that of a model that has this level's setting everywhere."""
    out = tmp_path / "run"
    asked = {"models": ["vsknn"], "seeds": 1, "tuning": 3, "jobs": 1}
    compare(dataset.path, out, **{**asked, "models": ["recency"]})
    settings = model_class("vsknn").tuning[:3]
    gains = [
        {"item": 0.1, "category_2": 0.5, "category_1": 0.5},
        {"item": 0.3, "category_2": 0.5},
        {"item": 0.2, "category_2": 0.6},
    ]
    for number, (setting, gain) in enumerate(zip(settings, gains, strict=True)):
        trial = {"overrides": list(setting), "failed": None, "selection": 0.4, "gains": gain, "seconds": 1.0}
        write_json(RunFolder(out).trial("vsknn", number), trial)
    row = next(row for row in compare(dataset.path, out, **asked).rows if row.row == "vsknn")
    expected = {"item": settings[1], "category_2": settings[2], "category_1": settings[0]}
    assert row.overrides == expected
    model = load(out / "models" / "vsknn" / "seed-0")
    assert isinstance(model, ByLevel)
    assert model.name == "vsknn"
    found = evaluate(model, dataset, rows=()).ranks["vsknn"]
    for level, setting in expected.items():
        options = model_class("vsknn").options().changed(setting)
        alone = evaluate(model_class("vsknn")(options).fit(dataset), dataset, rows=()).ranks["vsknn"]
        np.testing.assert_array_equal(found[level], alone[level])


@pytest.mark.usefixtures("in_one_process")
def test_trained_rows_may_have_a_budget_of_their_own(dataset, tmp_path):
    asked = {"models": ["hup", "vsknn"], "seeds": 1, "tuning": 3, "tuning_trained": 1, "jobs": 1, "overrides": QUICK}
    results = compare(dataset.path, tmp_path / "run", **asked)
    assert {row.row: len(row.trials) for row in results.rows} == {"hup": 0, "vsknn": 3}
    assert (results.made["tuning_budget"], results.made["tuning_budget_trained"]) == (3, 1)


def test_the_test_split_chooses_no_setting(dataset, tmp_path, monkeypatch):
    """Trials see nothing of it."""
    seen: list[int] = []

    def spied(asked, sessions, *rest, **named):
        seen.extend(np.asarray(sessions).tolist())
        return histories_and_targets(asked, sessions, *rest, **named)

    for module in ("hup.evaluation.protocol", "hup.models.counted.blend"):
        monkeypatch.setattr(f"{module}.histories_and_targets", spied)
    grid = Grid(dataset, RunFolder(tmp_path / "run"), "default")
    rows = {row.name: row for row in all_rows(overrides=QUICK)}
    for name in ("vsknn+recency", "hup"):
        grid.run(Task(rows[name], 0, 0, ()))
    assert set(seen) >= set(dataset.sessions("validation"))
    assert max(seen) < dataset.sessions("test").start


def test_what_is_finished_is_not_run_again(run, dataset):
    out, before, _ = run
    stamps = {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*") if path.is_file()}
    seen: list[object] = []
    again = compare(
        dataset.path,
        out,
        models=ROWS,
        seeds=2,
        tuning=2,
        overrides=QUICK,
        label="called otherwise",
        watcher=lambda *told: seen.append(told),
    )
    assert seen == []
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert again.label == "called otherwise"
    assert [row.levels for row in again.rows] == [row.levels for row in before.rows]


@pytest.mark.usefixtures("in_one_process")
def test_more_rows_and_seeds_may_be_asked_for(dataset, tmp_path):
    compare(dataset.path, tmp_path / "run", models=["recency"], seeds=1, tuning=1, jobs=1)
    seen: list[str] = []
    results = compare(
        dataset.path,
        tmp_path / "run",
        models=["popularity", "recency"],
        seeds=1,
        tuning=1,
        jobs=1,
        watcher=lambda done, total, ended: seen.append(ended.task.row.name if ended else ""),
    )
    assert seen == ["", "popularity"]
    assert [row.row for row in results.rows] == ["popularity", "recency"]


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tuning": 3}, "has tuning = 1, not 3"),
        ({"tuning_trained": 3}, "has tuning_trained = null, not 3"),
        ({"protocol": "paper"}, 'has protocol = "default", not "paper"'),
        ({"models": ["hup"], "overrides": ["network.hidden=7"]}, "has another row 'hup'"),
    ],
)
def test_another_run_in_the_folder_is_refused(dataset, tmp_path, asked, message):
    first = {"models": ["popularity"], "seeds": 1, "tuning": 1, "jobs": 1, "overrides": QUICK}
    compare(dataset.path, tmp_path / "run", **first)
    if "overrides" in asked:
        compare(dataset.path, tmp_path / "run", **{**first, "models": ["hup"]})
    with pytest.raises(hup.HupError, match=message):
        compare(dataset.path, tmp_path / "run", **{**first, **asked})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"models": ["magic"]}, "no row 'magic'. Rows: popularity, bpr-mf"),
        ({"presets": ["magic"]}, "no preset 'magic'"),
        ({"seeds": 0}, "seeds is 0"),
        ({"tuning": 0}, "tuning is 0"),
        ({"tuning_trained": 0}, "tuning_trained is 0"),
        ({"protocol": "magic"}, "no protocol 'magic'"),
        ({"models": ["hup"], "overrides": ["network.width=3"]}, "no configuration key network.width"),
    ],
)
def test_a_wrong_question_is_told_before_anything_runs(dataset, tmp_path, asked, message):
    with pytest.raises(hup.HupError, match=message):
        compare(dataset.path, tmp_path / "run", **{"models": ["recency"], **asked})
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_refused(dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(hup.HupError, match="something else than a run"):
        compare(dataset.path, tmp_path / "mine", models=["recency"])
    with pytest.raises(hup.HupError, match="not a run folder"):
        read_results(tmp_path / "mine")


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_a_failing_model_costs_its_row_not_the_run(dataset, tmp_path):
    asked = {"models": ["hup", "recency"], "seeds": 2, "tuning": 2, "jobs": 1}
    # A learning rate that leaves no finite weight.
    overrides = [*QUICK, "training.learning_rate=1e30"]
    results = compare(dataset.path, tmp_path / "run", overrides=overrides, **asked)
    row, recency = results.rows
    assert "HupError: hup gave scores that are not numbers" in row.failed
    assert row.levels == {}
    assert recency.failed is None
    seen: list[object] = []
    compare(dataset.path, tmp_path / "run", overrides=overrides, watcher=lambda *told: seen.append(told), **asked)
    assert seen == [], "a failed cell is not run again unasked"
    compare(
        dataset.path,
        tmp_path / "run",
        overrides=overrides,
        retry_failed=True,
        watcher=lambda *told: seen.append(told),
        **asked,
    )
    again = [done.task.row.name for *_, done in seen if done is not None]
    assert again
    assert set(again) == {"hup"}, "what has failed is run again, and that alone"


@pytest.mark.usefixtures("in_one_process")
def test_the_papers_protocol(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("hup.evaluation.protocol.NEIGHBORS", 5)
    results = compare(
        dataset.path,
        tmp_path / "run",
        models=["hup", "recency"],
        seeds=1,
        tuning=1,
        protocol="paper",
        overrides=QUICK,
        jobs=1,
    )
    assert results.protocol["candidates"] == "neighbors"
    assert results.protocol["last_interval"] == "keep"
    assert load(tmp_path / "run" / "models" / "hup" / "seed-0").config.sessions.last_interval == "keep"
    ceilings = {row.row: row.levels["item"].ceiling for row in results.rows}
    assert ceilings["hup"] == ceilings["recency"] < 1, "all rows rank the same candidates"
    vectors = load_file(next((tmp_path / "run" / "candidates").iterdir()))["item"]
    model = load(tmp_path / "run" / "models" / "hup" / "seed-0")
    asked = {"split": "validation", "last_interval": "keep", "rows": ()}
    few = evaluate(model, dataset, candidates="neighbors", vectors=vectors, **asked).rows["hup"]["item"]
    found = model.metrics["validation"]["item"]
    assert found == {name: pytest.approx(few[name]) for name in ("recall@20", "mrr@20")}, "and choose epochs by them"


@pytest.mark.slow
def test_kill_9_in_the_middle_and_go_on(dataset, tmp_path):
    out = tmp_path / "run"
    sets = [part for override in QUICK for part in ("--set", override)]
    command = [sys.executable, "-m", "hup", "compare", str(dataset.path), "--out", str(out), "--seeds", "4"]
    command += ["--models", "hup,recency,hup-noatt", "--tuning", "1", "--jobs", "1", *sets]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("cells/*/*/cell.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.is_file() else []
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while any(is_running(worker) for worker in workers):  # nobody may work on beside the command that goes on
        assert time.monotonic() < deadline
        time.sleep(0.02)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*/cell.json")}
    assert len(finished) < 9
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    whole = compare(dataset.path, tmp_path / "whole", models=["hup"], seeds=4, tuning=1, overrides=QUICK, jobs=1)
    resumed = next(row for row in read_results(out).rows if row.row == "hup")
    assert resumed.levels == whole.rows[0].levels


def is_running(pid: str) -> bool:
    """Whether a process is there and more than the remains of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_a_process_that_dies_costs_its_task(dataset, tmp_path, monkeypatch):
    from hup.experiment.workers import Workers

    compare(dataset.path, tmp_path / "run", models=["recency"], seeds=1, tuning=1, jobs=1)
    workers = Workers(dataset.path, tmp_path / "run", "default", 1)
    rows = {row.name: row for row in all_rows()}
    tasks = [Task(rows["popularity"], 0, None, ()), Task(rows["hup"], 0, None, QUICK)]
    ended = []

    def next_task() -> Task | None:
        return tasks.pop() if tasks else None

    original = workers._give

    def give_and_kill(task: Task) -> None:
        original(task)
        if task.row.name == "hup":
            process = next(iter(workers._busy.values()))[0]
            os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers, "_give", give_and_kill)
    ended = {done.task.row.name: done.failed for done in workers.run(next_task)}
    assert "signal SIGKILL, perhaps for want of memory" in ended["hup"]
    assert ended["popularity"] is None


# ---------------------------------------------------------------------- rows


def test_rows_are_the_papers_and_more():
    rows = all_rows(["paper", "authors"])
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert [row.title for row in rows if row.group == "paper"] == [
        *("POP", "BPR-MF", "Item-KNN", "Word2vec", "Word2vec-avg", "RIB", "Time-LSTM", "S-HRNN"),
    ]
    assert [row.title for row in rows if row.group == "variant"] == [
        *("HUP-NoMicro", "HUP-LSTM", "HUP-TLSTM", "HUP-NoAtt", "HUP-Single"),
    ]
    assert {row.kind for row in rows} | {ByLevel.kind} == set(KINDS)
    assert [row.name for row in rows if row.group == "hup"] == ["hup", "hup-authors"]


@pytest.mark.parametrize("row", all_rows(), ids=lambda row: row.name)
def test_every_row_can_be_made_and_tuned(row: Row):
    for overrides in row.settings(6):
        model = row.make(row.config(overrides, seed=3, last_interval="keep"))
        assert model.name == row.name
        config = json.loads(model.config.model_dump_json())
        assert config.get("seed", config.get("training", {}).get("seed", 3)) == 3
        assert config.get("sessions", {}).get("last_interval", "keep") == "keep"


def test_two_runs_never_work_in_one_folder(dataset, tmp_path):
    with RunFolder(tmp_path / "run").held(), pytest.raises(HupError, match=r"Another run works in .*run"):
        compare(dataset.path, tmp_path / "run", models=["recency"], seeds=1, tuning=1, jobs=1)
    assert list((tmp_path / "run").iterdir()) == []
