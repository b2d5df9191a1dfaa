"""Small simulated shops, of one category level and of three, and a configuration that trains on them at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch

import hup
from hup.config import Config
from hup.data.dataset import Dataset
from hup.data.taxonomy import extended_path
from hup.simulator import SimulatorConfig

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


@pytest.fixture(scope="session")
def bare_shops(shops) -> dict[str, Dataset]:
    """The same shops, where a third of the items of the second, and all of the first, have no category."""
    datasets = {}
    for levels, share in ((1, 1.0), (3, 0.34)):
        folder = shops[levels].path.parent / f"bare-{levels}"
        folder.mkdir()
        log = without_categories((folder.parent / f"{levels}.txt").read_text(), levels, share)
        (folder / "log.txt").write_text(log)
        datasets[f"K={levels}, bare"] = hup.prepare(folder / "log.txt", format="jd", out=folder / "dataset")
    return datasets


def without_categories(log: str, levels: int, share: float) -> str:
    """Take the category from about this share of a JD log's items."""
    none = "/".join(extended_path([], levels))

    def bare(token: str) -> str:
        item, behavior, category, *times = token.split("+")
        return "+".join([item, behavior, none if crc32(item.encode()) < share * 2**32 else category, *times])

    return "\n".join(" ".join(map(bare, line.split())) for line in log.splitlines()) + "\n"


@pytest.fixture(scope="session", params=[1, 3], ids=["K=1", "K=3"])
def dataset(request, shops) -> Dataset:
    return shops[request.param]


@pytest.fixture(scope="session")
def tiny() -> Config:
    return Config.preset("paper", TINY)


def toy_log(
    sessions: list[list[int]], paths: np.ndarray, n_items: int, n_categories: tuple[int, ...], train: int
) -> Any:
    """What counting models read of a dataset; the first ``train`` sessions are its training split."""
    items = [item for session in sessions for item in session]
    log = SimpleNamespace(
        levels=len(n_categories),
        n_train_items=n_items,
        n_train_categories=n_categories,
        behaviors=[],
        fingerprint="f" * 64,
        manifest=SimpleNamespace(split=SimpleNamespace(bounds=None)),
        offsets=np.concatenate([[0], np.cumsum([len(session) for session in sessions])]).astype(np.int64),
        item=np.array(items, dtype=np.int32),
        taxonomy=SimpleNamespace(
            paths=paths,
            names=tuple([str(code) for code in range(n)] for n in n_categories),
            parents=tuple(np.full(n, -1) if k == 0 else np.zeros(n, dtype=int) for k, n in enumerate(n_categories)),
        ),
        sessions=lambda split: {"train": range(train)}[split],
    )
    log.item_names = lambda: [str(code) for code in range(n_items)]
    return log
