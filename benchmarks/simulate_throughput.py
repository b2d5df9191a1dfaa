"""Print events per second and peak memory of the simulator, drawing alone and writing every format.

``python benchmarks/simulate_throughput.py [--events 2000000] [--items 170000] [--levels 1] [--folder FOLDER]``
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from hup.simulator import SimulatorConfig, simulate, simulate_chunks
from hup.simulator.writers import LOG_ENDINGS


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description="Throughput of the simulator.")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--items", type=int, default=170_000)
    parser.add_argument("--levels", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    config = SimulatorConfig(
        sessions=max(1, round(arguments.events / SimulatorConfig.mean_events)),
        items=arguments.items,
        levels=arguments.levels,
    )
    began = time.perf_counter()
    events = sum(chunk.events for chunk in simulate_chunks(config))
    _print("arrays in memory", events, time.perf_counter() - began, 0)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for format, endings in LOG_ENDINGS.items():
            for ending in endings:
                out = Path(folder) / f"log{ending}"
                began = time.perf_counter()
                made = simulate(config, out, format=format)
                _print(f"{format}, {ending}", made.events, time.perf_counter() - began, out.stat().st_size)
                out.unlink()


def _print(what: str, events: int, seconds: float, size: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:20} {events:>12,} events  {seconds:7.1f} s  {events / seconds:>12,.0f} events/s  "
        f"{size / 1e6:8.1f} MB  peak so far {peak:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
