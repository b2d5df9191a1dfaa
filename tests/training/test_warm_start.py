"""Beginning from an earlier model: what is taken over, by which names, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import hup
from hup.models.hup.warm_start import begin_from, earlier_codes, table_rows
from hup.recommender.kinds import KINDS, model_class
from hup.sessions.levels import ITEM, Level
from hup.simulator import SimulatorConfig
from hup.training.trained import TrainedRecommender

from ..helpers.training import Notes, StopAfter, assert_same, weights
from .conftest import SMALL


@dataclass(frozen=True)
class Days:
    """Two logs of one shop; the second one begins with other sessions, so that codes differ."""

    monday: hup.Dataset
    tuesday: hup.Dataset


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> Days:
    folder: Path = tmp_path_factory.mktemp("days")
    hup.simulate(
        SimulatorConfig(sessions=240, items=150, levels=2, seed=9, mean_events=12), folder / "all.txt", format="jd"
    )
    lines = (folder / "all.txt").read_text().splitlines()
    (folder / "monday.txt").write_text("\n".join(lines[100:]) + "\n")
    (folder / "tuesday.txt").write_text("\n".join(lines) + "\n")
    return Days(*(hup.prepare(folder / f"{day}.txt", format="jd", out=folder / day) for day in ("monday", "tuesday")))


def made(preset: str, *changes: str) -> hup.HUP:
    return hup.HUP(hup.Config.preset(preset, [*SMALL, "embeddings.skipgram_epochs=20", "training.epochs=2", *changes]))


@pytest.fixture(scope="module", params=["paper", "best"])
def earlier(request, days) -> hup.HUP:
    return made(request.param).fit(days.monday)


def again(earlier: hup.HUP, *changes: str) -> hup.HUP:
    return made(earlier.config.name, *changes)


def test_codes_are_found_by_name(days, earlier):
    new = again(earlier).initialise(days.tuesday)
    item = earlier_codes(new.vocabulary, earlier.vocabulary, ITEM)
    for code, name in enumerate(new.vocabulary.items):
        known = name in earlier.vocabulary.items
        assert (earlier.vocabulary.items[item[code]] == name) if known else item[code] == -1
    assert (item < 0).any()
    assert (item[item >= 0] != np.flatnonzero(item >= 0)).any(), "a test of names needs codes that differ"
    for k in (1, 2):
        for code, old in enumerate(earlier_codes(new.vocabulary, earlier.vocabulary, Level.category(k))):
            path = new.vocabulary.category_path(k, code)
            if old < 0:
                assert path not in earlier.vocabulary.category_codes
            else:
                assert path == earlier.vocabulary.category_path(k, int(old))


def test_what_was_learned_is_taken_over_and_the_rest_is_new(days, earlier):
    model = again(earlier)
    vectors = model.first_vectors_from(earlier, days.tuesday)
    model.initialise(days.tuesday, vectors).begin_from(earlier)
    old, new = earlier.network.state_dict(), model.network.state_dict()
    tables = {
        "item_targets.weight": "item",
        **{f"category_targets.{k - 1}.weight": f"category_{k}" for k in (1, 2)},
        "inputs.item.items.weight": "item",
        **{f"inputs.item.categories.{k - 1}.weight": f"category_{k}" for k in (1, 2)},
    }
    checked = set()
    for name, tensor in new.items():
        level = next((level for end, level in tables.items() if name.endswith(end)), None)
        if ".families." in name:  # what a code has of an ancestor
            family = Level.category(int(name.rpartition(".")[2]) + 1)
            codes = torch.from_numpy(earlier_codes(model.vocabulary, earlier.vocabulary, family))
            assert torch.equal(tensor[codes >= 0], old[name][codes[codes >= 0]])
            continue
        if name.endswith("counts") or name.startswith("similar."):  # made anew of the dataset
            continue
        if level is None:
            shared_table = ".items." in name or ".categories." in name  # the same table under another name
            assert shared_table or torch.equal(tensor, old[name]), name
            continue
        checked.add(level)
        codes = torch.from_numpy(earlier_codes(model.vocabulary, earlier.vocabulary, Level(level)))
        if "targets" in name and model.config.embeddings.targets == "skipgram":
            assert torch.equal(tensor, vectors[level])
        else:
            assert torch.equal(tensor[codes >= 0], old[name][codes[codes >= 0]])
            assert torch.equal(tensor[codes < 0], vectors[level][codes < 0])
    assert checked == {"item", "category_1", "category_2"}


def test_vectors_stay_in_the_space_of_the_earlier_ones(days, earlier):
    model = again(earlier)
    onwards, anew = model.first_vectors_from(earlier, days.tuesday)["item"], model.first_vectors(days.tuesday)["item"]
    codes = torch.from_numpy(earlier_codes(model.initialise(days.tuesday).vocabulary, earlier.vocabulary, ITEM))
    known = codes >= 0
    old = earlier.pyramid.item_targets.weight[codes[known]]
    alike = torch.cosine_similarity(onwards[known], old).mean()
    assert alike > 0.8
    assert alike > torch.cosine_similarity(anew[known], old).mean() + 0.1


def test_training_goes_on_where_it_was(days, earlier):
    cold, warm = Notes(), Notes()
    again(earlier, "training.epochs=1").fit(days.tuesday, observer=cold)
    model = again(earlier, "training.epochs=1").fit(days.tuesday, init=earlier, observer=warm)
    assert warm.records[0]["loss"]["item"] < cold.records[0]["loss"]["item"] - 0.05
    assert any("cannot be checked" in note for note in warm.notes)
    assert model.metrics["began_from"]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(days, earlier, tmp_path):
    expected = weights(again(earlier).fit(days.tuesday, init=earlier))
    for epochs in (0, 1):
        out = tmp_path / str(epochs)
        with pytest.raises(KeyboardInterrupt):
            again(earlier).fit(days.tuesday, out=out, init=earlier, observer=StopAfter(epochs))
        resumed = again(earlier).fit(days.tuesday, out=out, init=earlier)
        assert_same(weights(resumed), expected)
    with pytest.raises(hup.HupError, match="began from another model, not from random weights"):
        again(earlier, "training.epochs=4").fit(days.tuesday, out=out, resume=True)
    third = again(earlier).initialise(days.tuesday)
    with pytest.raises(hup.HupError, match="not from the one given"):
        again(earlier, "training.epochs=4").fit(days.tuesday, out=out, init=third, resume=True)


def test_saved_and_opened_it_is_the_same_beginning(days, earlier, tmp_path):
    earlier.save_pretrained(tmp_path / "monday")
    opened = hup.HUP.from_pretrained(tmp_path / "monday")
    first, second = (again(earlier, "training.epochs=1").fit(days.tuesday, init=one) for one in (earlier, opened))
    assert_same(weights(first), weights(second))
    assert first.metrics["began_from"] == second.metrics["began_from"]


def test_another_configuration_is_refused(days, earlier):
    for key, there, here in (("network.hidden", 12, 14), ("embeddings.item", 8, 9)):
        with pytest.raises(hup.HupError, match=f"has {key} = {there}, not {here}: its weights do not fit"):
            again(earlier, f"{key}={here}").fit(days.tuesday, init=earlier)
    other = made("paper" if earlier.config.name == "best" else "best")
    with pytest.raises(hup.HupError, match=r"has output = '.*', not '.*'"):
        other.fit(days.tuesday, init=earlier)
    # What makes no difference to the network may change.
    again(earlier, "training.epochs=1", "training.learning_rate=0.001", "embeddings.skipgram_window=3").fit(
        days.tuesday, init=earlier
    )


def test_networks_of_other_parameters_do_not_fit(days, earlier):
    model, other = again(earlier).initialise(days.tuesday), again(earlier, "network.hidden=14").initialise(days.tuesday)
    rows = table_rows(model.vocabulary, other.vocabulary, model.pyramid)
    with pytest.raises(hup.HupError, match=r"another configuration: .* is \[\d+.* there, \[\d+.* here"):
        begin_from(model.network, other.network, rows)
    with pytest.raises(hup.HupError, match=r"another configuration: .* is in one of the two alone"):
        begin_from(model.network, other.pyramid.levels["item"], rows)


def test_another_shop_is_refused(days, earlier, dataset, tmp_path):
    with pytest.raises(hup.HupError, match="has 2 category levels, the dataset 3"):
        again(earlier).fit(dataset, init=earlier)
    text = (days.monday.path.parent / "monday.txt").read_text()
    lines = "\n".join(" ".join(f"x{token}" for token in line.split()) for line in text.splitlines())
    (tmp_path / "other.txt").write_text(lines)
    with pytest.raises(hup.HupError, match="knows no item of the dataset"):
        again(earlier).fit(hup.prepare(tmp_path / "other.txt", format="jd", out=tmp_path / "other"), init=earlier)
    fewer = hup.HUP(earlier.config).initialise(days.monday)
    fewer.vocabulary.behaviors.pop()
    with pytest.raises(hup.HupError, match=r"knows the behaviors .*; the dataset has "):
        again(earlier).fit(days.tuesday, init=fewer)


@pytest.mark.parametrize("earlier", ["paper"], indirect=True)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"hup"}))
def test_other_kinds_say_that_they_cannot(days, earlier, kind, tmp_path):
    from hup.training import fit

    found = model_class(kind)
    with pytest.raises(hup.HupError, match=f"kind {re.escape(kind)}"):
        fit(found(), days.tuesday, tmp_path / "model", init=earlier)
    if issubclass(found, TrainedRecommender):
        with pytest.raises(hup.HupError, match=f"kind {re.escape(kind)}, expected hup"):
            again(earlier).fit(days.tuesday, init=found().initialise(days.tuesday))
        with pytest.raises(hup.HupError, match=f"kind {re.escape(kind)}"):
            found().begin_from(earlier)
    else:
        with pytest.raises(hup.HupError, match=f"kind {re.escape(kind)}, expected hup"):
            fit(again(earlier), days.tuesday, tmp_path / "model", init=found().fit(days.tuesday))


def test_a_model_that_has_seen_the_judging_sessions_is_refused(days, earlier, tmp_path):
    split = hup.prepare(
        days.monday.path.parent / "tuesday.txt", format="jd", out=tmp_path / "early", shares=(0.3, 0.3, 0.4)
    )
    manifest = json.loads((split.path / "manifest.json").read_text())
    whole = made(earlier.config.name, "training.epochs=1").fit(days.tuesday)
    (split.path / "manifest.json").write_text(json.dumps(manifest | {"lineage": [days.tuesday.fingerprint]}))
    with pytest.raises(hup.HupError, match="has learned from sessions that are in the validation split"):
        again(earlier).fit(hup.Dataset.open(split.path), init=whole)
