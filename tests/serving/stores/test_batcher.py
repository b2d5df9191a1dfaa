"""Tasks that ask at the same time share a call, and each gets its own answer."""

from __future__ import annotations

import asyncio

import pytest

from hup.errors import StoreError
from hup.serving.stores.batcher import Batcher

pytestmark = pytest.mark.anyio


class Doubling:
    """Doubles numbers, when it is let; notes what it was asked in one go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may = asyncio.Event()

    async def __call__(self, asked: list[int]) -> list[int]:
        self.batches.append(list(asked))
        await self.may.wait()
        if 13 in asked:
            raise StoreError("thirteen")
        return [2 * number for number in asked]


async def begun(batcher: Batcher[int, int], numbers: list[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batcher.ask(number)) for number in numbers]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_goes_together():
    call = Doubling()
    batcher = Batcher(call)
    first, second = await begun(batcher, [1]), await begun(batcher, [2, 3, 4])
    call.may.set()
    assert await asyncio.gather(*first, *second) == [2, 4, 6, 8]
    assert call.batches == [[1], [2, 3, 4]]
    assert await batcher.ask(5) == 10


async def test_an_error_is_that_of_its_batch_and_of_no_other():
    call = Doubling()
    batcher = Batcher(call)
    tasks = await begun(batcher, [1]) + await begun(batcher, [13, 2])
    call.may.set()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == 2
    assert [str(error) for error in others] == ["thirteen", "thirteen"]
    assert others[0] is not others[1]
    assert await batcher.ask(3) == 6


async def test_who_was_cancelled_is_not_asked_for():
    call = Doubling()
    batcher = Batcher(call)
    under_way, waiting, other = [*await begun(batcher, [1]), *await begun(batcher, [2, 3])]
    under_way.cancel()
    waiting.cancel()
    await asyncio.sleep(0)
    call.may.set()
    assert await other == 6
    assert call.batches == [[1], [3]]


async def test_closing_waits_for_what_was_asked():
    call = Doubling()
    batcher = Batcher(call)
    (task,) = await begun(batcher, [1])
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    assert not closing.done()
    call.may.set()
    await closing
    assert task.done()
    await Batcher(call).close()
