"""A whole `fit` of one epoch, vectors and all that follows an epoch included: events a second, memory, where time goes.

    python benchmarks/fit_throughput.py --sessions 12000 --items 20000 --events 15
    python benchmarks/fit_throughput.py --dataset DATASET --model best paper gru4rec

Each model is fitted in a process of its own. `best` and `paper` are presets of HUP, anything else is a kind of model
with its defaults; GRU4Rec here is a GRU of 100 units with sampled softmax, what a plain sequence model costs.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import hup
from hup.recommender.kinds import model_class
from hup.training import loop

PARTS = {"_vectors": "first vectors", "_train": "batches", "_validate": "validation"}


def timed(of: Any, name: str, called: str, times: dict[str, float]) -> None:
    """Note how long a method takes."""
    call: Callable[..., Any] = getattr(of, name)

    def measured(*given: Any, **named: Any) -> Any:
        started = time.perf_counter()
        made = call(*given, **named)
        times[called] = times.get(called, 0.0) + time.perf_counter() - started
        return made

    setattr(of, name, measured)


def fit(name: str, dataset: hup.Dataset) -> None:
    """Fit a model for an epoch, and print what it took."""
    model: Any = (
        hup.HUP(hup.Config.preset(name, ["training.epochs=1"]))
        if name in ("best", "paper")
        else model_class(name)(model_class(name).options.model_validate({"training": {"epochs": 1}}))
    )
    times: dict[str, float] = {}
    for part, called in PARTS.items():
        timed(loop._Run, part, called, times)
    if hasattr(model, "tune"):
        timed(type(model), "tune", "after the epoch", times)
    started = time.perf_counter()
    model.fit(dataset)
    seconds = time.perf_counter() - started
    sessions = dataset.sessions("train")
    events = int(dataset.offsets[sessions[-1] + 1] - dataset.offsets[sessions[0]])
    parts = ", ".join(f"{called} {taken:.1f} s" for called, taken in times.items() if taken >= 0.05)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:10} {events / seconds:9,.0f} events/s  {seconds:7.1f} s  {memory:6,.0f} MiB  ({parts})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("sessions", 3000), ("items", 4000), ("levels", 3), ("events", 15)):
        parser.add_argument(f"--{name}", type=int, default=default, help="of the simulated shop")
    parser.add_argument("--dataset", type=Path, help="a prepared one instead of the simulated shop")
    parser.add_argument("--model", nargs="+", default=["best", "paper", "gru4rec"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in the process for one model
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.here:
        fit(given.model[0], hup.Dataset.open(given.dataset))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = given.dataset or Path(folder) / "dataset"
        if given.dataset is None:
            config = hup.SimulatorConfig(
                sessions=given.sessions, items=given.items, levels=given.levels, mean_events=given.events, seed=1
            )
            hup.simulate(config, Path(folder) / "log.csv", format="events")
            hup.prepare(Path(folder) / "log.csv", format="events", out=path)
        dataset = hup.Dataset.open(path)
        mean = len(dataset.item) / len(dataset)
        print(f"{len(dataset):,} sessions of {mean:.1f} events, {dataset.n_items:,} items, {given.threads} threads")
        for name in given.model:
            command = [sys.executable, __file__, "--here", "--dataset", str(path), "--model", name]
            subprocess.run([*command, "--threads", str(given.threads)], check=True)


if __name__ == "__main__":
    main()
