"""``hup train``: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from hup.cli import app
from hup.recommender.kinds import load

from ..helpers.returning_users import returning_users

TINY = ("--set", "network.hidden=8", "--set", "embeddings.skipgram_epochs=2", "--epochs", 1)


def run(*arguments: object):
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["train", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def refusal(*arguments: object) -> str:
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    return done.stderr


def log(model: Path) -> list[dict]:
    return [json.loads(line) for line in (model / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(shop, tmp_path_factory) -> Path:
    """A model of one epoch."""
    model = tmp_path_factory.mktemp("trained") / "model"
    assert run(shop / "dataset", "--out", model, *TINY).exit_code == 0
    return model


def test_a_model_comes_out(shop, tmp_path):
    model = tmp_path / "deep" / "model"
    done = run(shop / "dataset", "--out", model, *TINY, "--seed", 5)
    assert done.exit_code == 0, done.output
    for expected in ("Best epoch 1 of 1", "level", "Recall", "MRR", "item", "category_2", "category_1"):
        assert expected in done.stdout
    assert "epoch 1: loss item " in done.stderr
    assert "events/s" in done.stderr
    assert f"Next: hup evaluate {model} {shop / 'dataset'}" in done.stderr
    assert [record["epoch"] for record in log(model)] == [1]
    opened = load(model)
    assert (opened.config.training.seed, opened.config.training.epochs, opened.config.network.hidden) == (5, 1, 8)
    assert opened.metrics["best_epoch"] == 1
    assert opened.metrics["validation"].keys() == {"item", "category_2", "category_1"}


def test_where_users_come_back_their_earlier_sessions_are_looked_at(tmp_path):
    returning_users(tmp_path, users=10, sessions=4, overlapping=0)
    dataset, small = tmp_path / "dataset", (*TINY, "--set", "mixture.hidden=4")
    done = run(dataset, "--out", tmp_path / "seeing", *small)
    assert done.exit_code == 0, done.output
    assert load(tmp_path / "seeing").output.looks_back
    assert run(dataset, "--out", tmp_path / "blind", *small, "--set", "mixture.earlier=0").exit_code == 0
    assert not load(tmp_path / "blind").output.looks_back
    done = run(dataset, "--out", tmp_path / "seeing_more", *small, "--init", tmp_path / "blind")
    assert done.exit_code == 0, done.output
    assert not load(tmp_path / "seeing_more").output.looks_back, "it has the configuration of the one before"


def test_the_preset_is_the_start(shop, tmp_path):
    done = run(
        shop / "dataset", "--out", tmp_path / "m", "--preset", "authors", *TINY, "--set", "sessions.min_events=2"
    )
    assert done.exit_code == 0, done.output
    config = load(tmp_path / "m").config
    assert (config.name, config.training.optimizer, config.sessions.min_events) == ("authors", "rmsprop", 2)
    assert "sessions.min_item_count is not applied" in done.stderr


def test_sessions_too_short_for_the_preset_are_told(shop, tmp_path):
    said = refusal(shop / "dataset", "--out", tmp_path / "m", "--preset", "authors", *TINY)
    assert "No training session is left" in said
    assert "Lower sessions.min_events" in said
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_gives_the_same_weights(shop, trained, tmp_path):
    weights = load_file(trained / "model.safetensors")
    for seed, equal in ((0, True), (1, False)):
        model = tmp_path / str(seed)
        assert run(shop / "dataset", "--out", model, *TINY, "--seed", seed).exit_code == 0
        other = load_file(model / "model.safetensors")
        assert all(weights[name].equal(other[name]) for name in weights) == equal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preset", "better"), "There is no preset 'better'. Presets: authors, best, paper."),
        (("--set", "network.width=3"), "There is no configuration key network.width. Keys there: hidden, single"),
        (
            ("--set", "net.hidden=3"),
            "There is no configuration key net. Keys there: sessions, training, name, output, embeddings",
        ),
        (("--set", "network.hidden=wide"), "Configuration key network.hidden: Input should be a valid integer"),
        (("--set", "network.hidden=0"), "Configuration key network.hidden: Input should be greater than 0."),
        (
            ("--set", "training.optimizer=sgd"),
            "Configuration key training.optimizer: Input should be 'adam' or 'rmsprop'.",
        ),
        (("--set", "network.hidden"), "--set 'network.hidden' is not of the form section.key=value"),
    ],
)
def test_a_wrong_configuration_is_told(shop, tmp_path, options, message):
    assert message in refusal(shop / "dataset", "--out", tmp_path / "m", *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [("--epochs", 0), ("--seed", -1), ("--epochs", "many"), ("--threads", 0)])
def test_wrong_usage(shop, tmp_path, options):
    assert run(shop / "dataset", "--out", tmp_path / "m", *options).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_missing_dataset_is_told(shop, tmp_path):
    assert f"There is no dataset folder {tmp_path / 'absent'}" in refusal(tmp_path / "absent", "--out", tmp_path / "m")
    assert "is not a dataset folder" in refusal(shop / "model", "--out", tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_model_is_not_touched_unasked(shop, trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    said = refusal(shop / "dataset", "--out", trained, *TINY)
    assert f"{trained} holds a finished model. Add --overwrite to replace it, --resume for more epochs." in said
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_overwrite_starts_anew(shop, tmp_path):
    model = tmp_path / "m"
    run(shop / "dataset", "--out", model, *TINY)
    assert run(shop / "dataset", "--out", model, *TINY, "--overwrite", "--set", "network.hidden=6").exit_code == 0
    assert load(model).config.network.hidden == 6
    assert len(log(model)) == 1


def test_resume_goes_on(shop, tmp_path):
    model, straight = tmp_path / "m", tmp_path / "straight"
    run(shop / "dataset", "--out", model, *TINY)
    done = run(shop / "dataset", "--out", model, *TINY[:-1], 2, "--resume")
    assert done.exit_code == 0, done.output
    assert "Going on after epoch 1." in done.stderr
    assert [record["epoch"] for record in log(model)] == [1, 2]
    run(shop / "dataset", "--out", straight, *TINY[:-1], 2)
    first, second = (load_file(folder / "model.safetensors") for folder in (model, straight))
    assert all(first[name].equal(second[name]) for name in first)
    again = run(shop / "dataset", "--out", model, *TINY[:-1], 2, "--resume")
    assert again.exit_code == 0
    assert "Nothing to do" in again.stderr


def test_resume_with_another_configuration_is_refused(shop, trained):
    said = refusal(shop / "dataset", "--out", trained, *TINY, "--set", "network.hidden=9", "--resume")
    assert "has network.hidden = 8, not 9. Add --overwrite to start anew." in said


def test_a_folder_of_something_else_is_left_alone(shop, tmp_path):
    (tmp_path / "thesis.tex").write_text("all my work")
    for options in ((), ("--overwrite",)):
        said = refusal(shop / "dataset", "--out", tmp_path, *TINY, *options)
        assert "holds thesis.tex, which is not of a model" in said
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_baseline_comes_out(shop, tmp_path):
    done = run(shop / "dataset", "--model", "popularity", "--out", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert load(tmp_path / "model").kind == "popularity"
    assert "holds a finished model" in refusal(shop / "dataset", "--model", "popularity", "--out", tmp_path / "model")
    assert run(shop / "dataset", "--model", "recency", "--out", tmp_path / "model", "--overwrite").exit_code == 0
    assert load(tmp_path / "model").kind == "recency"


def test_a_baseline_that_is_not_there_or_has_no_such_setting_is_told(shop, tmp_path):
    out = tmp_path / "model"
    assert "no model 'magic'. Models: " in refusal(shop / "dataset", "--model", "magic", "--out", out)
    for options, key in ((("--epochs", 3), "training"), (("--seed", 3), "seed"), (("--set", "depth=3"), "depth")):
        assert f"no configuration key {key}" in refusal(shop / "dataset", "--model", "recency", "--out", out, *options)
    assert run(shop / "dataset", "--model", "recency", "--preset", "paper", "--out", out).exit_code == 2
    assert not out.exists()


def test_begins_from_an_earlier_model(shop, trained, tmp_path):
    model = tmp_path / "next"
    done = run(shop / "dataset", "--out", model, "--init", trained, *TINY)
    assert done.exit_code == 0, done.output
    assert json.loads((model / "metrics.json").read_text())["began_from"]
    # Its configuration is the earlier one's, but for what is set.
    again = tmp_path / "again"
    assert run(shop / "dataset", "--out", again, "--init", trained, "--seed", 3).exit_code == 0
    before, after = (load(folder).config.model_dump() for folder in (trained, again))
    assert after["training"].pop("seed") == 3 != before["training"].pop("seed")
    assert after == before
    other = refusal(shop / "dataset", "--out", tmp_path / "x", "--init", trained, "--preset", "paper", *TINY)
    assert "The model to begin from has output = 'mixture', not 'cosine'" in other
    assert "is not a model folder" in refusal(shop / "dataset", "--out", tmp_path / "x", "--init", tmp_path, *TINY)
    assert "expected hup" in refusal(
        shop / "dataset", "--out", tmp_path / "x", "--init", vsknn(shop, tmp_path / "vsknn"), *TINY
    )
    assert not (tmp_path / "x").exists()


def vsknn(shop: Path, out: Path) -> Path:
    assert run(shop / "dataset", "--model", "vsknn", "--out", out).exit_code == 0
    return out


@pytest.mark.parametrize("kind", ["lightgbm", "vsknn+recency", "popularity"])
def test_models_that_have_no_epochs_say_where_they_are(shop, tmp_path, kind):
    done = run(shop / "dataset", "--model", kind, "--out", tmp_path / "model")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Next: hup evaluate" in done.stderr
    assert load(tmp_path / "model").kind == kind


@pytest.mark.parametrize(
    ("epoch", "options", "said"),
    [
        (2, (), "Stopped. The same command goes on after the last whole epoch."),
        (2, ("--overwrite",), "Stopped. Without --overwrite the command goes on after the last whole epoch; with it, "),
        (0, (), "Stopped before anything was kept: the same command begins anew."),
    ],
)
def test_what_is_said_of_a_run_that_was_stopped_is_true(shop, tmp_path, monkeypatch, epoch, options, said):
    command = (shop / "dataset", "--out", tmp_path / "model", *TINY[:-1], 3)

    def stop(*found: object, **_: object) -> str:
        if epoch == 0 or found[0]["epoch"] == epoch:
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as stopping:
        place = "hup.cli.train._epoch_line" if epoch else "hup.training.folder.TrainingFolder.prepare"
        stopping.setattr(place, stop)
        done = run(*command, *options)
    assert done.exit_code == 130
    assert said in done.stderr
    goes_on = run(*command)
    assert goes_on.exit_code == 0, goes_on.stderr
    assert ("epoch 1: " in goes_on.stderr) == (epoch == 0)
