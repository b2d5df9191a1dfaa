"""``hup evaluate`` from a few written lines to its tables and files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hup.cli import app
from hup.data.dataset import Dataset
from hup.data.prepare import prepare
from hup.models.hup.model import HUP

LEVELS = ["item", "category_2", "category_1"]


def lines(shift: int) -> list[str]:
    """Ten sessions: three items of the session's own group, back to the first at every other one."""
    out = []
    for n in range(10):
        items = [f"i{(n + step + shift) % 6}" for step in (0, 1, 2)]
        visits = [items[0], items[1], items[0] if n % 2 else items[2]]
        tokens = [f"{item}+{behavior}+{int(item[1]) % 2}/{item[1]}+5+10" for item in visits for behavior in (1, 6)]
        out.append(" ".join(tokens))
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A dataset, a model of it that is not trained, and another dataset."""
    folder = tmp_path_factory.mktemp("evaluate")
    for name, shift in (("dataset", 0), ("other", 3)):
        (folder / f"{name}.txt").write_text("\n".join(lines(shift)) + "\n")
        prepare(folder / f"{name}.txt", format="jd", out=folder / name)
    HUP("paper").initialise(Dataset.open(folder / "dataset")).save_pretrained(folder / "model")
    return folder


def run(*args: object):
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, ["evaluate", *map(str, args)])


def test_tables_json_and_ranks(folder, tmp_path):
    done = run(folder / "model", folder / "dataset", "--json", tmp_path / "metrics.json")
    assert done.exit_code == 0, done.output
    for expected in ("2 test sessions", "hup", "recency", "popularity", "ceiling", "Recall@20", "MRR@5", *LEVELS):
        assert expected in done.output
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["dataset"] == Dataset.open(folder / "dataset").fingerprint
    assert found["test_sessions"] == 2
    assert list(found["rows"]) == ["hup", "recency", "popularity"]
    for by_level in found["rows"].values():
        assert list(by_level) == LEVELS
        for level, figures in by_level.items():
            k = 20 if level == "item" else 5
            assert 0 <= figures[f"mrr@{k}"] <= figures[f"recall@{k}"] <= figures["ceiling"] <= 1
    kept = folder / "model" / "evaluation" / f"{found['dataset'][:12]}-test-full-mask.json"
    assert json.loads(kept.read_text()) == found
    ranks = pq.read_table(kept.with_suffix(".parquet")).to_pylist()
    assert len(ranks) == 3 * 3 * 2
    assert {row["session_name"] for row in ranks} == {"dataset.txt:9", "dataset.txt:10"}


def test_the_model_has_no_say_in_recency(folder, tmp_path):
    """The last session goes back to the item before the current one: recency has it first, at rank 1."""
    run(folder / "model", folder / "dataset")
    (kept,) = (folder / "model" / "evaluation").glob("*-test-full-mask.parquet")
    (row,) = [
        row
        for row in pq.read_table(kept).to_pylist()
        if (row["row"], row["level"], row["session_name"]) == ("recency", "item", "dataset.txt:10")
    ]
    assert row["rank"] == 1
    assert row["repeat"] is True


def test_options_reach_the_protocol_and_standard_output_is_only_json(folder):
    options = ["--candidates", "neighbors", "--last-interval", "keep", "--split", "validation"]
    done = run(folder / "model", folder / "dataset", "--json", "-", *options)
    assert done.exit_code == 0, done.output
    protocol = json.loads(done.stdout)["protocol"]
    assert protocol["candidates"] == "neighbors"
    assert protocol["neighbors"] == 1000
    assert protocol["last_interval"] == "keep"
    assert protocol["split"] == "validation"
    assert len(list((folder / "model" / "evaluation").glob("*-validation-neighbors-keep.*"))) == 2


def test_a_model_below_recency_is_told_in_plain_words(folder, monkeypatch):
    import torch

    from hup.recommender.candidates import Scores

    def flat(self, histories, level):
        """All ties, so every target is last."""
        codes = histories.own_unknown(level, self.vocabulary.size(level)).codes
        return Scores(torch.zeros(len(histories), self.vocabulary.size(level)), torch.zeros(codes.shape), codes)

    monkeypatch.setattr(HUP, "score", flat)
    done = run(folder / "model", folder / "dataset")
    assert done.exit_code == 0
    assert "Below recency" in done.stderr
    assert "item MRR@20: hup" in done.stderr
    assert "Below recency" not in done.stdout


def test_another_dataset_is_refused(folder):
    done = run(folder / "model", folder / "other")
    assert done.exit_code == 1
    assert "was trained on another dataset" in done.stderr


@pytest.mark.parametrize("missing", ["model", "dataset"])
def test_a_missing_folder_is_told(folder, missing):
    folders = {name: folder / (f"no-{name}" if name == missing else name) for name in ("model", "dataset")}
    done = run(folders["model"], folders["dataset"])
    assert done.exit_code == 1
    assert f"no-{missing}" in done.stderr


def test_a_wrong_choice_is_a_usage_error(folder):
    assert run(folder / "model", folder / "dataset", "--split", "train").exit_code == 2


def test_further_cutoffs_and_metrics_are_told_and_kept(folder, tmp_path):
    metrics = "hit_rate,ndcg,coverage,gini,novelty,popularity_bias"
    out = tmp_path / "metrics.json"
    done = run(folder / "model", folder / "dataset", "--at", "1, 10", "--metrics", metrics, "--json", out)
    assert done.exit_code == 0, done.output
    for expected in (
        "item, at 3 cut-offs",
        "@10",
        "NDCG",
        "Coverage",
        "Gini index",
        "Novelty, bits",
        "Popularity bias",
    ):
        assert expected in done.stdout
    item = json.loads(out.read_text())["rows"]["hup"]["item"]
    for metric in ("recall", "ndcg", "coverage", "gini", "novelty", "popularity_bias"):
        assert {f"{metric}@{k}" for k in (1, 10, 20)} <= set(item)
    assert "mrr@20" in item
    assert "mrr@10" not in item


def test_unasked_there_is_nothing_further(folder):
    done = run(folder / "model", folder / "dataset")
    assert "cut-offs" not in done.stdout
    assert "NDCG" not in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--at", "0,5"), "A cut-off is 0"), (("--at", "5,x"), "'x'"), (("--metrics", "auc"), "no metric 'auc'")],
)
def test_a_wrong_metric_or_cutoff_is_a_usage_error(folder, options, message):
    done = run(folder / "model", folder / "dataset", *options)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


def test_a_log_without_categories_has_no_category_table(bare_shops, tmp_path):
    from hup.recommender.recency import Recency

    dataset = bare_shops["K=1, bare"]
    Recency().fit(dataset).save_pretrained(tmp_path / "model")
    done = run(tmp_path / "model", dataset.path, "--at", "5")
    assert done.exit_code == 0, done.output
    assert "No target has a category: nothing to judge at category_1." in done.stdout
    assert done.stdout.count("category_1") == 1
    assert "Recall@20" in done.stdout


def test_a_model_folder_that_cannot_be_written_costs_what_is_kept_alone(folder, tmp_path):
    """As on a volume that is mounted to be read; here a file is where a folder would have to be."""
    shutil.copytree(folder / "model", tmp_path / "model", ignore=shutil.ignore_patterns("evaluation"))
    (tmp_path / "model" / "evaluation").touch()
    done = run(tmp_path / "model", folder / "dataset", "--json", tmp_path / "metrics.json")
    assert done.exit_code == 0, done.output
    assert "Recall@20" in done.stdout
    assert "Neither figures nor ranks are kept beside the model: Cannot write" in done.stderr
    assert set(json.loads((tmp_path / "metrics.json").read_text())["rows"]) >= {"hup", "recency"}


def test_figures_on_sessions_that_were_learned_from_are_doubted(folder, tmp_path):
    HUP("best").initialise(Dataset.open(folder / "dataset")).save_pretrained(tmp_path / "best")
    for model, split, told in (
        (tmp_path / "best", "validation", True),
        (tmp_path / "best", "test", False),
        (folder / "model", "validation", False),
    ):
        result = CliRunner().invoke(app, ["evaluate", str(model), str(folder / "dataset"), "--split", split])
        assert result.exit_code == 0, result.output
        assert ("say too much" in result.output) == told
