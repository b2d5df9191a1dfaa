"""The work of a grid in pieces: settings to try before the test, and cells (a row with a seed) to judge in it."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hup.config import Section
from hup.data.dataset import Dataset
from hup.data.folds import folds
from hup.data.manifest import SplitName
from hup.errors import HupError
from hup.evaluation import Evaluation, evaluate
from hup.evaluation.calibration import calibration
from hup.evaluation.choice import DEFAULT, Choice
from hup.evaluation.exposure_file import counted_cutoffs, write_exposure
from hup.evaluation.metrics import mean_gains
from hup.evaluation.protocol import EvaluationSplit
from hup.experiment.rows import Row
from hup.experiment.run_folder import RunFolder
from hup.models.skipgram import word2vec_vectors
from hup.recommender.base import Recommender
from hup.recommender.kinds import load
from hup.recommender.model_folder import CONFIG, read_json, write_json
from hup.training import Observer, fit
from hup.training.checkpoint import load_vectors, save_vectors

Protocol = Literal["default", "paper"]

#: As many decide between settings by themselves: a log that has them on its validation split is tried on that alone.
ENOUGH_SESSIONS = 5_000
#: Vectors whose neighbours are the paper's candidates, the same for every row: size, window, epochs.
_CANDIDATE_VECTORS: dict[str, Any] = {"size": 64, "window": 5, "epochs": 50}


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes
    ----------
    row : Row
    seed : int
    trial : int or None
        Number of the setting to try; None = judge the cell.
    overrides : tuple of str
        The setting, where all levels have the same.
    by_level : dict of str to tuple of str
        The setting of every level, where they differ.
    reuse : int or None
        Trial of the same setting and seed, whose model is taken over.
    choice : Choice
        What the cell is to tell; where lists are needed, they are counted.
    """

    row: Row
    seed: int
    trial: int | None
    overrides: tuple[str, ...]
    by_level: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reuse: int | None = None
    choice: Choice = DEFAULT

    @property
    def title(self) -> str:
        """What it is called on the screen."""
        setting = " ".join(self.overrides) or "as it is"
        return f"{self.row.name}, trying {setting}" if self.trial is not None else f"{self.row.name}, seed {self.seed}"


