"""How many durable writes a second a store of the service takes, and how long one takes.

    python benchmarks/stores.py [--bytes 10000] [--writes 2000] [--stores memory lmdb redis]

Each writer writes its own record by compare-and-set and waits until it is durable: one writer alone, then sixteen at a
time; then one reads. The LMDB and the log of the Redis, a server of the system's packages started for this, are in
folders beside each other. An fsync of as many bytes in the same folder is the yardstick.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hup.errors import StoreError
from hup.serving.stores.open_store import open_store
from hup.serving.stores.store import Change, Store

LATER = time.time() + 86_400


def show(name: str, times: list[float], seconds: float) -> None:
    p50, p99 = (1e3 * np.quantile(times, share) for share in (0.5, 0.99))
    print(f"{name:34} {len(times) / seconds:9,.0f} /s   p50 {p50:8.3f}   p99 {p99:8.3f} ms", flush=True)


async def measure(name: str, asks: list[Callable[[], Awaitable[object]]], times_each: int) -> None:
    """Ask so many times, one task for each that asks."""
    times: list[float] = []

    async def repeat(ask: Callable[[], Awaitable[object]]) -> None:
        for _ in range(times_each):
            start = time.perf_counter()
            await ask()
            times.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*map(repeat, asks))
    show(name, times, time.perf_counter() - start)


def writer(store: Store, user: str, size: int) -> Callable[[], Awaitable[None]]:
    revision: bytes | None = None
    data = os.urandom(size)

    async def write() -> None:
        nonlocal revision
        (revision,) = await store.write([Change(user, revision, data, LATER)])
        assert revision is not None

    return write


async def measure_store(kind: str, address: str, size: int, writes: int) -> None:
    store = await open_store(address)
    for writers in (1, 16):
        asks = [writer(store, f"user {writers} {number}", size) for number in range(writers)]
        await measure(f"{kind}: write, {writers} at a time", asks, writes // writers)
    await measure(f"{kind}: read, 1 at a time", [lambda: store.read("user 1 0")], writes)
    await measure(f"{kind}: read, 16 at a time", 16 * [lambda: store.read("user 1 0")], writes // 16)
    await store.close()


def measure_fsync(folder: Path, size: int, writes: int) -> None:
    data, times = os.urandom(size), []
    begin = time.perf_counter()
    with (folder / "yardstick").open("wb", buffering=0) as file:
        for _ in range(writes):
            start = time.perf_counter()
            file.write(data)
            os.fdatasync(file)
            times.append(time.perf_counter() - start)
    show("append to a file and fdatasync", times, time.perf_counter() - begin)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a server that keeps what it answers; gives its address."""
    server = shutil.which("redis-server")
    if server is None:
        raise SystemExit("redis-server is not installed. Install it, or leave it out: --stores memory lmdb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    process = subprocess.Popen([server, "--port", str(port), "--dir", folder, *options], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


async def wait_for(address: str) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            return await (await open_store(address)).close()
        except StoreError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=10_000, help="of a record")
    parser.add_argument("--writes", type=int, default=2_000, help="of each measurement")
    parser.add_argument("--stores", nargs="+", default=["memory", "lmdb", "redis"], choices=["memory", "lmdb", "redis"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_fsync(folder, options.bytes, options.writes)
        for kind in options.stores:
            if kind == "redis":
                with redis(folder) as address:
                    asyncio.run(wait_for(address))
                    asyncio.run(measure_store(kind, address, options.bytes, options.writes))
            else:
                address = "memory:" if kind == "memory" else f"lmdb:{folder / 'store'}"
                asyncio.run(measure_store(kind, address, options.bytes, options.writes))


if __name__ == "__main__":
    main()
