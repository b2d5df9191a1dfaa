"""A small dataset to run grids on, and rows that train at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import hup
from hup.data.dataset import Dataset

from ..helpers.grids import without_processes

QUICK = ("network.hidden=6", "training.epochs=2", "embeddings.skipgram_epochs=1")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("grid")
    config = hup.SimulatorConfig(sessions=120, items=60, levels=2, mean_events=10, seed=2)
    hup.simulate(config, folder / "log.txt", format="jd")
    return hup.prepare(folder / "log.txt", out=folder / "dataset")


#: For tests of what grids find; test_compare.py has those of the processes.
in_one_process = pytest.fixture(without_processes)
