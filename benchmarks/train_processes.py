"""Events per second of training in one process of one and of several threads, and in as many processes of one thread.

    python benchmarks/train_processes.py --sessions 2000 --items 5000 --levels 3

All train on the same simulated shop, with the same batches, by the command line, in turns. The figure is of the
epochs' training alone, without validation and checkpoints: of the fastest epoch of all turns, as other work on the
machine can only slow one down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import hup
from hup.simulator import SimulatorConfig


def rates(command: list[str], dataset: Path, out: Path, preset: str, threads: int, epochs: int) -> list[float]:
    """Train, and give the events per second of every epoch."""
    options = ["--preset", preset, "--epochs", str(epochs), "--threads", str(threads), "--overwrite"]
    options += ["--set", "embeddings.skipgram_epochs=1"]  # not what is measured
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [*command, "train", str(dataset), "--out", str(out), *options], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    records = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record["events_per_second"] for record in records]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--mean-events", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="and as many threads of the one process")
    parser.add_argument("--presets", nargs="+", default=["paper", "best"])
    arguments = parser.parse_args()
    n = arguments.processes
    one = [sys.executable, "-m", "hup"]
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), "-m", "hup"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop = SimulatorConfig(
            sessions=arguments.sessions,
            items=arguments.items,
            levels=arguments.levels,
            mean_events=arguments.mean_events,
            seed=1,
        )
        hup.simulate(shop, folder / "log.txt", format="jd")
        dataset = hup.prepare([folder / "log.txt"], format="jd", out=folder / "dataset")
        train = dataset.sessions("train")
        events = int(dataset.offsets[train.stop] - dataset.offsets[train.start])
        print(f"{len(train):,} training sessions, {events:,} events, {dataset.n_train_items:,} items")
        for preset in arguments.presets:
            ways = {
                "one process of one thread": (one, 1),
                f"one process of {n} threads": (one, n),
                f"{n} processes of one thread": (several, 1),
            }
            fastest = dict.fromkeys(ways, 0.0)
            for _ in range(arguments.turns):
                for way, (command, threads) in ways.items():
                    made = rates(command, folder / "dataset", folder / "model", preset, threads, arguments.epochs)
                    fastest[way] = max(fastest[way], *made)
            print(
                f"{preset}, events/s: " + ", ".join(f"{way} {rate:,.0f}" for way, rate in fastest.items()), flush=True
            )


if __name__ == "__main__":
    main()
