"""Processes that do the tasks of a grid side by side; one that dies costs its task, not the grid."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from hup import processes
from hup.errors import HupError
from hup.experiment.tasks import Grid, Protocol, Task


@dataclass(frozen=True)
class Done:
    """A task that has ended; ``failed`` says why it failed, None = it did not."""

    task: Task
    failed: str | None


class Workers:
    """Up to ``jobs`` processes, each with one thread (or, if there is one process, with all).

    Parameters
    ----------
    dataset, out : Path
        Folders of the dataset and of the run.
    protocol : str
    jobs : int

    Raises
    ------
    HupError
        Several processes have been started to do the same grid.
    """

    def __init__(self, dataset: Path, out: Path, protocol: Protocol, jobs: int) -> None:
        if processes.together():
            raise HupError("A grid starts processes of its own. Start it without torchrun.")
        self._arguments = (str(dataset), str(out), protocol, jobs)
        self.jobs = jobs
        # Not forked: torch and gensim have threads, which a fork would lose.
        self._context = multiprocessing.get_context("spawn")
        self._busy: dict[Connection, tuple[BaseProcess, Task]] = {}
        self._idle: list[tuple[Connection, BaseProcess]] = []

    def run(self, next_task: Callable[[], Task | None]) -> Iterator[Done]:
        """Do tasks until ``next_task`` has none left and all have ended.

        ``next_task`` is asked whenever a process is free, also again after it had none: a task that has ended may make
        another possible.

        Yields
        ------
        Done
            As they end.
        """
        try:
            while True:
                while len(self._busy) < self.jobs and (task := next_task()) is not None:
                    self._give(task)
                if not self._busy:
                    return
                for connection in wait(list(self._busy)):
                    assert isinstance(connection, Connection)
                    yield self._collect(connection)
        finally:
            self._end()

    def _give(self, task: Task) -> None:
        if self._idle:
            connection, process = self._idle.pop()
        else:
            connection, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
            process.start()
            theirs.close()
        connection.send(task)
        self._busy[connection] = (process, task)

    def _collect(self, connection: Connection) -> Done:
        process, task = self._busy.pop(connection)
        try:
            failed = connection.recv()
        except (EOFError, OSError):
            process.join()
            code = process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            hint = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
            return Done(task, f"its process ended with {how}{hint}")
        self._idle.append((connection, process))
        return Done(task, failed)

    def _end(self) -> None:
        for connection, _ in self._idle:
            connection.close()  # which a process that waits for a task takes as the end
        for connection, (process, _) in self._busy.items():
            process.terminate()
            connection.close()
        for process in [*(process for _, process in self._idle), *(process for process, _ in self._busy.values())]:
            process.join()
        self._idle.clear()
        self._busy.clear()


def _serve(connection: Connection, dataset: str, out: str, protocol: Protocol, jobs: int) -> None:
    """Do tasks as they come; what went wrong goes back as text, None = all is well."""
    import torch

    from hup.data.dataset import Dataset
    from hup.experiment.run_folder import RunFolder

    # Ctrl-C reaches every process of the terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()
    if jobs > 1:
        torch.set_num_threads(1)
    grid = Grid(Dataset.open(dataset), RunFolder(Path(out)), protocol)
    while True:
        with suppress(EOFError, OSError):
            task = connection.recv()
            try:
                grid.run(task)
                connection.send(None)
            except Exception as error:
                connection.send(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            continue
        return


def _end_with_the_first_process() -> None:
    """Wait until the process that gives the tasks is gone, however it went, and end this one at once.

    What it was at work on would otherwise go on beside the same task of a command that is run again.
    """
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)
