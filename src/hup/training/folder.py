"""The folder of a training run: checkpoints and log while it goes on, the model once it has finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hup.errors import HupError
from hup.files import write_aside
from hup.training.checkpoint import Progress, read_progress

_OWN = {
    "checkpoints",
    "log.jsonl",
    "config.json",
    "metrics.json",
    "model.safetensors",
    "items.parquet",
    "categories.parquet",
    "evaluation",
}


class RunFolder:
    """Paths and state of a training run's folder.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "checkpoints" / "last.safetensors"
        self.best = path / "checkpoints" / "best.safetensors"
        self.log = path / "log.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the folder holds a finished model."""
        return (self.path / "config.json").is_file()

    def prepare(
        self, wanted: Progress, *, resume: bool, overwrite: bool, note: Callable[[str], None]
    ) -> Progress | None:
        """Make the folder ready and return the run to continue, if there is one.

        Raises
        ------
        HupError
            If it holds something else, a finished model (without ``resume``), or a run with other settings.
        """
        if self.path.exists() and not self.path.is_dir():
            raise HupError(f"{self.path} is a file, expected a folder to write the model to.")
        foreign = sorted(p.name for p in self.path.glob("*") if p.name not in _OWN and not p.name.startswith("."))
        if foreign:
            raise HupError(f"{self.path} holds {foreign[0]}, which is not of a model. Choose an empty or new folder.")
        if overwrite:
            shutil.rmtree(self.path, ignore_errors=True)
        elif self.finished and not resume:
            raise HupError(
                f"{self.path} holds a finished model. Add --overwrite to replace it, --resume for more epochs."
            )
        self.last.parent.mkdir(parents=True, exist_ok=True)
        if not self.last.is_file():
            if resume:
                note(f"Nothing to resume in {self.path}: starting from the beginning.")
            return None
        found = read_progress(self.last)
        self._check_same(found, wanted)
        return found

    def _check_same(self, found: Progress, wanted: Progress) -> None:
        if found.dataset_fingerprint != wanted.dataset_fingerprint:
            raise HupError(f"The run in {self.path} is on another dataset. Add --overwrite to start anew.")
        for key, old, new in _differences(found.config, wanted.config):
            # More epochs is what resuming is for.
            if key != "training.epochs":
                raise HupError(
                    f"The run in {self.path} has {key} = {old!r}, not {new!r}. Add --overwrite to start anew."
                )

    def write_log(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the log anew: what a killed run logged after its last checkpoint happens again."""
        with write_aside(self.log) as path:
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def append_log(self, record: dict[str, Any]) -> None:
        """Add one epoch's record."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any, Any]]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}", before, after
