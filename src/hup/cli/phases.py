"""The phases of long work on data as progress bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hup.cli.console import note, progress_bars
from hup.data.progress import Progress, Unit

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


@contextmanager
def bars_progress() -> Iterator[Progress]:
    """Show each phase as a progress bar for the length of a ``with`` block."""
    with progress_bars() as bars:
        progress = _BarsProgress(bars)
        yield progress
        progress.finish()


class _BarsProgress(Progress):
    """Shows each phase as a progress bar."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._scale = 1.0

    def phase(self, name: str, total: int | None = None, unit: Unit | None = None) -> None:
        self.finish()
        self._scale = 1.0
        if unit == "bytes" and total is not None:
            symbol, self._scale = ("MB", 1e6) if total > 10e6 else ("kB", 1e3)
            name = f"{name} ({symbol})"
        self._task = self._bars.add_task(name, total=None if total is None else total / self._scale)

    def advance(self, amount: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, advance=amount / self._scale)

    def note(self, message: str) -> None:
        note(message)

    def finish(self) -> None:
        """Fill the bar of the phase that is over."""
        if self._task is None:
            return
        task = next(task for task in self._bars.tasks if task.id == self._task)
        total = task.total or task.completed or 1
        self._bars.update(self._task, total=total, completed=total)
