"""Beginning from an earlier model against beginning from nothing: epochs, time and quality of the preset best.

The earlier model learns from the first 56 % of the sessions of a log (chosen on 8 % more); both others from 70 %,
chosen on 10 %, judged on the last 20 %, which the earlier one has not seen. Prints for each the epoch that was kept,
the epochs and seconds that it took, validation MRR@20 of items after the first epoch and at the best, and the test
figures.

    python benchmarks/warm_start.py
    python benchmarks/warm_start.py events.csv --map rees46
    python benchmarks/warm_start.py clicks.txt --seeds 3 --set training.epochs=20
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import hup
from hup.training import Observer

EARLIER, LATER = (0.56, 0.08, 0.36), (0.7, 0.1, 0.2)


class Epochs(Observer):
    """Keeps the record of every epoch."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def epoch_done(self, record: dict[str, Any]) -> None:
        """Keep it."""
        self.records.append(record)


def prepared(log: Path, mapping: str | None, folder: Path) -> list[hup.Dataset]:
    """Make the dataset of the earlier model and that of the later ones."""
    options: dict[str, Any] = {"format": "jd"} if mapping is None else {"map": mapping}
    return [
        hup.prepare(log, out=folder / f"dataset-{number}", shares=shares, **options)
        for number, shares in enumerate((EARLIER, LATER))
    ]


def measured(config: hup.Config, dataset: hup.Dataset, init: hup.HUP | None) -> list[float]:
    """Train, and give the columns of a row."""
    epochs, started = Epochs(), time.perf_counter()
    model = hup.HUP(config).fit(dataset, init=init, observer=epochs)
    seconds = time.perf_counter() - started
    item = hup.evaluate(model, dataset, rows=()).rows[model.name]["item"]
    first, best = (
        100 * epochs.records[number]["validation"]["item"]["mrr@20"] for number in (0, model.metrics["best_epoch"] - 1)
    )
    shown = (first, best, 100 * item["recall@20"], 100 * item["mrr@20"])
    return [model.metrics["best_epoch"], len(epochs.records), seconds, *shown]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", type=Path, help="JD lines, or with --map a table; default a simulated shop")
    parser.add_argument("--map", help="mapping of the table")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=3000, help="of the simulated shop")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    columns = ("best epoch", "epochs", "seconds", "first MRR", "best MRR", "test Recall", "test MRR")
    with tempfile.TemporaryDirectory() as folder:
        log = arguments.log or Path(folder) / "log.txt"
        if arguments.log is None:
            settings = hup.SimulatorConfig(sessions=arguments.sessions, items=1000, levels=3, mean_events=14, seed=1)
            hup.simulate(settings, log, format="jd")
        before, after = prepared(log, arguments.map, Path(folder))
        rows: dict[str, list[list[float]]] = {"from nothing": [], "from the earlier model": []}
        for seed in range(arguments.seeds):
            config = hup.Config.preset("best", [*arguments.set, f"training.seed={seed}"])
            earlier = hup.HUP(config).fit(before)
            for title, init in zip(rows, (None, earlier), strict=True):
                rows[title].append(measured(config, after, init))
        print(f"{'':>24}" + "".join(f"{column:>13}" for column in columns))
        for title, found in rows.items():
            print(f"{title:>24}" + "".join(f"{value:>13.1f}" for value in np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
