"""How much faster `recommend_many` is than a loop of single calls, on a made-up shop of many short sessions.

Run ``python benchmarks/recommend_many.py [--users N] [--items N] [--model KIND …] [--level LEVEL] [--singles N]``. Both
are timed in one run, one after the other; of the loop a sample is timed, spread over all sessions. `best` and `paper`
are presets of HUP, anything else is a kind of model with its defaults.

With ``--command`` it is ``hup recommend MODEL --dataset SHOP --users all --out FILE`` that is timed instead, in a
process of its own, with its peak of memory:

    python benchmarks/recommend_many.py --command --users 100000 --items 170000 --model recency item-knn paper best

Presets of HUP are not trained then, as the time of an answer does not depend on what was learned: they have random
weights, vectors of the right sizes, and what is counted or kept of the training split.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
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


def made_up_shop(folder: Path, sessions: int, items: int, events: int) -> Dataset:
    config = hup.SimulatorConfig(sessions=sessions, items=items, levels=2, mean_events=events, seed=1)
    hup.simulate(config, folder / "log.csv", format="events")
    return hup.prepare(folder / "log.csv", format="events", out=folder / "dataset")


def fitted(name: str, dataset: Dataset) -> Recommender:
    if name in ("best", "paper"):
        return hup.HUP(hup.Config.preset(name, ["training.epochs=1", "training.grow_from=0"])).fit(dataset)
    return model_class(name)().fit(dataset)


def untrained(name: str, dataset: Dataset) -> Recommender:
    """Make a model that takes as long for an answer as a trained one does."""
    if name not in ("best", "paper"):
        return fitted(name, dataset)
    model = hup.HUP(hup.Config.preset(name)).initialise(dataset)
    if name == "best":
        model.tune(dataset)  # keeps the profiles of training sessions
        network = model.output.network
        network.weights.data[:] = torch.full_like(network.weights, 0.2)  # so that no part is left out for weighing 0
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000, help="without --command, sessions")
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=6, help="mean events of a session")
    parser.add_argument("--model", nargs="+", default=["best", "paper", "item-knn", "vsknn", "recency"])
    parser.add_argument("--level", default="item")
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--command", action="store_true", help="time `hup recommend --users all`")
    parser.add_argument("--dataset", type=Path, help="a prepared one instead of the made-up shop")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made_up = given.dataset is None
        # A made-up user comes back: five sessions each. Of the two ways, one is asked by users and one by sessions.
        sessions = given.users * 5 if given.command else given.users
        dataset = (
            made_up_shop(Path(folder), sessions, given.items, given.events) if made_up else Dataset.open(given.dataset)
        )
        print(f"{len(dataset):,} sessions of {len(dataset.item) / len(dataset):.1f} events, {dataset.n_items:,} items")
        for name in given.model:
            if given.command:
                measure_command(name, untrained(name, dataset), dataset, given.level, Path(folder))
            else:
                measure(name, fitted(name, dataset), dataset, given.level, given.singles)


def measure_command(name: str, model: Recommender, dataset: Dataset, level: str, folder: Path) -> None:
    model.save_pretrained(folder / name)
    command = [sys.executable, "-m", "hup", "recommend", folder / name, "--dataset", dataset.path, "--level", level]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--users", "all", "--out", folder / f"{name}.parquet"])
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{name}: hup recommend ended with {os.waitstatus_to_exitcode(status)}")
    users = len({dataset.session_user(session) for session in range(len(dataset))})
    print(
        f"{name}, level {level}: hup recommend for {users:,} users took {seconds:,.1f} s, {users / seconds:,.0f} users "
        f"a second, {used.ru_utime + used.ru_stime:,.1f} s of CPU, peak {used.ru_maxrss / 1024:,.0f} MiB",
        flush=True,
    )


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
