"""Small simulated shops, of one category level and of three, and a configuration that trains on them at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import hup
from hup.config import Config
from hup.data.dataset import Dataset
from hup.data.simulator import SimulatorConfig

TINY = ["network.hidden=8", "training.epochs=1", "embeddings.skipgram_epochs=2"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shops(tmp_path_factory) -> dict[int, Dataset]:
    """A dataset for each number of category levels; its test split has items that training lacks."""
    folder: Path = tmp_path_factory.mktemp("shops")
    datasets = {}
    for levels in (1, 3):
        config = SimulatorConfig(sessions=150, items=300, levels=levels, mean_events=12, seed=3)
        hup.simulate(config, folder / f"{levels}.txt", format="jd")
        datasets[levels] = hup.prepare(folder / f"{levels}.txt", out=folder / f"dataset-{levels}")
    return datasets


@pytest.fixture(scope="session", params=[1, 3], ids=["K=1", "K=3"])
def dataset(request, shops) -> Dataset:
    return shops[request.param]


@pytest.fixture(scope="session")
def tiny() -> Config:
    return Config.preset("paper", TINY)
