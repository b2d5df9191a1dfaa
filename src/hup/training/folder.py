"""The folder of a training run: checkpoints and log while it goes on, the model once it has finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hup.config import Section
from hup.errors import HupError
from hup.files import clear_asides, locked, write_aside
from hup.recommender.model_folder import CONFIG, METRICS, WEIGHTS, read_json
from hup.recommender.vocabulary import CATEGORIES, ITEMS
from hup.training.checkpoint import Checkpoint, TrainingState

CHECKPOINTS, LOG = "checkpoints", "log.jsonl"
_LOCK = ".lock"
_OWN = {_LOCK, CHECKPOINTS, LOG, CONFIG, METRICS, WEIGHTS, ITEMS, CATEGORIES, "evaluation"}


class TrainingFolder:
    """Paths and state of a training run's folder.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # a link stands for the folder that it names
        self.vectors = self.path / CHECKPOINTS / "vectors.safetensors"
        self.last = self.path / CHECKPOINTS / "last.safetensors"
        self.previous = self.path / CHECKPOINTS / "previous.safetensors"
        self.log = self.path / LOG

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other training runs out of the folder while the block lasts.

        Raises
        ------
        HupError
            Another run trains into it, something else lies in it, or it cannot be written.
        """
        self.refuse_foreign()
        busy = f"Another run is training into {self.path}. Wait for it, or choose another --out."
        with locked(self.path / _LOCK, busy):
            for folder in (self.path, self.last.parent):
                clear_asides(folder)
            yield

    def prepare(
        self, wanted: TrainingState, options: Section, *, resume: bool, overwrite: bool, note: Callable[[str], None]
    ) -> Checkpoint | None:
        """Make the folder ready and return the checkpoint to go on from, if there is one.

        A finished model stays until a new one takes its place, also with ``overwrite``. ``options`` is the
        configuration that is wanted.

        Raises
        ------
        HupError
            If it holds something else, a finished model (without ``resume``), a run with other settings or on another
            dataset, or only damaged checkpoints.
        """
        if resume and overwrite:
            raise HupError("resume and overwrite exclude each other: one goes on with the run, the other starts anew.")
        self.refuse_foreign()
        try:
            if overwrite:
                shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)
                self.log.unlink(missing_ok=True)
            self.last.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HupError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        earlier = self._whole_checkpoint(note)
        if self.holds_model and not (resume or overwrite) and (earlier is None or earlier.state.saved):
            raise HupError(
                f"{self.path} holds a finished model. Add --overwrite to replace it, --resume for more epochs."
            )
        if earlier is None:
            if resume:
                note(f"Nothing to resume in {self.path}: starting from the beginning.")
            return None
        self._check_same(earlier.state, wanted, options)
        return earlier

    def _whole_checkpoint(self, note: Callable[[str], None]) -> Checkpoint | None:
        """Read the last checkpoint or, where that is damaged, the one before, which takes its place."""
        damaged: HupError | None = None
        for path in (self.last, self.previous):
            try:
                checkpoint = Checkpoint.read(path) if path.is_file() else None
            except HupError as error:
                damaged = error
                continue
            if checkpoint is not None and path != self.last:
                if damaged is not None:
                    note(f"{damaged} The one before it is whole, and takes its place.")
                path.replace(self.last)
            if checkpoint is not None:
                return checkpoint
        if damaged is not None:
            raise HupError(f"{damaged} There is no other one; start anew with --overwrite.")
        return None

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint of an epoch; the one before stays, too."""
        checkpoint.write(self.last, before=self.previous)

    def mark_saved(self) -> None:
        """Note in the last checkpoint that the model has been written, so that nobody takes an older one for it."""
        checkpoint = Checkpoint.read(self.last)
        checkpoint.state.saved = True
        checkpoint.write(self.last)

    @property
    def holds_model(self) -> bool:
        """Whether a finished model is in the folder."""
        return (self.path / CONFIG).is_file()

    def forget_run(self) -> None:
        """Remove checkpoints, log and evaluations of what stood here before."""
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.forget_evaluations()

    def forget_evaluations(self) -> None:
        """Remove what was measured of the model that stood here before."""
        shutil.rmtree(self.path / "evaluation", ignore_errors=True)

    def refuse_foreign(self) -> None:
        """Check that nothing but a model or a run lies in the folder.

        Raises
        ------
        HupError
            If something does.
        """
        if self.path.exists() and not self.path.is_dir():
            raise HupError(f"{self.path} is a file, expected a folder to write the model to.")
        names = {path.name for path in self.path.glob("*")} | {path.name for path in self.path.glob(".*")}
        foreign = sorted(name for name in names - _OWN if ".partial-" not in name)
        if foreign:
            raise HupError(f"{self.path} holds {foreign[0]}, which is not of a model. Choose an empty or new folder.")
        if (self.path / CONFIG).is_file() and "format_version" not in read_json(self.path / CONFIG):
            raise HupError(f"{self.path / CONFIG} is not of a model of HUP. Choose an empty or new folder.")

    def _check_same(self, earlier: TrainingState, wanted: TrainingState, options: Section) -> None:
        if earlier.dataset_fingerprint != wanted.dataset_fingerprint:
            raise HupError(
                f"The run in {self.path} is on another dataset, or on what this one was before it was made again. Add "
                f"--overwrite to start anew."
            )
        if earlier.began_from != wanted.began_from:
            raise HupError(
                f"The run in {self.path} began from {'another model' if earlier.began_from else 'random weights'}, not "
                f"from {'the one given' if wanted.began_from else 'random weights'}. Add --overwrite to start anew."
            )
        # Through the configuration, so that a key that came later has its default there.
        before = type(options).validated(earlier.config).model_dump(mode="json")
        for key, old, new in _differences(before, wanted.config):
            # More epochs is what resuming is for, and another machine may have another device.
            if key not in ("training.epochs", "training.device"):
                raise HupError(
                    f"The run in {self.path} has {key} = {old!r}, not {new!r}. Add --overwrite to start anew."
                )

    def write_log(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the log anew: what a killed run logged after its last checkpoint happens again."""
        with write_aside(self.log) as path:
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def append_log(self, record: dict[str, Any]) -> None:
        """Add one epoch's record.

        Raises
        ------
        HupError
            If it cannot be written.
        """
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise HupError(
                f"Cannot write {self.log}: {error.strerror or error}. The same command goes on after this epoch."
            ) from error


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any, Any]]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}", before, after
