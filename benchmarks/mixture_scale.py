"""A training step of the preset best on a large vocabulary against a small one: time, and the peak of memory.

Each vocabulary is measured in a process of its own, on made-up sessions of 40 events that visit every item; batches of
128 sessions, all prefixes. Prints milliseconds of a step, their ratio, and the resident memory at its highest.

    python benchmarks/mixture_scale.py
    python benchmarks/mixture_scale.py --items 10000 100000 --steps 5
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EVENTS, CATEGORIES, BATCH = 40, 100, 128


def log(items: int, path: Path) -> None:
    """Write a JD log in which every item is visited, most of them rarely; sessions go across categories."""
    rng = np.random.default_rng(0)
    sessions = max(items // (EVENTS // 2), 4 * BATCH)
    order = rng.permutation(items)
    with path.open("w") as out:
        for number in range(sessions):
            rare = order[np.arange(number * EVENTS // 2, (number + 1) * EVENTS // 2) % items]
            common = (items * rng.random(EVENTS - len(rare)) ** 4).astype(np.int64)
            visited = rng.permutation(np.concatenate([rare, common]))
            out.write(" ".join(f"{item}+5+{item % CATEGORIES}+20+30" for item in visited.tolist()) + "\n")


def measure(items: int, steps: int) -> dict[str, float]:
    """Time training steps after one that is not counted."""
    import torch

    import hup
    from hup.config import Config
    from hup.sessions.batches import batches

    with tempfile.TemporaryDirectory() as folder:
        log(items, Path(folder) / "log.txt")
        dataset = hup.prepare(
            Path(folder) / "log.txt", format="jd", out=Path(folder) / "dataset", shares=(0.98, 0.01, 0.01)
        )
        model = hup.HUP(Config.preset("best")).initialise(dataset)
        network = model.network.train()
        optimizer = torch.optim.Adam([one for one in network.parameters() if one.requires_grad], fused=True)
        weights, times = model.level_weights(), []
        sessions = np.asarray(dataset.sessions("train"))[: BATCH * (steps + 1)]
        for histories, targets in batches(dataset, sessions, BATCH):
            started = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            losses = model.losses(histories, targets)
            torch.stack([weights[level] * loss.value for level, loss in losses.items()]).sum().backward()
            optimizer.step()
            times.append(time.perf_counter() - started)
        known = dataset.n_train_items
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"items": known, "milliseconds": 1000 * float(np.median(times[1:])), "gigabytes": peak}


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 420_000])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.steps)))
        return
    first = None
    print(f"{'items':>10} {'ms a step':>10} {'ratio':>6} {'peak GB':>8}")
    for items in arguments.items:
        command = [sys.executable, __file__, "--one", str(items), "--steps", str(arguments.steps)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        first = first or found["milliseconds"]
        ratio = found["milliseconds"] / first
        print(f"{found['items']:>10,} {found['milliseconds']:>10.0f} {ratio:>6.2f} {found['gigabytes']:>8.2f}")


if __name__ == "__main__":
    main()
