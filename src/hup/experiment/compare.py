"""Run a grid: every row tuned alike before the test, fitted with every seed, judged in it; go on where it was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from hup.config import preset_names
from hup.data.dataset import Dataset
from hup.errors import HupError, command_line
from hup.evaluation.choice import DEFAULT, Choice
from hup.experiment.read_results import read_results
from hup.experiment.results import Results
from hup.experiment.rows import Row, all_rows, chosen_rows
from hup.experiment.run_folder import Request, RunFolder
from hup.experiment.tasks import Grid, Protocol, Task, dataset_facts, forget_trials
from hup.experiment.workers import Done, Workers
from hup.sessions.levels import ranked_levels

Watcher = Callable[[int, int, Done | None], None]


def compare(
    dataset: str | Path,
    out: str | Path,
    *,
    models: Sequence[str] | None = None,
    presets: Sequence[str] = ("paper", "best"),
    seeds: int = 5,
    protocol: Protocol = "default",
    tuning: int = 4,
    tuning_trained: int | None = None,
    overrides: Sequence[str] = (),
    jobs: int | None = None,
    label: str | None = None,
    retry_failed: bool = False,
    watcher: Watcher | None = None,
    at: Sequence[int] = (),
    metrics: Sequence[str] | None = None,
) -> Results:
    """Train and judge many models under one protocol.

    Parameters
    ----------
    dataset : path
        Dataset folder.
    out : path
        Run folder. What is finished in it is not run again; more rows and seeds may be asked for later.
    models : sequence of str, optional
        Rows by name; default all.
    presets : sequence of str
        Of HUP, a row each; the variants are those of the first.
    seeds : int
        Seeds 0 … seeds - 1, for models that have a random part.
    protocol : {"default", "paper"}
        ``"paper"``: candidates are the neighbours of what was browsed, the same for all rows, and the last interval is
        kept, in training, too.
    tuning : int
        Settings tried of every model, with seed 0; 1 = the defaults alone. What is counted is tried on
        :func:`hup.data.folds.folds`, and each level gets the setting that is best for it; what is trained is tried on
        the validation split.
    tuning_trained : int, optional
        The same of models that are trained, by epochs or tree by tree, where each setting is a long training; default
        ``tuning``.
    overrides : sequence of str
        ``"section.key=value"`` for HUP and its variants.
    jobs : int, optional
        Processes; default one a core.
    label : str, optional
        What tables call the dataset.
    retry_failed : bool
        Run failed cells again.
    watcher : callable, optional
        Told ``(done, total, what has ended)`` at the start (with None) and whenever a task ends.
    at, metrics
        As for :func:`hup.evaluate`. Those of finished cells come from their ranks; where lists are needed that were not
        counted, the kept models are asked again, not fitted. Significance is of Recall and MRR at the levels' own
        cut-offs.

    Returns
    -------
    Results

    Raises
    ------
    HupError
        For rows, presets or settings that are not there, and for a folder that holds another run.
    """
    rows = chosen_rows(models, all_rows(presets, overrides))
    return run_grid(
        dataset,
        out,
        rows,
        seeds=list(range(seeds)),
        protocol=protocol,
        tuning=tuning,
        tuning_trained=tuning_trained,
        jobs=jobs,
        label=label,
        retry_failed=retry_failed,
        watcher=watcher,
        choice=Choice.of(metrics, at),
    )


def run_grid(
    dataset: str | Path,
    out: str | Path,
    rows: Sequence[Row],
    *,
    seeds: Sequence[int],
    protocol: Protocol = "default",
    tuning: int = 1,
    tuning_trained: int | None = None,
    jobs: int | None = None,
    label: str | None = None,
    retry_failed: bool = False,
    swept: dict[str, Any] | None = None,
    watcher: Watcher | None = None,
    choice: Choice = DEFAULT,
) -> Results:
    """Run the cells of some rows and seeds that are not finished; see :func:`compare`."""
    from hup import __version__

    if protocol not in get_args(Protocol):
        raise HupError(f"There is no protocol {protocol!r}; expected {' or '.join(get_args(Protocol))}.")
    asked = {"seeds": len(seeds), "tuning": tuning, "tuning_trained": tuning_trained, "jobs": jobs}
    for name, number in asked.items():
        if number is not None and number < 1:
            raise HupError(f"{name} is {number}, expected 1 or more.")
    opened, folder = Dataset.open(dataset), RunFolder(Path(out))
    for split in ("validation", "test"):
        if not len(opened.sessions(split)):
            raise HupError(f"{opened.path} has no {split} sessions, which a comparison needs.")
    for row in rows:
        row.config()  # a setting that is wrong is told before anything runs
    jobs = jobs or os.cpu_count() or 1
    with folder.held():
        request = folder.take(
            Request(
                dataset=str(opened.path),
                fingerprint=opened.fingerprint,
                rows=[asdict(row) | {"overrides": list(row.overrides)} for row in rows],  # as JSON gives them back
                seeds=sorted(seeds),
                protocol=protocol,
                tuning=tuning,
                tuning_trained=tuning_trained,
                label=label or opened.path.resolve().name,
                command=_command(),
                version=__version__,
                date=datetime.now(UTC).isoformat(timespec="seconds"),
                facts=dataset_facts(opened),
                swept=swept,
                jobs=jobs,
                metrics=list(choice.metrics),
                at=list(choice.at),
            ),
            order=[row.name for row in all_rows(["paper", *(name for name in preset_names() if name != "paper")])],
        )
        grid, started = Grid(opened, folder, protocol), time.perf_counter()
        plan = _Plan(grid, rows, sorted(seeds), request, retry_failed)
        if plan.left:
            workers, done = Workers(opened.path, folder.path, protocol, min(jobs, plan.left)), 0
            if watcher is not None:
                watcher(0, plan.left, None)
            total = plan.left
            try:
                for ended in workers.run(plan.next):
                    if ended.failed is not None:
                        grid.fail(ended.task, ended.failed)
                    plan.ended(ended.task)
                    done += 1
                    if watcher is not None:
                        watcher(done, total, ended)
            finally:
                request.seconds += round(time.perf_counter() - started, 1)
                folder.write(request)
    return read_results(folder.path)


class _Plan:
    """Which tasks are left, and which of them can be done now: a row's cells wait for its trials."""

    def __init__(self, grid: Grid, rows: Sequence[Row], seeds: list[int], request: Request, retry_failed: bool) -> None:
        self.grid, self.rows, self.request = grid, rows, request
        self.trials: list[Task] = []
        self.waiting: dict[str, int] = {}
        self.cells: list[tuple[Row, int]] = []
        for row in rows:
            missing = [seed for seed in self._seeds(row, seeds) if self._is_missing(row, seed, retry_failed)]
            self.cells += [(row, seed) for seed in missing]
            settings = self._settings(row)
            if missing and len(settings) > 1:
                left = [n for n in range(len(settings)) if self._is_untried(row, n, retry_failed)]
                self.trials += [Task(row, seeds[0], n, settings[n]) for n in left]
                self.waiting[row.name] = len(left)
        self.first_seed = seeds[0]
        self.left = len(self.trials) + len(self.cells)

    def _seeds(self, row: Row, seeds: list[int]) -> list[int]:
        return seeds if row.seed_key() else seeds[:1]

    def _settings(self, row: Row) -> list[tuple[str, ...]]:
        return row.settings(self.request.budget(costly=row.costly))

    def _is_missing(self, row: Row, seed: int, retry_failed: bool) -> bool:
        cell = self.grid.folder.read_cell(row.name, seed)
        if cell is None:
            return True
        if cell["failed"] is not None:
            return retry_failed
        return self.grid.folder.lacks_lists(row.name, seed, self.request.choice)

    def _is_untried(self, row: Row, number: int, retry_failed: bool) -> bool:
        trial = self.grid.folder.read_trial(row.name, number)
        return trial is None or (retry_failed and trial["failed"] is not None)

    def next(self) -> Task | None:
        if self.trials:
            return self.trials.pop(0)
        for place, (row, seed) in enumerate(self.cells):
            if self.waiting.get(row.name, 0) == 0:
                del self.cells[place]
                return replace(self._cell(row, seed), choice=self.request.choice)
        return None

    def _cell(self, row: Row, seed: int) -> Task:
        settings = self._settings(row)
        if len(settings) == 1:
            return Task(row, seed, None, settings[0])
        levels = ranked_levels(self.grid.dataset.levels)
        chosen = self.grid.folder.chosen(row.name, len(settings), levels, by_level=row.tuned_by_level)
        if chosen is None:  # all trials failed: the cell will tell why
            return Task(row, seed, None, settings[0])
        if len(set(chosen.values())) > 1:
            return Task(row, seed, None, (), {level: settings[number] for level, number in chosen.items()})
        number = next(iter(chosen.values()))
        # What is counted was tried on folds, and is fitted on all of training now.
        reuse = number if row.trained and seed == self.first_seed else None
        return Task(row, seed, None, settings[number], reuse=reuse)

    def ended(self, task: Task) -> None:
        if task.trial is not None:
            self.waiting[task.row.name] -= 1
        elif not any(row.name == task.row.name for row, _ in self.cells):
            forget_trials(self.grid.folder, task.row.name, len(self._settings(task.row)))


def _command() -> str:
    """Give the command line as a person would type it again."""
    program, *arguments = sys.argv
    return command_line(Path(program).name, *arguments)
