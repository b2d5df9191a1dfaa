"""How `hup prepare` of event tables grows with the log, in time and in memory.

    python benchmarks/prepare_tables.py --events 2000000 20000000
    python benchmarks/prepare_tables.py --events 176000000 --items 420000 --folder /big/disk

For each size: simulates an event table (Parquet; K = 3), prepares it in a process of its own, and prints events a
second, that process's peak memory and the most that it had on disk. Beside it, from the same run: DuckDB alone, sorting
the same rows by session, time and event id into another Parquet file under the same memory limit, which any way to
sessions has to do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prepare_throughput import MEAN_EVENTS, measure

SORT = """
import sys, duckdb
source, target, spill, limit = sys.argv[1:]
connection = duckdb.connect(config={"temp_directory": spill, **({"memory_limit": limit} if limit else {})})
connection.execute("SET preserve_insertion_order = false")
rows = f"SELECT * FROM '{source}' ORDER BY session, timestamp, event_id"
connection.execute(f"COPY ({rows}) TO '{target}' (FORMAT parquet)")
"""


@contextmanager
def peak_on_disk(folder: Path) -> Iterator[list[int]]:
    """Watch how many bytes lie below a folder for the length of a ``with`` block; the list has the most at its end."""
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            most[0] = max(most[0], _bytes_below(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # gone in the meantime
            continue
    return total


def run(folder: Path, events: int, arguments: argparse.Namespace) -> dict[str, float]:
    log, out = folder / "log.parquet", folder / "out" / "dataset"
    simulate = ["-m", "hup", "simulate", "--out", log, "--format", "events", "--seed", arguments.seed]
    simulate += ["--sessions", max(1, round(events / MEAN_EVENTS)), "--mean-events", MEAN_EVENTS]
    simulate += ["--items", arguments.items, "--levels", 3]
    measure(*simulate)
    out.parent.mkdir()
    limit = ["--memory-limit", arguments.memory_limit] if arguments.memory_limit else []
    with peak_on_disk(out.parent) as on_disk:
        prepare = measure("-m", "hup", "prepare", log, "--out", out, *limit)
    counts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["counts"]
    sort = measure("-c", SORT, log, folder / "sorted.parquet", folder / "spill", arguments.memory_limit or "")
    return {
        "events": counts["events"],
        "sessions": counts["sessions"],
        "seconds": prepare.seconds,
        "events/s": counts["events"] / prepare.seconds,
        "CPU s": prepare.cpu_seconds,
        "peak GB": prepare.peak_bytes / 1e9,
        "disk GB": on_disk[0] / 1e9,
        "log GB": log.stat().st_size / 1e9,
        "dataset GB": _bytes_below(out) / 1e9,
        "sort s": sort.seconds,
        "sort GB": sort.peak_bytes / 1e9,
        "times sort": prepare.seconds / sort.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[500_000, 2_000_000], help="sizes, about")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-limit", help="of both, e.g. 4GB; half of memory and DuckDB's own default otherwise")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    for place, events in enumerate(arguments.events):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            found = run(Path(folder), events, arguments)
        if not place:
            print(" ".join(f"{name:>12}" for name in found))
        print(
            " ".join(f"{value:12,.0f}" if value >= 1000 else f"{value:12.2f}" for value in found.values()), flush=True
        )


if __name__ == "__main__":
    main()
