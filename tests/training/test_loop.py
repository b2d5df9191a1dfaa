"""Training: it learns, it repeats itself, it goes on after any stop as if there had been none, it tells of collapse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import hup
from hup.cli import app
from hup.evaluation import evaluate
from hup.models.trained.gru4rec import GRU4Rec, GRU4RecConfig
from hup.recommender.recency import Recency
from hup.sessions.batches import batches, histories_and_targets
from hup.sessions.levels import pyramid_steps
from hup.training.fit import fit

from ..helpers.training import Notes, StopAfter, assert_same, weights
from .conftest import SMALL


def config(*overrides: str, preset: str = "paper") -> hup.Config:
    return hup.Config.preset(preset, [*SMALL, "training.epochs=4", *overrides])


@pytest.fixture(scope="module")
def expected(dataset) -> dict[str, torch.Tensor]:
    """Weights after an undisturbed run of :func:`config`."""
    return weights(hup.HUP(config()).fit(dataset))


@pytest.mark.parametrize("preset", ["paper", "authors"])
def test_the_loss_falls(dataset, preset):
    watched = Notes()
    hup.HUP(config("training.learning_rate=0.01", "sessions.min_events=0", preset=preset)).fit(
        dataset, observer=watched
    )
    losses = [sum(record["loss"].values()) for record in watched.records]
    assert losses[-1] < losses[0] - 0.05


def test_same_seed_same_weights_other_seed_other_weights(dataset, expected):
    assert_same(expected, weights(hup.HUP(config()).fit(dataset)))
    other = weights(hup.HUP(config("training.seed=1")).fit(dataset))
    assert not torch.equal(expected["levels.item.rnn.weight_input"], other["levels.item.rnn.weight_input"])


def test_on_a_log_that_is_large_enough_batches_and_rate_have_grown(dataset):
    sessions = len(dataset.sessions("train"))
    grown = hup.HUP(config("training.batch_size=8", f"training.grow_from={sessions // 4}")).fit(dataset)
    rate = 2 * config().training.learning_rate
    plain = hup.HUP(config("training.batch_size=32", f"training.learning_rate={rate}")).fit(dataset)
    assert_same(weights(grown), weights(plain))


def test_fit_does_not_disturb_the_callers_torch_settings(dataset):
    before = torch.are_deterministic_algorithms_enabled()
    hup.HUP(config("training.epochs=1")).fit(dataset)
    assert torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_an_interrupted_run_goes_on_to_the_same_weights(dataset, expected, tmp_path, epochs):
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(config()).fit(dataset, out=tmp_path / "model", observer=StopAfter(epochs))
    with pytest.raises(hup.HupError, match="has not finished"):
        hup.HUP.from_pretrained(tmp_path / "model")
    watched = Notes()
    resumed = hup.HUP(config()).fit(dataset, out=tmp_path / "model", resume=True, observer=watched)
    assert len(watched.records) == 4 - epochs
    assert_same(weights(resumed), expected)
    assert_same(weights(hup.HUP.from_pretrained(tmp_path / "model")), expected)
    log = [json.loads(line) for line in (tmp_path / "model" / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2, 3, 4]


def train_command(dataset_folder: Path, out: Path) -> list[str]:
    sets = [part for override in SMALL for part in ("--set", override)]
    return ["train", str(dataset_folder), "--out", str(out), "--epochs", "4", "--threads", "1", *sets]


def trained_by_command(*arguments: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def uninterrupted(dataset_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "model"
    trained_by_command(*train_command(dataset_folder, out))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("after_epochs", [0, 2])
def test_kill_9_and_resume_give_the_weights_of_an_uninterrupted_run(
    dataset_folder, uninterrupted, tmp_path, after_epochs
):
    killed = tmp_path / "killed"
    log, command = killed / "log.jsonl", train_command(dataset_folder, killed)
    process = subprocess.Popen(
        [sys.executable, "-m", "hup", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not log.is_file() or len(log.read_text().splitlines()) < after_epochs:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "config.json").exists()
    trained_by_command(*command, "--resume")
    assert (killed / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()


def test_more_epochs_after_the_end_equal_one_long_run(dataset, expected, tmp_path):
    hup.HUP(config("training.epochs=2")).fit(dataset, out=tmp_path / "model")
    longer = hup.HUP(config()).fit(dataset, out=tmp_path / "model", resume=True)
    assert_same(weights(longer), expected)


def test_resuming_a_finished_run_changes_nothing(dataset, tmp_path):
    first = hup.HUP(config()).fit(dataset, out=tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").glob("*.*")}
    watched = Notes()
    second = hup.HUP(config()).fit(dataset, out=tmp_path / "model", resume=True, observer=watched)
    assert any("finished" in note for note in watched.notes)
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").glob("*.*")} == before
    assert_same(weights(first), weights(second))


def test_what_is_in_the_folder_is_respected(dataset, tmp_path):
    out = tmp_path / "model"
    hup.HUP(config("training.epochs=1")).fit(dataset, out=out)
    with pytest.raises(hup.HupError, match="finished model"):
        hup.HUP(config("training.epochs=1")).fit(dataset, out=out)
    with pytest.raises(hup.HupError, match=r"network\.hidden = 12, not 13"):
        hup.HUP(config("training.epochs=1", "network.hidden=13")).fit(dataset, out=out, resume=True)
    hup.HUP(config("training.epochs=1", "network.hidden=13")).fit(dataset, out=out, overwrite=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(hup.HupError, match=r"cat\.jpg"):
        hup.HUP(config()).fit(dataset, out=tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_damaged_checkpoint_is_named(dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(config()).fit(dataset, out=tmp_path / "model", observer=StopAfter(1))
    checkpoint = tmp_path / "model" / "checkpoints" / "last.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(hup.HupError, match=r"last\.safetensors.*--overwrite"):
        hup.HUP(config()).fit(dataset, out=tmp_path / "model", resume=True)


def test_early_stop_keeps_the_best_epoch(dataset):
    watched = Notes()
    model = hup.HUP(config("training.epochs=60", "training.patience=2", "training.learning_rate=0.03"))
    model.fit(dataset, observer=watched)
    selections = [record["selection"] for record in watched.records]
    best = int(np.argmax(selections)) + 1
    assert model.metrics["best_epoch"] == best
    assert model.metrics["stopped_early"]
    assert len(selections) == best + 2
    # The weights are that epoch's: evaluating them again gives its validation figures.
    validation = hup.evaluate(model, dataset, split="validation", rows=()).rows["hup"]
    assert validation["item"]["mrr@20"] == pytest.approx(watched.records[best - 1]["validation"]["item"]["mrr@20"])


def gru4rec(*overrides: str) -> GRU4Rec:
    options = ["network.hidden=12", "training.learning_rate=0.05", "training.epochs=9", "training.patience=3"]
    return GRU4Rec(GRU4RecConfig().changed([*options, *overrides]))


def test_levels_that_share_nothing_have_each_its_best_epoch(dataset, tmp_path):
    watched = Notes()
    model = gru4rec().fit(dataset, observer=watched)
    gains = {level: [record["gains"][level] for record in watched.records] for level in model.levels}
    best = {level: int(np.argmax(of_level)) + 1 for level, of_level in gains.items()}
    assert model.metrics["best_epochs"] == best
    assert len(set(best.values())) > 1, "otherwise this shows nothing"
    assert model.metrics["best_epoch"] == max(best.values())
    assert len(watched.records) == min(9, max(best.values()) + 3)
    validation = hup.evaluate(model, dataset, split="validation", rows=()).rows["gru4rec"]
    for level, epoch in best.items():
        record = watched.records[epoch - 1]
        for name, value in record["validation"][level].items():
            assert validation[level][name] == pytest.approx(value), (level, name)
        assert model.metrics["validation"][level] == record["validation"][level]
        assert model.metrics["loss"][level] == record["loss"][level]
    with pytest.raises(KeyboardInterrupt):
        gru4rec().fit(dataset, out=tmp_path / "model", observer=StopAfter(min(best.values())))
    resumed = gru4rec().fit(dataset, out=tmp_path / "model")
    assert_same(weights(resumed), weights(model))
    assert resumed.metrics == model.metrics


def test_the_best_epoch_has_the_highest_mean_gain_over_levels(dataset):
    watched = Notes()
    hup.HUP(config("training.epochs=1")).fit(dataset, observer=watched)
    record = watched.records[0]
    assert list(record["gains"]) == ["item", "category_3", "category_2", "category_1"]
    assert record["selection"] == pytest.approx(np.mean(list(record["gains"].values())))


def test_batches_hold_every_session_once_and_similar_lengths(dataset):
    sessions = np.asarray(dataset.sessions("train"))
    seen, spread = [], []
    for histories, targets in batches(dataset, sessions, 16, shuffle_seed=(0, 1)):
        lengths = histories.offsets.diff()
        spread.append(int(lengths.max() - lengths.min()))
        seen += list(zip(targets.item.tolist(), lengths.tolist(), strict=True))
    plain = [
        (item, length)
        for histories, targets in batches(dataset, sessions, 1)
        for item, length in zip(targets.item.tolist(), histories.offsets.diff().tolist(), strict=True)
    ]
    assert sorted(seen) == sorted(plain)
    assert np.median(spread) < np.diff(dataset.offsets).max() / 2


def test_a_filter_that_leaves_nothing_is_an_error_or_is_said(dataset):
    with pytest.raises(hup.HupError, match=r"sessions\.min_events"):
        hup.HUP(config("sessions.min_events=100000")).fit(dataset)
    watched = Notes()
    hup.HUP(config("sessions.min_item_count=100000", "training.epochs=1")).fit(dataset, observer=watched)
    assert any("min_item_count is not applied" in note for note in watched.notes)


def bare(folder, share: float) -> hup.Dataset:
    """The same log, where about this share of the items has no category."""
    none = "(none)/(none)/(none)"

    def take(token: str) -> str:
        item, behavior, category, *times = token.split("+")
        return "+".join([item, behavior, none if crc32(item.encode()) < share * 2**32 else category, *times])

    lines = (folder.parent / "log.txt").read_text().splitlines()
    (folder.parent / f"bare-{share}.txt").write_text("\n".join(" ".join(map(take, line.split())) for line in lines))
    return hup.prepare(folder.parent / f"bare-{share}.txt", format="jd", out=folder.parent / f"bare-{share}")


def test_a_log_without_categories_trains_on_items(dataset_folder, tmp_path):
    watched = Notes()
    dataset = bare(dataset_folder, 1.0)
    options = config("training.learning_rate=0.01")
    model = hup.HUP(options).fit(dataset, out=tmp_path / "model", observer=watched)
    assert sum("learns nothing" in note for note in watched.notes) == 3
    losses = [record["loss"] for record in watched.records]
    assert all(loss["category_1"] is loss["category_3"] is None for loss in losses)
    assert losses[-1]["item"] < losses[0]["item"]
    last = watched.records[-1]
    assert last["validation"]["category_2"] == {"recall@5": None, "mrr@5": None}
    assert last["selection"] == last["gains"]["item"]
    assert list(last["gains"]) == ["item"]
    log = [json.loads(line) for line in (tmp_path / "model/log.jsonl").read_text().splitlines()]
    assert log == watched.records
    assert all(torch.isfinite(tensor).all() for tensor in model.network.state_dict().values())
    # What has no loss is not moved by one.
    start = hup.HUP(options).initialise(dataset)
    ours, theirs = model.network.levels["category_1"].head.weight, start.network.levels["category_1"].head.weight
    assert torch.equal(ours, theirs)
    assert not torch.equal(model.network.levels["item"].head.weight, start.network.levels["item"].head.weight)


def test_targets_without_a_category_do_not_count_in_the_loss(dataset_folder):
    """The logged loss of a level is the mean over the sessions whose target has a category."""
    dataset = bare(dataset_folder, 0.4)
    watched = Notes()
    # So slow that the weights stay what they were.
    model = hup.HUP(config("training.epochs=1", "training.learning_rate=1e-30")).fit(dataset, observer=watched)
    sessions = np.asarray(dataset.sessions("train"))
    histories, targets = histories_and_targets(dataset, sessions)
    with torch.no_grad():
        profiles = model.network(histories, pyramid_steps(histories, model.buckets))
    for k in (1, 2, 3):
        codes = targets.codes(f"category_{k}")
        counted = codes != dataset.taxonomy.no_category[k - 1]
        assert 0 < counted.sum() < len(counted)
        vectors = model.network.target_table(f"category_{k}").weight.detach()[codes]
        cosine = torch.nn.functional.cosine_similarity(profiles[f"category_{k}"].vector, vectors, dim=1)
        expected = -float(cosine[counted].mean())
        assert watched.records[0]["loss"][f"category_{k}"] == pytest.approx(expected, abs=1e-4)
        assert abs(expected + float(cosine.mean())) > 1e-3  # it does make a difference


def test_a_loss_that_is_no_number_is_an_error(dataset):
    with pytest.raises(hup.HupError, match="learning_rate"):
        hup.HUP(config("training.learning_rate=1e30")).fit(dataset)


def test_vectors_that_are_no_longer_numbers_are_refused(dataset):
    with pytest.raises(hup.HupError, match=r"vectors of .* no longer numbers\. Lower training\.learning_rate"):
        hup.HUP(config("training.learning_rate=1e39", "training.epochs=1", "training.batch_size=1000")).fit(dataset)


def test_overwriting_keeps_the_finished_model_until_there_is_a_new_one(dataset, tmp_path):
    out, other = tmp_path / "model", config("training.seed=5", "training.epochs=2")
    old = weights(hup.HUP(config("training.epochs=1")).fit(dataset, out=out))
    (out / "evaluation").mkdir()
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(other).fit(dataset, out=out, overwrite=True, observer=StopAfter(1))
    assert_same(weights(hup.HUP.from_pretrained(out)), old)
    # The same command without --overwrite goes on with the new run, and then takes the old model's place.
    new = weights(hup.HUP(other).fit(dataset, out=out))
    assert_same(new, weights(hup.HUP(other).fit(dataset)))
    assert_same(weights(hup.HUP.from_pretrained(out)), new)
    assert not (out / "evaluation").exists(), "figures of the old model"


@pytest.mark.parametrize("name", [".git", "notes.txt"])
def test_overwriting_never_touches_what_is_not_of_a_model(dataset, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(hup.HupError, match=name.replace(".", r"\.")):
        hup.HUP(config()).fit(dataset, out=tmp_path, overwrite=True)
    assert (tmp_path / name).is_dir()


def test_a_configuration_of_something_else_is_left_alone(dataset, tmp_path):
    (tmp_path / "config.json").write_text('{"theirs": true}')
    with pytest.raises(hup.HupError, match="not of a model of HUP"):
        hup.HUP(config()).fit(dataset, out=tmp_path, overwrite=True)
    assert (tmp_path / "config.json").read_text() == '{"theirs": true}'


def test_a_link_stands_for_the_folder_it_names(dataset, tmp_path):
    hup.HUP(config("training.epochs=1")).fit(dataset, out=tmp_path / "model")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    model = hup.HUP(config("training.epochs=1", "network.hidden=13")).fit(
        dataset, out=tmp_path / "link", overwrite=True
    )
    assert (tmp_path / "link").is_symlink()
    assert_same(weights(hup.HUP.from_pretrained(tmp_path / "model")), weights(model))


def test_a_killed_run_finds_the_vectors_it_has_fitted(dataset, expected, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(config()).fit(dataset, out=tmp_path / "model", observer=StopAfter(0))

    def again(*_: object) -> None:
        raise AssertionError("the vectors were fitted twice")

    monkeypatch.setattr(hup.HUP, "first_vectors", again)
    assert_same(weights(hup.HUP(config()).fit(dataset, out=tmp_path / "model")), expected)


def test_a_few_validation_sessions_can_do(dataset):
    watched = Notes()
    hup.HUP(config("training.epochs=1", "training.validation_sessions=5")).fit(dataset, observer=watched)
    recall = watched.records[0]["validation"]["item"]["recall@20"]
    assert recall * 5 == pytest.approx(round(recall * 5))


def test_where_candidates_are_retrieved_an_epoch_is_judged_by_those(dataset, monkeypatch):
    monkeypatch.setattr("hup.evaluation.protocol.NEIGHBORS", 3)
    vectors = torch.randn(dataset.n_train_items, 4, generator=torch.Generator().manual_seed(0))
    model, watched = hup.HUP(config("training.epochs=1")), Notes()
    model.retrieval = lambda asked: vectors if asked is dataset else pytest.fail("of another dataset")
    model.fit(dataset, observer=watched)
    found = watched.records[0]["validation"]["item"]
    asked = {"split": "validation", "rows": ()}
    few = evaluate(model, dataset, candidates="neighbors", vectors=vectors, **asked).rows["hup"]["item"]
    every = evaluate(model, dataset, **asked).rows["hup"]["item"]
    assert found == {name: pytest.approx(few[name]) for name in ("recall@20", "mrr@20")}
    assert few["mrr@20"] != every["mrr@20"]


def test_resume_and_overwrite_exclude_each_other(dataset, tmp_path):
    with pytest.raises(hup.HupError, match="exclude"):
        hup.HUP(config()).fit(dataset, out=tmp_path / "model", resume=True, overwrite=True)


def test_a_model_is_not_saved_over_a_dataset_or_a_file(dataset, tmp_path):
    model = hup.HUP(config("training.epochs=1")).fit(dataset)
    (tmp_path / "file").touch()
    for place in (dataset.path, tmp_path / "file"):
        with pytest.raises(hup.HupError, match="no place for a model"):
            model.save_pretrained(place)


def test_vectors_of_another_configuration_are_not_taken(dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(config()).fit(dataset, out=tmp_path / "model", observer=StopAfter(0))
    other = ("training.seed=3", "training.epochs=1")
    expected = weights(hup.HUP(config(*other)).fit(dataset))
    assert_same(weights(hup.HUP(config(*other)).fit(dataset, out=tmp_path / "model")), expected)


@pytest.mark.parametrize("kind", ["trained", "counted"])
def test_two_runs_never_train_into_one_folder(dataset, tmp_path, kind):
    """The second one refuses at once, and nothing of the first one is touched; one that was killed holds nothing."""
    out = tmp_path / "model"

    class MeanwhileAnother(Notes):
        def epoch_done(self, record):
            super().epoch_done(record)
            with pytest.raises(hup.HupError, match="Another run is training into "):
                another(overwrite=True)

    def another(*, overwrite: bool = False) -> None:
        model = hup.HUP(config("training.epochs=1")) if kind == "trained" else Recency()
        fit(model, dataset, out, overwrite=overwrite)

    hup.HUP(config("training.epochs=1")).fit(dataset, out=out, observer=MeanwhileAnother())
    assert len(hup.load(out).metrics) > 0
    assert not (out / ".lock").exists()
    (out / ".lock").touch()  # as a run leaves it that was killed
    another(overwrite=True)
    assert not (out / ".lock").exists()
