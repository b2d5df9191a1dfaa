"""Several processes on one store, and processes that are killed while they write."""

from __future__ import annotations

import asyncio
import time

import pytest

from hup.serving.stores.lmdb_environment import FIRST_MAP
from hup.serving.stores.open_store import open_store
from hup.serving.stores.store import Change

from ...helpers import store_process

LATER = time.time() + 86_400


async def records(address: str) -> dict[str, bytes]:
    store = await open_store(address)
    found = {user: (await store.read(user)).data for user in await store.users("", "", 10_000)}
    await store.close()
    return found


def test_processes_that_count_together_lose_nothing(durable_address):
    processes = [store_process.start(durable_address, "count", 4, 40) for _ in range(3)]
    for process in processes:
        assert store_process.lines(process).readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert asyncio.run(records(durable_address)) == {f"user {number}": b"120" for number in range(4)}


async def kill_and_look(address: str, rounds: int) -> None:
    """Kill a process that writes, and look whether all is there that it had said to be done."""
    said: dict[str, int] = {}
    first = 0
    for _ in range(rounds):
        process = store_process.start(address, "log", first)
        for _ in range(100):
            user, number = store_process.lines(process).readline().split()
            said[f"user {user}"] = int(number)
        process.kill()
        for line in store_process.lines(process).read().splitlines(keepends=True):
            if line.endswith("\n"):
                user, number = line.split()
                said[f"user {user}"] = int(number)
        assert process.wait() == -9
        found = {user: int(data) for user, data in (await records(address)).items()}
        assert found.keys() >= said.keys()
        for user, number in said.items():
            # One more may have been written that was not yet said.
            assert found[user] in (number, number + 1) or found[user] == first
        first = max(found.values()) + 1


@pytest.mark.slow
def test_what_a_killed_process_had_written_is_there(durable_address):
    asyncio.run(kill_and_look(durable_address, 20))


def test_a_killed_process_hinders_no_other(durable_address):
    """It may have held the lock of those who write, or have been reading."""

    async def live_on() -> None:
        store = await open_store(durable_address)
        for round_ in range(3):
            process = store_process.start(durable_address, "log", 0)
            for _ in range(20):
                store_process.lines(process).readline()
            process.kill()
            process.wait()
            assert (await store.write([Change(f"mine {round_}", None, b"", LATER)]))[0] is not None
            for user in await store.users("user", "", 100):
                assert await store.forget(user)
        assert await store.users("", "", 100) == ["mine 0", "mine 1", "mine 2"]
        await store.close()

    asyncio.run(live_on())


def test_the_map_of_an_lmdb_grows_under_others(tmp_path):
    """Two processes write more than was mapped at first, while this one reads and writes."""
    address, size = f"lmdb:{tmp_path / 'store'}", FIRST_MAP // 32

    async def watch() -> None:
        store = await open_store(address)
        assert (tmp_path / "store" / "data.mdb").stat().st_size < FIRST_MAP / 100
        await store.write([Change("mine", None, b"0", LATER)])
        processes = [store_process.start(address, "grow", name, 20, size) for name in ("one", "two")]
        number = 0
        while any(process.poll() is None for process in processes):
            kept = await store.read("mine")
            assert kept is not None
            assert kept.data == str(number).encode()
            number += 1
            (revision,) = await store.write([Change("mine", kept.revision, str(number).encode(), LATER)])
            assert revision is not None
            await asyncio.sleep(0.005)
        assert [process.returncode for process in processes] == [0, 0]
        assert len(await store.users("", "", 100)) == 41
        for user in await store.users("one", "", 100):
            assert (await store.read(user)).data == bytes(size)
        assert (tmp_path / "store" / "data.mdb").stat().st_size > FIRST_MAP
        # And once more, by this one.
        revisions = await store.write([Change(f"large {n}", None, bytes(size), LATER) for n in range(40)])
        assert None not in revisions
        await store.close()

    asyncio.run(watch())
