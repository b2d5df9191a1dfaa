"""A process that writes to a store: ``python store_process.py ADDRESS count|log|grow ...``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import IO, Any

from hup.serving.stores.open_store import open_store
from hup.serving.stores.store import Change, Store

LATER = time.time() + 86_400


def start(address: str, *words: object, **options: Any) -> subprocess.Popen[str]:
    """Start one, which knows nothing of this process."""
    command = [sys.executable, "-P", __file__, address, *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


async def count(store: Store, users: int, times: int) -> None:
    """Add to counters of users, several at once, by compare-and-set."""

    async def add(user: str) -> None:
        while True:
            kept = await store.read(user)
            data = str(int(kept.data) + 1 if kept else 1).encode()
            (revision,) = await store.write([Change(user, kept.revision if kept else None, data, LATER)])
            if revision is not None:
                return

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # all begin together
    for _ in range(times):
        await asyncio.gather(*(add(f"user {number}") for number in range(users)))


async def log(store: Store, first: int) -> None:
    """Write one after the other, several users at once, and say which ones are done."""

    async def go_on(user: int) -> None:
        kept = await store.read(f"user {user}")
        revision = kept and kept.revision
        number = first
        while True:
            data = str(number).encode().ljust(5_000)
            (revision,) = await store.write([Change(f"user {user}", revision, data, LATER)])
            assert revision is not None
            print(user, number, flush=True)
            number += 1

    await asyncio.gather(*map(go_on, range(8)))


async def grow(store: Store, name: str, records: int, size: int) -> None:
    """Write records, so many bytes each."""
    for number in range(records):
        revisions = await store.write([Change(f"{name} {number}", None, bytes(size), LATER)])
        assert revisions[0] is not None


async def main(address: str, task: str, *words: str) -> None:
    store = await open_store(address)
    if task == "count":
        await count(store, *map(int, words))
    elif task == "log":
        await log(store, *map(int, words))
    else:
        await grow(store, words[0], *map(int, words[1:]))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
