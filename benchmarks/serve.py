"""What the service does a second, and how long one waits: posting an event, and reading recommendations, over HTTP.

Run ``python benchmarks/serve.py [--users N] [--items N] [--workers N] [--rate N]`` on a made-up shop, or ``--model
FOLDER --dataset FOLDER`` on a real one; ``--untrained`` for very many items. The service runs on loopback, once for
each store; a second process asks it over connections that are kept. At a rate, requests are sent when they are due,
whether or not answers have come, and a wait counts from then on; at saturation each connection asks again as soon as it
has its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvloop
from live import made_up_model, made_up_shop

import hup
from hup.data.dataset import Dataset
from hup.sessions.dataset_events import dataset_events

Request = bytes


class Connection(asyncio.Protocol):
    """A connection that is kept, with one request on its way at most."""

    def __init__(self) -> None:
        self.buffer, self.answered = b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        """Keep the way out."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect an answer until it is whole."""
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.buffer.lower().find(b"content-length: ", 0, head)
        length = int(self.buffer[at + 16 : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) >= head + 4 + length:
            status, self.buffer = int(self.buffer[9:12]), b""
            self.answered.set_result(status)

    def connection_lost(self, error) -> None:
        """Tell who waits."""
        if not self.answered.done():
            self.answered.set_exception(ConnectionError("the service has closed the connection"))

    async def ask(self, request: Request) -> int:
        """Send a request, and give the status of its answer."""
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answered


def get(path: str) -> Request:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(body: object) -> Request:
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    )
    return head.encode() + b"\r\n\r\n" + data


# ---------------------------------------------------------------------- the load


async def connect(port: int, n: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(n)]


async def at_saturation(port: int, requests: list[Request], connections: int, seconds: float) -> list[float]:
    opened, times, n = await connect(port, connections), [], iter(range(sys.maxsize))
    until = time.perf_counter() + seconds

    async def go(connection: Connection) -> None:
        while (began := time.perf_counter()) < until:
            assert await connection.ask(requests[next(n) % len(requests)]) == 200
            times.append(time.perf_counter() - began)

    await asyncio.gather(*map(go, opened))
    return times


async def at_rate(port: int, requests: list[Request], connections: int, seconds: float, rate: float) -> list[float]:
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in await connect(port, connections):
        free.put_nowait(connection)
    times: list[float] = []

    async def one(request: Request, due: float) -> None:
        connection = await free.get()
        assert await connection.ask(request) == 200
        times.append(time.perf_counter() - due)
        free.put_nowait(connection)

    began, tasks = time.perf_counter() + 0.05, []
    arrivals = began + np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds)))
    for number, due in enumerate(arrivals.tolist()):
        while (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait if wait > 0.002 else 0)
        tasks.append(asyncio.create_task(one(requests[number % len(requests)], due)))
    await asyncio.gather(*tasks)
    return times


def load(pipe, port: int, requests: list[Request], connections: int, seconds: float, rate: float) -> None:
    gc.disable()  # a collection here would hold up requests for which the service then seems slow
    began = time.perf_counter()
    made = (
        at_rate(port, requests, connections, seconds, rate)
        if rate
        else at_saturation(port, requests, connections, seconds)
    )
    times = uvloop.run(made)
    pipe.send((times, time.perf_counter() - began))


def measured(name: str, port: int, requests: list[Request], connections: int, seconds: float, rate: float) -> None:
    """Have a second process ask, and print a line."""
    ours, theirs = multiprocessing.Pipe()
    arguments = (theirs, port, requests, connections, seconds, rate)
    process = multiprocessing.get_context("spawn").Process(target=load, args=arguments)
    process.start()
    times, took = ours.recv()
    process.join()
    p50, p90, p99 = (1e3 * np.quantile(times, share) for share in (0.5, 0.9, 0.99))
    how = f"at {rate:,.0f}/s" if rate else "at saturation"
    print(
        f"{name:28} {how:14} {len(times) / took:8,.0f} requests/s  p50 {p50:7.2f}  p90 {p90:7.2f}  p99 {p99:7.2f} ms",
        flush=True,
    )


