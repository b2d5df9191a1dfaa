"""A real model on the dataset that its own was appended to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hup
from hup.config import Config
from hup.errors import HupError
from hup.evaluation import evaluate
from hup.recommender.kinds import load
from hup.sessions.batches import histories_and_targets
from hup.simulator import SimulatorConfig

TINY = ["network.hidden=8", "training.epochs=1", "embeddings.skipgram_epochs=2"]


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> tuple[hup.Dataset, hup.Dataset, hup.Dataset]:
    """A log of some days, the same with more days, and the latter without its lineage."""
    folder: Path = tmp_path_factory.mktemp("days")
    config = SimulatorConfig(sessions=200, items=300, levels=2, mean_events=12, seed=3)
    hup.simulate(config, folder / "all.txt", format="jd")
    lines = (folder / "all.txt").read_text().splitlines()
    (folder / "some.txt").write_text("\n".join(lines[:130]) + "\n")
    old = hup.prepare(folder / "some.txt", format="jd", out=folder / "old")
    new, alien = (hup.prepare(folder / "all.txt", format="jd", out=folder / name) for name in ("new", "alien"))
    manifest = json.loads((new.path / "manifest.json").read_text())
    (new.path / "manifest.json").write_text(json.dumps(manifest | {"lineage": [old.fingerprint]}))
    new = hup.Dataset.open(new.path)
    # What appending promises, and what this relies on.
    assert new.item_names[: old.n_items] == old.item_names
    assert new.item[: len(old.item)].tolist() == old.item.tolist()
    assert new.n_train_items > old.n_train_items
    return old, new, alien


@pytest.fixture(scope="module")
def model(days, tmp_path_factory) -> hup.HUP:
    folder = tmp_path_factory.mktemp("model") / "model"
    hup.HUP(Config.preset("paper", TINY)).fit(days[0], out=folder)
    return load(folder)


@pytest.mark.parametrize("candidates", ["full", "neighbors"])
def test_all_candidates_of_the_grown_dataset_are_ranked(model, days, candidates):
    _old, new, _alien = days
    found = evaluate(model, new, candidates=candidates)
    assert found.dataset == new.fingerprint
    assert found.protocol["trained_on"] == model.dataset_fingerprint
    histories, targets = histories_and_targets(new, found.sessions)
    n_known, n_candidates = model.vocabulary.size("item"), new.n_train_items
    item, session = histories.item.numpy(), histories.session().numpy()
    ranks = found.ranks["hup"]["item"]
    kinds = set()
    for row, target in enumerate(targets.item.tolist()):
        own = set(item[session == row].tolist())
        if target in own:
            kinds.add("own")
            assert np.isfinite(ranks[row])
        elif target >= n_candidates:
            kinds.add("new")
            assert ranks[row] == np.inf
        elif target >= n_known:
            kinds.add("unknown to the model")
            # Behind all that the model knows, so as bad as can be; the current item does not count.
            unknown_own = len({code for code in own if code >= n_candidates})
            current = item[session == row][-1]
            expected = n_candidates + unknown_own - 1 if candidates == "full" else np.inf
            assert current != target
            assert ranks[row] == expected
        else:
            kinds.add("known")
    assert kinds == {"own", "new", "unknown to the model", "known"}


def test_what_both_know_is_ranked_as_on_the_old_dataset(model, days):
    """Scores do not depend on which of the two datasets is asked."""
    old, new, _alien = days
    sessions = np.arange(*old.manifest.split.bounds.test)
    for level in model.levels:
        scores = [
            model.score(histories_and_targets(dataset, sessions)[0], level).known.numpy() for dataset in (old, new)
        ]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


def test_a_dataset_that_did_not_grow_out_of_it_is_refused(model, days):
    with pytest.raises(HupError, match=r"trained on another dataset.*--append"):
        evaluate(model, days[2])


def test_the_old_dataset_is_no_descendant_of_the_new(days):
    old, new, _alien = days
    model = hup.HUP(Config.preset("paper", TINY)).initialise(new)
    with pytest.raises(HupError, match="trained on another dataset"):
        evaluate(model, old)


def test_resuming_asks_for_the_same_dataset(days, tmp_path):
    old, new, _alien = days
    hup.HUP(Config.preset("paper", TINY)).fit(old, out=tmp_path / "model")
    more = Config.preset("paper", [*TINY, "training.epochs=2"])
    with pytest.raises(HupError, match="is on another dataset"):
        hup.HUP(more).fit(new, out=tmp_path / "model", resume=True)
