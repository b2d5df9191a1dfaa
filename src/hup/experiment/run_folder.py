"""The folder of a grid: what was asked, what is done, and where everything lies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hup.errors import HupError
from hup.evaluation.choice import Choice
from hup.evaluation.exposure_file import counted_cutoffs
from hup.evaluation.metrics import MAIN
from hup.files import locked
from hup.recommender.model_folder import read_json, write_json

FORMAT = 2
RUN = "run.json"


@dataclass
class Request:
    """What a grid is asked for.

    Attributes
    ----------
    dataset : str
        Path of the dataset folder.
    fingerprint : str
    rows : list of dict
        The rows, as dictionaries of :class:`hup.experiment.rows.Row`.
    seeds : list of int
    protocol : str
        ``"default"`` or ``"paper"``.
    tuning : int
        Settings tried of every model.
    tuning_trained : int or None
        The same of models that are trained; None = as many.
    label, command, version, date : str
    facts : dict
        Of the dataset, for tables.
    swept : dict or None
        Of a sweep: key, values, and row names by value.
    seconds : float
        Time that the runs of this folder took so far.
    jobs : int
    metrics, at : list
        Which metrics are given, and at which further cut-offs: those that were asked for last.
    """

    dataset: str
    fingerprint: str
    rows: list[dict[str, Any]]
    seeds: list[int]
    protocol: str
    tuning: int
    label: str
    command: str
    version: str
    date: str
    facts: dict[str, Any] = field(default_factory=dict)
    swept: dict[str, Any] | None = None
    seconds: float = 0.0
    jobs: int = 1
    tuning_trained: int | None = None
    metrics: list[str] = field(default_factory=lambda: list(MAIN))
    at: list[int] = field(default_factory=list)

    @property
    def choice(self) -> Choice:
        """Which metrics are given, at which cut-offs."""
        return Choice(tuple(self.metrics), tuple(self.at))

    def budget(self, *, costly: bool) -> int:
        """Count the settings that are tried of a row."""
        return self.tuning if self.tuning_trained is None or not costly else self.tuning_trained


class RunFolder:
    """Paths and state of a grid.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder while the block lasts: each would find the other's models half trained.

        Raises
        ------
        HupError
            Another run works in it, or it cannot be written.
        """
        if self.path.is_file():
            raise HupError(f"{self.path} is a file, expected a folder for the run.")
        busy = f"Another run works in {self.path}. Wait for it, or choose another --out."
        with locked(self.path / ".lock", busy):
            yield

    def take(self, wanted: Request, order: Sequence[str] = ()) -> Request:
        """Make the folder ready for a request, joined with what it already holds: more rows, seeds, another label.

        ``order`` names rows in the order of the table; others stand behind them.

        Raises
        ------
        HupError
            If it is no run folder, or one of another dataset, protocol, tuning budget, sweep, or of rows that are made
            otherwise.
        """
        if not (self.path / RUN).is_file():
            if self.path.is_dir() and any(path.name[0] != "." for path in self.path.iterdir()):
                raise HupError(f"{self.path} holds something else than a run. Choose an empty or new folder.")
            self.write(wanted)
            return wanted
        held = self.read()
        for name in ("fingerprint", "protocol", "tuning", "tuning_trained", "swept"):
            before, now = getattr(held, name), getattr(wanted, name)
            if before != now:
                raise HupError(
                    f"The run in {self.path} has {name} = {_short(before)}, not {_short(now)}. Choose another folder."
                )
        rows = {row["name"]: row for row in held.rows}
        for row in wanted.rows:
            if row != rows.setdefault(row["name"], row):
                raise HupError(f"The run in {self.path} has another row {row['name']!r}: its settings differ.")
        places = {name: place for place, name in enumerate(order)}
        held.rows = sorted(rows.values(), key=lambda row: places.get(row["name"], len(places)))
        held.seeds = sorted({*held.seeds, *wanted.seeds})
        held.label, held.command, held.jobs = wanted.label, wanted.command, wanted.jobs
        held.metrics, held.at = wanted.metrics, wanted.at
        self.write(held)
        return held

    def read(self) -> Request:
        """Read what was asked.

        Raises
        ------
        HupError
            If this is no run folder, or its ``run.json`` does not read.
        """
        if not (self.path / RUN).is_file():
            raise HupError(f"{self.path} is not a run folder: it has no {RUN}. Make one with `hup compare`.")
        content = read_json(self.path / RUN)
        if content.pop("format", None) != FORMAT:
            raise HupError(f"{self.path / RUN} is of another version of HUP; run `hup compare` again in a new folder.")
        try:
            return Request(**content)
        except TypeError as error:
            raise HupError(f"{self.path / RUN} does not read as a run ({error}).") from error

    def write(self, request: Request) -> None:
        """Write what is asked."""
        write_json(self.path / RUN, {"format": FORMAT, **asdict(request)})

    def cell(self, row: str, seed: int) -> Path:
        """Folder of a finished cell."""
        return self.path / "cells" / row / f"seed-{seed}"

    def exposure(self, row: str, seed: int) -> Path:
        """Name the file of what a finished cell recommended."""
        return self.cell(row, seed) / "exposure.parquet"

    def lacks_lists(self, row: str, seed: int, choice: Choice) -> bool:
        """Tell whether a finished cell did not count the lists that a choice needs."""
        if not choice.needs_lists:
            return False
        counted = counted_cutoffs(self.exposure(row, seed))
        return not counted or any(not {*choice.cutoffs(level)} <= {*counted[level]} for level in counted)

    def model(self, row: str, seed: int) -> Path:
        """Model folder of a cell."""
        return self.path / "models" / row / f"seed-{seed}"

    def trial_model(self, row: str, number: int) -> Path:
        """Model folder of a setting that is tried."""
        return self.path / "models" / row / f"trial-{number}"

    def trial(self, row: str, number: int) -> Path:
        """Name the file of what a trial came to."""
        return self.path / "tuning" / row / f"trial-{number}.json"

    def candidate_vectors(self, fingerprint: str) -> Path:
        """Name the file of the vectors whose neighbours are the paper's candidates, of a dataset or a fold of it."""
        return self.path / "candidates" / f"{fingerprint[:16]}.safetensors"

    def write_cell(self, row: str, seed: int, content: dict[str, Any]) -> None:
        """Write the file that makes a cell complete."""
        write_json(self.cell(row, seed) / "cell.json", content)

    def read_cell(self, row: str, seed: int) -> dict[str, Any] | None:
        """Read a complete cell; None if there is none."""
        path = self.cell(row, seed) / "cell.json"
        return read_json(path) if path.is_file() else None

    def read_trial(self, row: str, number: int) -> dict[str, Any] | None:
        """Read a finished trial; None if there is none."""
        path = self.trial(row, number)
        return read_json(path) if path.is_file() else None

    def chosen(self, row: str, trials: int, levels: Sequence[str], *, by_level: bool) -> dict[str, int] | None:
        """Find the number of the best trial for every level; None while some are not done, or where all have failed.

        Of equal ones the first is best, which for a level without any target is the defaults.

        Parameters
        ----------
        row : str
        trials : int
            How many there are.
        levels : sequence of str
        by_level : bool
            Let every level decide for itself; otherwise the mean over levels does for all.
        """
        tried = {number: self.read_trial(row, number) for number in range(trials)}
        good = {number: trial for number, trial in tried.items() if trial and not trial["failed"]}
        if not good or None in tried.values():
            return None

        def best(level: str) -> int:
            return max(good, key=lambda n: good[n]["gains"].get(level, 0.0) if by_level else good[n]["selection"])

        return {level: best(level) for level in levels}

    def forget(self, row: str, seed: int) -> None:
        """Remove a cell, so that it is run again."""
        shutil.rmtree(self.cell(row, seed), ignore_errors=True)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "…"
