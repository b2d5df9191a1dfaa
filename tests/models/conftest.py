"""Small simulated shops one after the other, and a configuration that trains on them at once."""

from __future__ import annotations

import pytest
import torch

from hup.config import Config
from hup.data.dataset import Dataset

from ..helpers.shops import TINY


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", params=[1, 3], ids=["K=1", "K=3"])
def dataset(request, shops) -> Dataset:
    return shops[request.param]


@pytest.fixture(scope="session")
def tiny() -> Config:
    return Config.preset("paper", TINY)
