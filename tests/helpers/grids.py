"""Grids whose tasks are done where they are given, as starting a process takes longer than a small model does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hup.data.dataset import Dataset
from hup.experiment.run_folder import RunFolder
from hup.experiment.tasks import Grid, Protocol, Task
from hup.experiment.workers import Done


class NoWorkers:
    """Does what `Workers` does, one task after the other in this very process."""

    def __init__(self, dataset: Path, out: Path, protocol: Protocol, jobs: int) -> None:
        self._grid = Grid(Dataset.open(dataset), RunFolder(out), protocol)

    def run(self, next_task: Callable[[], Task | None]) -> Iterator[Done]:
        while (task := next_task()) is not None:
            try:
                self._grid.run(task)
            except Exception as error:
                yield Done(task, f"{type(error).__name__}: {error}")
            else:
                yield Done(task, None)


def without_processes() -> Iterator[None]:
    """Body of a fixture: as long as it lasts, grids start no processes."""
    with pytest.MonkeyPatch.context() as patch:
        # The package has a function of the module's name.
        patch.setattr(sys.modules["hup.experiment.compare"], "Workers", NoWorkers)
        yield