class _Speed(Observer):
    """Remembers how fast training was."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def epoch_done(self, record: dict[str, Any]) -> None:
        self.rates.append(record["events_per_second"])


class Grid:
    """What all tasks of a grid need: dataset, folder, protocol.

    Parameters
    ----------
    dataset : Dataset
    folder : RunFolder
    protocol : {"default", "paper"}
    """

    def __init__(self, dataset: Dataset, folder: RunFolder, protocol: Protocol) -> None:
        self.dataset, self.folder, self.protocol = dataset, folder, protocol
        self._vectors: dict[str, torch.Tensor] = {}
        if protocol == "paper":
            self.candidate_vectors(dataset)  # once, before there are processes that would all fit them

    def run(self, task: Task) -> None:
        """Do a piece of work; its result is in the folder afterwards.

        Raises
        ------
        HupError
            If the model cannot be fitted or judged.
        """
        if task.trial is None:
            self._judge(task)
        else:
            self._try(task, task.trial)

    def fail(self, task: Task, reason: str) -> None:
        """Write down that a piece of work failed."""
        if task.trial is None:
            if not self._is_judged(task):
                self.folder.write_cell(task.row.name, task.seed, {"failed": reason})
        else:
            content = {"overrides": list(task.overrides), "failed": reason, "selection": None, "seconds": None}
            write_json(self.folder.trial(task.row.name, task.trial), content)

    def _try(self, task: Task, number: int) -> None:
        started = time.perf_counter()
        gains, sessions = self._trained_gains(task, number) if task.row.trained else self._fold_gains(task)
        if not gains:
            raise HupError("There is no target to choose settings by.")
        content = {
            "overrides": list(task.overrides),
            "failed": None,
            "selection": float(np.mean(list(gains.values()))),
            "gains": gains,
            "sessions": sessions,
            "seconds": round(time.perf_counter() - started, 3),
        }
        write_json(self.folder.trial(task.row.name, number), content)

    def _trained_gains(self, task: Task, number: int) -> tuple[dict[str, float], int]:
        """Give what the epoch that is kept gained on the validation split, of a model that may become the cell's.

        The model itself is not asked again: it may have learned from these sessions once its epochs were over.
        """
        model, _ = self._fitted(task, self.folder.trial_model(task.row.name, number))
        return model.metrics["gains"] or {}, model.metrics["validation_sessions"]

    def _fold_gains(self, task: Task) -> tuple[dict[str, float], int]:
        """Judge all folds, each by a model of what came before it."""
        parts: list[dict[str, NDArray[np.float64]]] = []
        for fold in folds(self.dataset, ENOUGH_SESSIONS):
            model = self._made(task).fit(fold.dataset)
            evaluation = self._evaluated(model, fold.dataset, "test", most_sessions=len(fold.sessions))
            parts.append(evaluation.ranks[model.name])
        ranks = {level: np.concatenate([part[level] for part in parts]) for level in parts[0]}
        return mean_gains(ranks), len(next(iter(ranks.values())))

    def _judge(self, task: Task) -> None:
        row, seed = task.row, task.seed
        place = self.folder.model(row.name, seed)
        if task.reuse is not None and not place.exists():
            tried = self.folder.trial_model(row.name, task.reuse)
            if tried.is_dir():
                tried.replace(_with_parent(place))
        model, cost = self._fitted(task, place)
        exposure = self.folder.exposure(row.name, seed)
        counted = [k for cutoffs in counted_cutoffs(exposure).values() for k in cutoffs]
        choice = Choice.of(task.choice.metrics, [*task.choice.at, *counted])  # what is counted stays
        started = time.perf_counter()
        evaluation = self._evaluated(model, self.dataset, "test", choice=choice)
        seconds = time.perf_counter() - started
        if evaluation.exposure:
            write_exposure(exposure, evaluation.exposure[row.name])
        if self._is_judged(task):  # and lacked its lists alone
            return
        cell = self.folder.cell(row.name, seed)
        evaluation.write_ranks(cell / "ranks.parquet")
        content = {
            "failed": None,
            "row": asdict(row),
            "seed": seed,
            "overrides": {
                level: list(task.by_level.get(level, task.overrides)) for level in evaluation.ranks[row.name]
            },
            "config": model.config.model_dump(mode="json"),
            "protocol": evaluation.protocol,
            "sessions": len(evaluation.sessions),
            "cost": cost | {"sessions_per_second": round(len(evaluation.sessions) / seconds, 1)},
            "collapse": model.metrics.get("collapse") or {},
            "calibration": self._calibration(model),
            "weights": model.metrics.get("weights") or {},
        }
        self.folder.write_cell(row.name, seed, content)

    def _is_judged(self, task: Task) -> bool:
        cell = self.folder.read_cell(task.row.name, task.seed)
        return cell is not None and cell["failed"] is None

    def _calibration(self, model: Recommender) -> dict[str, Any]:
        """Hold probabilities against what came in the test split; nothing for models that give other scores."""
        if not model.gives_probabilities:
            return {}
        sessions = np.asarray(self.dataset.sessions("test"), dtype=np.int64)
        by_level = calibration(model, self.dataset, sessions, "keep" if self.protocol == "paper" else "mask")
        return {level: of.to_dict() for level, of in by_level.items()}

    def config(self, task: Task) -> Section:
        """Make the configuration of a task's model."""
        if task.by_level:
            return task.row.config_by_level(task.by_level, task.seed)
        last_interval = "keep" if self.protocol == "paper" else "mask"
        return task.row.config(task.overrides, task.seed, last_interval)

    def _made(self, task: Task) -> Recommender:
        model = task.row.make(self.config(task))
        if self.protocol == "paper":
            model.retrieval = self.candidate_vectors
        return model

    def _fitted(self, task: Task, out: Path) -> tuple[Recommender, dict[str, Any]]:
        """Fit a model into its folder, or open the one that is there; with what fitting cost."""
        config = self.config(task)
        kept = out / "cost.json"
        if (out / CONFIG).is_file() and kept.is_file():
            model = load(out)
            if model.config == config and model.dataset_fingerprint == self.dataset.fingerprint:
                return model, read_json(kept)
        kept.unlink(missing_ok=True)
        model, speed = self._made(task), _Speed()
        started = time.perf_counter()
        # What a killed run left half-trained goes on; what is finished but not accounted for begins anew.
        fit(model, self.dataset, out, overwrite=(out / CONFIG).is_file(), observer=speed)
        cost = {
            "fit_seconds": round(time.perf_counter() - started, 3),
            "events_per_second": round(float(np.mean(speed.rates))) if speed.rates else None,
            "parameters": model.metrics.get("parameters") or sum(t.numel() for t in model.tensors().values()),
            "epochs": model.metrics.get("epochs"),
        }
        write_json(kept, cost)
        return model, cost

    def _evaluated(
        self,
        model: Recommender,
        dataset: Dataset,
        split: EvaluationSplit,
        most_sessions: int | None = None,
        choice: Choice = DEFAULT,
    ) -> Evaluation:
        paper = self.protocol == "paper"
        return evaluate(
            model,
            dataset,
            split=split,
            rows=(),
            candidates="neighbors" if paper else "full",
            last_interval="keep" if paper else "mask",
            vectors=self.candidate_vectors(dataset) if paper else None,
            most_sessions=most_sessions,
            metrics=choice.metrics,
            at=choice.at,
        )

    def candidate_vectors(self, dataset: Dataset) -> torch.Tensor:
        """Vectors whose neighbours are the paper's candidates, of the training split of a dataset or of a fold of it.

        They are the same for every row, and are kept in the folder of the run.
        """
        if dataset.fingerprint not in self._vectors:
            path = self.folder.candidate_vectors(dataset.fingerprint)
            wanted = f"{dataset.fingerprint} {_CANDIDATE_VECTORS}"
            vectors = load_vectors(path, wanted)
            if vectors is None:
                vectors = {"item": word2vec_vectors(dataset, "item", **_CANDIDATE_VECTORS)}
                save_vectors(path, vectors, wanted)
            self._vectors[dataset.fingerprint] = vectors["item"]
        return self._vectors[dataset.fingerprint]


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """Collect what a table says of a dataset."""
    counts = dataset.manifest.counts
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    return {
        "path": str(dataset.path),
        "fingerprint": dataset.fingerprint,
        "levels": dataset.levels,
        "sessions": counts.sessions,
        "users": dataset.n_users,
        "items": counts.items,
        "categories": list(counts.categories),
        "events": counts.events,
        "target_repeat_share": counts.target_repeat_share,
        **{f"{split}_sessions": len(dataset.sessions(split)) for split in splits},
    }


def forget_trials(folder: RunFolder, row: str, trials: int) -> None:
    """Remove the models of settings that were not chosen."""
    for number in range(trials):
        shutil.rmtree(folder.trial_model(row, number), ignore_errors=True)


def _with_parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
