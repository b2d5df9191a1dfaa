"""How fast `hup prepare` is, and in how much memory.

    python benchmarks/prepare_throughput.py --events 20000000

Simulates a JD log, then prepares it in a process of its own and prints events a second and that process's peak
memory. Beside it, from the same run: merely reading the file and splitting it at newlines and spaces with pyarrow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MEAN_EVENTS = 57.3
SPLIT = """
import sys
import pyarrow as pa, pyarrow.compute as pc
tokens, rest = 0, b""
with open(sys.argv[1], "rb") as file:
    while block := file.read(4 << 20):
        lines, _, rest = (rest + block).rpartition(b"\\n")
        lines = pc.split_pattern(pa.array([lines], pa.large_binary()), b"\\n").values
        tokens += len(pc.split_pattern(lines, b" ").values)
print(tokens)
"""


@dataclass(frozen=True)
class Cost:
    """What a child process took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(*command: str | Path) -> Cost:
    """Run a command to its end.

    This process imports nothing big: Linux counts the memory of the parent at the fork in the child's peak.
    """
    begin = time.perf_counter()
    child = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with exit code {child.returncode}.")
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale)


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    log, out = folder / "log.txt", folder / "dataset"
    simulate = ["-m", "hup", "simulate", "--out", log, "--format", "jd", "--seed", arguments.seed]
    simulate += ["--sessions", max(1, round(arguments.events / MEAN_EVENTS)), "--mean-events", MEAN_EVENTS]
    simulate += ["--items", arguments.items, "--levels", arguments.levels]
    measure(*simulate)
    limit = ["--memory-limit", arguments.memory_limit] if arguments.memory_limit else []
    split = measure("-c", SPLIT, log)
    prepare = measure("-m", "hup", "prepare", log, "--out", out, *limit)
    counts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["counts"]
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "log_mb": round(log.stat().st_size / 1e6, 1),
        "dataset_mb": round(sum(path.stat().st_size for path in out.iterdir()) / 1e6, 1),
        "events": counts["events"],
        "sessions": counts["sessions"],
        "items": counts["items"],
        "prepare_seconds": round(prepare.seconds, 2),
        "prepare_cpu_seconds": round(prepare.cpu_seconds, 2),
        "prepare_events_per_second": round(counts["events"] / prepare.seconds),
        "prepare_peak_gb": round(prepare.peak_bytes / 1e9, 2),
        "split_seconds": round(split.seconds, 2),
        "prepare_to_split_ratio": round(prepare.seconds / split.seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="about how many (default: %(default)s)")
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--levels", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-limit", help="passed on to hup prepare, e.g. 1GB")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name, value in run(Path(folder), arguments).items():
            print(f"{name:26s} {value:,}" if not isinstance(value, str) else f"{name:26s} {value}")


if __name__ == "__main__":
    main()
