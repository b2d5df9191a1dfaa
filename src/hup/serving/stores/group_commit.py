"""What many tasks want to write at once, written in one go: a disk takes as long for one as for many."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")


class GroupCommit(Generic[Job]):
    """Jobs of all tasks of an event loop; those that come while a group is being written are the next group.

    Parameters
    ----------
    commit : callable
        Does some jobs, all of them or none, and gives a result for each. It is called in a thread that does nothing
        else.
    """

    def __init__(self, commit: Callable[[Sequence[Job]], Sequence[Any]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Job, asyncio.Future[Any]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._work: asyncio.Task[None] | None = None

    async def submit(self, job: Job) -> Any:
        """Have a job done; give its result, or raise what the commit of its group raised."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._do_waiting())
        return await future

    async def close(self) -> None:
        """Do what is waiting, and end the thread."""
        if self._work is not None:
            await asyncio.wait([self._work])
        self._thread.shutdown()

    async def _do_waiting(self) -> None:
        while self._waiting:
            # A task that was cancelled before its turn does not want its job any more.
            group = [(job, future) for job, future in self._waiting if not future.done()]
            self._waiting = []
            try:
                results = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._commit, [job for job, _ in group]
                )
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(copy.copy(error))  # each task that raises it adds its own traceback
            else:
                for (_, future), result in zip(group, results, strict=True):
                    if not future.done():
                        future.set_result(result)
