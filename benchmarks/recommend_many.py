"""How much faster `recommend_many` is than a loop of single calls, on a made-up shop of many short sessions.

Run ``python benchmarks/recommend_many.py [--users N] [--items N] [--model KIND …] [--level LEVEL] [--singles N]``. Both
are timed in one run, one after the other; of the loop a sample is timed, spread over all sessions. `best` and `paper`
are presets of HUP, anything else is a kind of model with its defaults.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import hup
from hup.data.dataset import Dataset
from hup.recommender.base import Recommender
from hup.recommender.kinds import model_class
from hup.sessions.dataset_events import dataset_events


def made_up_shop(folder: Path, users: int, items: int, events: int) -> Dataset:
    config = hup.SimulatorConfig(sessions=users, items=items, levels=2, mean_events=events, seed=1)
    hup.simulate(config, folder / "log.csv", format="events")
    return hup.prepare(folder / "log.csv", format="events", out=folder / "dataset")


def fitted(name: str, dataset: Dataset) -> Recommender:
    if name in ("best", "paper"):
        return hup.HUP(hup.Config.preset(name, ["training.epochs=1", "training.grow_from=0"])).fit(dataset)
    return model_class(name)().fit(dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=6, help="mean events of a session")
    parser.add_argument("--model", nargs="+", default=["best", "paper", "item-knn", "vsknn", "recency"])
    parser.add_argument("--level", default="item")
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--dataset", type=Path, help="a prepared one instead of the made-up shop")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made_up = given.dataset is None
        dataset = (
            made_up_shop(Path(folder), given.users, given.items, given.events)
            if made_up
            else Dataset.open(given.dataset)
        )
        print(f"{len(dataset):,} sessions of {len(dataset.item) / len(dataset):.1f} events, {dataset.n_items:,} items")
        for name in given.model:
            measure(name, fitted(name, dataset), dataset, given.level, given.singles)


def measure(name: str, model: Recommender, dataset: Dataset, level: str, singles: int) -> None:
    some = np.linspace(0, len(dataset) - 1, min(singles, len(dataset))).astype(int)
    sessions = [dataset_events(dataset, int(session)) for session in some]
    model.recommend(sessions[0], level)  # what is made once only is made now
    start = time.perf_counter()
    for session in sessions:
        model.recommend(session, level)
    alone = (time.perf_counter() - start) / len(sessions)
    start = time.perf_counter()
    rows = model.recommend_many(dataset, sessions="all", level=level).num_rows
    together = (time.perf_counter() - start) / len(dataset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}, level {level}, {torch.get_num_threads()} threads: single {alone * 1e3:.3f} ms, together "
        f"{together * 1e3:.4f} ms a session, {alone / together:.0f} times as fast; {rows:,} rows, peak {peak:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
