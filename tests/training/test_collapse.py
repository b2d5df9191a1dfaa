"""The paper's loss, as written, has "all vectors equal" as its solution; frozen targets do not allow it."""

from __future__ import annotations

from pathlib import Path

import pytest

import hup
from hup.simulator import SimulatorConfig

from ..helpers.training import Notes

DENSE = [
    "network.hidden=16",
    "embeddings.item=8",
    "embeddings.category=4",
    "embeddings.skipgram_epochs=5",
    "training.batch_size=32",
    "training.epochs=8",
    "training.patience=0",
    "training.learning_rate=0.02",
]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> hup.Dataset:
    """Few items and many sessions: every item is a target again and again."""
    folder: Path = tmp_path_factory.mktemp("dense")
    settings = SimulatorConfig(sessions=250, items=30, levels=2, seed=3, mean_events=10)
    hup.simulate(settings, folder / "log.txt", format="jd")
    return hup.prepare([folder / "log.txt"], format="jd", out=folder / "dataset")


def train(dataset: hup.Dataset, targets: str) -> tuple[dict[str, float], list[str], float]:
    watched = Notes()
    config = hup.Config.preset("paper", [*DENSE, f"embeddings.targets={targets}"])
    hup.HUP(config).fit(dataset, observer=watched)
    alarms = [note for note in watched.notes if note.startswith("Collapse")]
    last = watched.records[-1]
    return last["collapse"]["item"], alarms, last["loss"]["item"]


def test_trainable_targets_collapse_and_the_alarm_says_so(dense):
    item, alarms, loss = train(dense, "trainable")
    assert item["mean_cosine"] > 0.9
    assert loss < -0.95  # nearly perfect, and worth nothing
    assert alarms


def test_frozen_targets_do_not(dense):
    item, alarms, _ = train(dense, "skipgram")
    assert item["mean_cosine"] < 0.7
    assert item["effective_rank"] > 3
    assert not alarms
