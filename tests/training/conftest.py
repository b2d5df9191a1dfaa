"""A small simulated dataset of three category levels, and a configuration that trains on it in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

import hup
from hup.simulator import SimulatorConfig

SMALL = [
    "network.hidden=12",
    "embeddings.item=8",
    "embeddings.category=4",
    "embeddings.skipgram_epochs=2",
    "training.batch_size=32",
]


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dataset of 200 short sessions."""
    folder = tmp_path_factory.mktemp("training")
    hup.simulate(
        SimulatorConfig(sessions=200, items=80, levels=3, seed=7, mean_events=12), folder / "log.txt", format="jd"
    )
    hup.prepare([folder / "log.txt"], format="jd", out=folder / "dataset")
    return folder / "dataset"


@pytest.fixture(scope="session")
def dataset(dataset_folder: Path) -> hup.Dataset:
    """The same, opened."""
    return hup.Dataset.open(dataset_folder)
