"""A hand-written log of a small shop, its dataset, and a model of it, for commands to work on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from hup.cli import app
from hup.config import Config
from hup.data.dataset import Dataset
from hup.data.prepare import prepare
from hup.models.hup.model import HUP

TINY = ("network.hidden=8", "embeddings.skipgram_epochs=2")

# Path of each item's category; "tv0" is the most visited one.
SHOP = {f"tv{n}": f"screens/tv{n % 2}" for n in range(6)} | {f"cup{n}": "kitchen/cups" for n in range(4)}


def jd_token(item: str, behavior: str = "1", interval: float = 5, dwell: float = 10) -> str:
    return f"{item}+{behavior}+{SHOP.get(item, '')}+{interval}+{dwell}"


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Path:
    """A folder with `dataset` and `model`; all items of the shop are in the training split of 40 sessions."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("shop")
    items = list(SHOP)
    lines = []
    for n in range(40):
        visits = ["tv0", items[n % 10], items[(n + 1) % 10], "tv0" if n % 3 else items[(n + 4) % 10]]
        lines.append(" ".join(jd_token(item, behavior) for item in visits for behavior in ("1", "6")))
    (folder / "log.txt").write_text("\n".join(lines) + "\n")
    prepare(folder / "log.txt", format="jd", out=folder / "dataset")
    model = HUP(Config.preset("paper", TINY)).initialise(Dataset.open(folder / "dataset"))
    model.save_pretrained(folder / "model")
    return folder


@pytest.fixture
def invoke():
    """Run a command as `hup` does."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def ask(folder, invoke):
    """Recommend for sessions of the dataset in a test's own `folder`, by a model there."""

    def ask(*arguments: object, model: str = "model") -> Result:
        return invoke("recommend", folder / model, "--dataset", folder / "dataset", *arguments)

    return ask
