"""``hup prepare``: from a click log to a dataset folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.console import note, progress_bars
from hup.data.progress import Progress, Unit

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class LogFormat(StrEnum):
    """Formats that can be read."""

    JD = "jd"


class SplitBy(StrEnum):
    """Ways to divide sessions into training, validation and test."""

    TIME = "time"
    RANDOM = "random"


def prepare(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Files (plain, .gz, .zst), folders, globs.")],
    out: Annotated[Path, typer.Option(help="Dataset folder to make.", show_default=False)],
    format: Annotated[
        LogFormat,
        typer.Option(help="jd: a line is a session of tokens item+behavior+category+interval+dwell."),
    ] = LogFormat.JD,
    split: Annotated[
        SplitBy, typer.Option(help="time: the first sessions are for training; random: they are permuted first.")
    ] = SplitBy.TIME,
    shares: Annotated[str, typer.Option(help="Shares of training, validation and test sessions.")] = "0.7,0.1,0.2",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random split.")] = 0,
    levels: Annotated[
        int | None, typer.Option(help="Category levels; a path like 3/17/240 has three.", show_default="that of most")
    ] = None,
    max_reject_share: Annotated[
        float, typer.Option(help="More malformed tokens and lines than this share is an error.")
    ] = 0.05,
    memory_limit: Annotated[
        str | None, typer.Option(help="For example 8GB; what exceeds it goes to disk.", show_default="half of memory")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset OUT, once all is done.")] = False,
) -> None:
    """Turn a click log into a dataset folder, and print its statistics.

    Good rows are used; the others are listed in rejects.parquet with file, line, token and reason. The folder appears
    when all is done, or not at all.
    """
    from hup.cli.info import print_dataset
    from hup.data.prepare import prepare as prepare_dataset

    with progress_bars() as bars:
        progress = _BarsProgress(bars)
        dataset = prepare_dataset(
            sources,
            format=format.value,
            out=out,
            levels=levels,
            max_reject_share=max_reject_share,
            split=split.value,
            shares=_parse_shares(shares),
            seed=seed,
            memory_limit=memory_limit,
            overwrite=overwrite,
            progress=progress,
        )
        progress.finish()
    print_dataset(dataset)
    if dataset.manifest.rejects.rows:
        note(f"{dataset.manifest.rejects.rows:,} rejected rows, with file and line: {out / 'rejects.parquet'}")
    note(f"Next: hup train {out} --preset paper --out MODEL")


def _parse_shares(text: str) -> list[float]:
    try:
        return [float(share) for share in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers such as 0.7,0.1,0.2.", param_hint="--shares"
        ) from None


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
