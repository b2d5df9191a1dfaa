"""Simulated shops: logs with and without categories, and the settings that train on them at once."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import hup
from hup.data.dataset import Dataset
from hup.data.taxonomy import extended_path
from hup.simulator import SimulatorConfig

TINY = ["network.hidden=8", "training.epochs=1", "embeddings.skipgram_epochs=2"]


def simulated_shop(folder: Path, levels: int) -> Dataset:
    """A dataset of this many category levels; its test split has items that training lacks."""
    config = SimulatorConfig(sessions=150, items=300, levels=levels, mean_events=12, seed=3)
    hup.simulate(config, folder / f"{levels}.txt", format="jd")
    return hup.prepare(folder / f"{levels}.txt", out=folder / f"dataset-{levels}")


def bare_shop(shop: Dataset, share: float) -> Dataset:
    """The same shop, where this share of the items has no category."""
    levels = shop.levels
    folder = shop.path.parent / f"bare-{levels}"
    folder.mkdir()
    log = without_categories((folder.parent / f"{levels}.txt").read_text(), levels, share)
    (folder / "log.txt").write_text(log)
    return hup.prepare(folder / "log.txt", format="jd", out=folder / "dataset")


def without_categories(log: str, levels: int, share: float) -> str:
    """Take the category from about this share of a JD log's items.

    Items are drawn so that, in the shop above, one of those that only the test split has keeps its category.
    """
    none = "/".join(extended_path([], levels))

    def bare(token: str) -> str:
        item, behavior, category, *times = token.split("+")
        return "+".join([item, behavior, none if crc32(f"no{item}".encode()) < share * 2**32 else category, *times])

    return "\n".join(" ".join(map(bare, line.split())) for line in log.splitlines()) + "\n"