# ---------------------------------------------------------------------- the service


@contextmanager
def service(model: Path, store: str, workers: int, folder: Path) -> Iterator[int]:
    log = folder / "serve.log"
    command = [sys.executable, "-m", "hup", "serve", str(model), "--store", store, "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--workers", str(workers)], stderr=file)
    try:
        while '"ready"' not in log.read_text():
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.05)
        (line,) = (line for line in log.read_text().splitlines() if '"ready"' in line)
        yield int(json.loads(line)["address"].rsplit(":", 1)[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    options += ["--appendonly", "yes", "--appendfsync", "always"]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


# ---------------------------------------------------------------------- the shop


def histories(dataset: Dataset, users: int) -> list[list[dict[str, object]]]:
    """Events of as many users, each with a session of the test split, the last event not long ago."""
    low, high = dataset.manifest.split.bounds.test
    found = [dataset_events(dataset, session) for session in range(low, min(high, low + users))]
    made = []
    for user in range(users):
        clock = time.time() - 3600
        rows: list[dict[str, object]] = []
        for event in found[user % len(found)][-50:]:
            rows.append(
                {
                    **{"user": f"user-{user}", "item": event.item, "behavior": event.behavior, "timestamp": clock},
                    "categories": list(event.categories),
                }
            )
            clock += event.interval or 10.0
        made.append(rows)
    return made


def measure(model: Path, store: str, name: str, rows: list[list[dict[str, object]]], args, folder: Path) -> None:
    with service(model, store, args.workers, folder) as port:
        began = time.perf_counter()
        seeding = [
            post({"events": [row for one in rows[at : at + 50] for row in one]}) for at in range(0, len(rows), 50)
        ]

        async def seed() -> None:
            connections = await connect(port, 4)
            left: Callable[[], Request | None] = lambda: seeding.pop() if seeding else None  # noqa: E731

            async def go(connection: Connection) -> None:
                while (request := left()) is not None:
                    assert await connection.ask(request) == 200

            await asyncio.gather(*map(go, connections))

        uvloop.run(seed())
        n_events, took = sum(map(len, rows)), time.perf_counter() - began
        print(f"{name}: {len(rows):,} users, {n_events:,} events posted in bulk, {n_events / took:,.0f} a second")
        order = np.random.default_rng(1).permutation(len(rows))
        reads = [get(f"/v1/users/user-{user}/recommendations?k=20") for user in order]
        writes = [post({key: value for key, value in rows[user][-1].items() if key != "timestamp"}) for user in order]
        for what, requests in (("recommendations", reads), ("one event", writes)):
            for rate in (*args.rate, 0):
                measured(f"{name}, {what}", port, requests, args.connections, args.seconds, rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--sessions", type=int, default=3_000, help="of the made-up shop")
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--untrained", action="store_true", help="random weights: nothing is learned before")
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, nargs="*", default=[300], help="requests a second")
    parser.add_argument("--stores", nargs="*", default=["memory", "lmdb", "redis"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.model is None:
            model, dataset = folder / "model", made_up_shop(folder, args.sessions, args.items)
            made_up_model(dataset, trained=not args.untrained).save_pretrained(model)
        else:
            model, dataset = args.model, Dataset.open(args.dataset)
        rows = histories(dataset, args.users)
        print(
            f"{len(hup.load(model).vocabulary.items):,} items, workers: {args.workers}, connections: {args.connections}"
        )
        for store in args.stores:
            if store == "memory":
                one = argparse.Namespace(**{**vars(args), "workers": 1})
                measure(model, "memory:", "memory, one worker", rows, one, folder)
            elif store == "lmdb":
                measure(model, f"lmdb:{folder / 'users'}", "lmdb", rows, args, folder)
            elif shutil.which("redis-server"):
                with redis(folder) as address:
                    measure(model, address, "redis", rows, args, folder)


if __name__ == "__main__":
    main()
