"""Print, as a Markdown table, figures of the JD samples beside those of a simulated log.

``python benchmarks/simulator_fidelity.py SAMPLE.txt [SAMPLE.txt ...] [--sessions 1000] [--items 170000] [--seed 0]``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hup.simulator import SimulatorConfig, build_catalogue, simulate_chunks
from hup.simulator.fidelity import measure_log


def measure_lines(path: Path) -> dict[str, float]:
    """Measure a file of JD lines without broken tokens."""
    lines = [line.split() for line in path.read_text().splitlines()]
    tokens = np.array([token.split("+") for line in lines for token in line])
    offsets = np.r_[0, np.cumsum([len(line) for line in lines])]
    item = np.unique(tokens[:, 0], return_inverse=True)[1]
    category = np.unique(tokens[:, 2], return_inverse=True)[1]
    behavior, interval, dwell = tokens[:, (1, 3, 4)].astype(np.int64).T
    return measure_log(offsets, item, category, behavior - 1, interval, dwell)


def measure_simulated(config: SimulatorConfig) -> dict[str, float]:
    """Measure the log of a configuration."""
    shop = build_catalogue(config)
    chunks = list(simulate_chunks(config, shop))
    offsets = np.r_[0, np.cumsum(np.concatenate([np.diff(chunk.offsets) for chunk in chunks]))]
    columns = [
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("item", "behavior", "interval", "dwell")
    ]
    return measure_log(offsets, columns[0], shop.leaf[columns[0]], *columns[1:])


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description="Figures of JD samples beside those of a simulated log.")
    parser.add_argument("samples", nargs="*", type=Path, help="files of JD lines")
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--items", type=int, default=170_000)
    parser.add_argument("--categories", type=int, default=None)
    parser.add_argument("--mean-events", type=float, default=57.3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = SimulatorConfig(
        sessions=arguments.sessions,
        items=arguments.items,
        categories=arguments.categories,
        mean_events=arguments.mean_events,
        seed=arguments.seed,
    )
    columns = {path.stem: measure_lines(path) for path in arguments.samples}
    columns["simulated"] = measure_simulated(config)
    print("| figure | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in columns["simulated"]:
        cells = [_shown(name, figures[name]) for figures in columns.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _shown(name: str, value: float) -> str:
    return f"{value:.3f}" if name.endswith(("share", "mean")) else f"{value:,.0f}"


if __name__ == "__main__":
    main()
