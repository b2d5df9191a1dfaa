"""What many tasks ask for at the same time, asked for in one go: it takes as long for one as for many."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Batcher(Generic[Asked, Answer]):
    """Requests of all tasks of an event loop; those that come while a batch is under way are the next batch.

    Parameters
    ----------
    call : callable
        Answers some requests, in their order.
    """

    def __init__(self, call: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]]) -> None:
        self._call = call
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._work: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Give the answer to one request, or raise what the call of its batch raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_waiting())
        return await future

    async def close(self) -> None:
        """Wait until all is answered."""
        if self._work is not None:
            await asyncio.wait([self._work])

    async def _answer_waiting(self) -> None:
        while self._waiting:
            # A task that was cancelled before its turn does not want its answer any more.
            batch = [(asked, future) for asked, future in self._waiting if not future.done()]
            self._waiting = []
            try:
                answers = await self._call([asked for asked, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(copy.copy(error))  # each task that raises it adds its own traceback
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
