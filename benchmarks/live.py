"""What one user costs live: an event folded in, a profile, a recommendation, a state as bytes and back.

Run ``python benchmarks/live.py [--sessions N] [--items N] [--untrained] [--threads N]`` on a made-up shop, or ``--model
FOLDER --dataset FOLDER`` on a real one. An untrained model of many items takes as long for an answer as a trained one.
The session-kNN that serves shops (`vsknn`) answers the same sessions in the same run.
Times are those of the process, so another program on the machine costs them little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from recommend_many import untrained

import hup
from hup.data.dataset import Dataset
from hup.recommender.kinds import load, model_class
from hup.sessions.dataset_events import dataset_events

Made = TypeVar("Made")


class Clock:
    """Times of single calls, by name."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def timed(self, name: str, call: Callable[[], Made]) -> Made:
        """Call, and note how long it took."""
        start = time.process_time()
        made = call()
        self.times.setdefault(name, []).append(time.process_time() - start)
        return made

    def show(self, per: str) -> None:
        """Print quantiles of every name, and its median as a multiple of one of them."""
        unit = float(np.median(self.times[per]))
        for name, times in self.times.items():
            p50, p90, p99 = (1e3 * np.quantile(times, share) for share in (0.5, 0.9, 0.99))
            print(
                f"{name:32} {len(times):6,} calls  p50 {p50:7.3f}  p90 {p90:7.3f}  p99 {p99:7.3f} ms"
                f"  {p50 / 1e3 / unit:6.2f} x {per}"
            )


def made_up_shop(folder: Path, sessions: int, items: int) -> Dataset:
    config = hup.SimulatorConfig(sessions=sessions, items=items, levels=3, mean_events=10, seed=1)
    hup.simulate(config, folder / "log.csv", format="events")
    return hup.prepare(folder / "log.csv", format="events", out=folder / "dataset")


def made_up_model(dataset: Dataset, *, trained: bool) -> hup.HUP:
    if not trained:
        return untrained("best", dataset)
    return hup.HUP(hup.Config.preset("best", ["training.epochs=1"])).fit(dataset)


def measure(model: hup.HUP, dataset: Dataset, sessions: int) -> None:
    rival = model_class("vsknn")().fit(dataset)
    clock, sizes = Clock(), []
    asked = np.linspace(*(bound - at for at, bound in enumerate(dataset.manifest.split.bounds.test)), sessions)
    sessions_asked = [dataset_events(dataset, session) for session in asked.astype(int).tolist()]
    for events in sessions_asked:
        state = None
        for event in events:
            state = clock.timed("update", lambda state=state, event=event: model.update(state, event))
        clock.timed("profile", lambda state=state: model.profile(state))
        for level in model.levels:
            clock.timed(f"recommend {level}", lambda state=state, level=level: model.recommend(state, level))
        data = clock.timed("state to bytes", lambda state=state: model.state_bytes(state))
        clock.timed("bytes to state", lambda data=data: model.state(data))
        sizes.append(len(data))
    for events in sessions_asked:  # apart, as a service asks one model, whose tables stay near to the processor
        clock.timed("recommend item, vsknn", lambda events=events: rival.recommend(events))
    clock.show("recommend item, vsknn")
    print(f"A state is {np.median(sizes):,.0f} bytes (median), {max(sizes):,} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=3_000, help="of the made-up shop")
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--untrained", action="store_true", help="random weights: nothing is learned before")
    parser.add_argument("--asked", type=int, default=200, help="test sessions that are answered")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path, help="a trained HUP instead of one fitted here for an epoch")
    parser.add_argument("--dataset", type=Path, help="the prepared log that belongs to it")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if (given.model is None) != (given.dataset is None):
        parser.error("--model and --dataset belong together")
    with tempfile.TemporaryDirectory() as folder:
        if given.model is None:
            dataset = made_up_shop(Path(folder), given.sessions, given.items)
            model = made_up_model(dataset, trained=not given.untrained)
        else:
            dataset, opened = Dataset.open(given.dataset), load(given.model)
            assert isinstance(opened, hup.HUP), "expected a folder of HUP"
            model = opened
        print(f"{dataset.n_items:,} items, {len(dataset):,} sessions, {given.threads} threads")
        for _ in range(2):  # once for what is made at the first call
            model.recommend(dataset_events(dataset, 0))
        measure(model, dataset, given.asked)


if __name__ == "__main__":
    main()
