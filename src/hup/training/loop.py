"""The training loop: batches, loss, validation after every epoch, early stop, checkpoints, collapse alarm."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hup import processes
from hup.data.dataset import Dataset, refuse_path
from hup.errors import HupError
from hup.evaluation.metrics import cutoff, mean_gains, recall, reciprocal_rank
from hup.evaluation.protocol import evaluate
from hup.nn.devices import chosen
from hup.nn.tables import spread, unshared
from hup.sessions.batches import batches
from hup.training import together
from hup.training.beginning import digest, refuse_learned, training_sessions
from hup.training.checkpoint import WHOLE, Checkpoint, TrainingState, load_vectors, save_vectors
from hup.training.folder import TrainingFolder
from hup.training.step import descend

if TYPE_CHECKING:
    from hup.training.trained import TrainedRecommender


class Observer:
    """Told of each event of a training run; does nothing. Override what is of interest."""

    def note(self, message: str) -> None:
        """Say something that a person should know."""

    def epoch_begins(self, epoch: int, epochs: int, sessions: int) -> None:
        """Begin epoch ``epoch`` (from 1) of at most ``epochs``, over ``sessions`` sessions."""

    def batch_done(self, sessions: int, loss: float) -> None:
        """Finish a batch of ``sessions`` with a loss."""

    def epoch_done(self, record: dict[str, Any]) -> None:
        """Finish an epoch; the record is the line of the log."""


def train(
    model: TrainedRecommender,
    dataset: Dataset,
    *,
    out: Path | None = None,
    init: TrainedRecommender | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> None:
    """Train a model in place.

    The same configuration (seed included), dataset, number of threads and number of processes give the same weights,
    also when the run is killed and goes on from its last checkpoint. Several processes, started by torchrun, train
    together; only the first one has the folder and the observer.

    Parameters
    ----------
    model : TrainedRecommender
        Its configuration decides all but the data.
    dataset : Dataset
        Training split to learn from; validation split, where there is one, to choose the epoch.
    out : Path, optional
        Model folder. An unfinished run of the same configuration and dataset in it is continued.
    init : TrainedRecommender, optional
        Model to begin from instead of random weights.
    resume : bool
        Also continue a finished run, up to a larger ``training.epochs``.
    overwrite : bool
        Start anew, whatever is in ``out``.
    observer : Observer, optional

    Raises
    ------
    HupError
        If no training session is left, the loss is not a number, ``out`` holds something else, or ``init`` does not fit
        or has learned from sessions that the new model is to be judged by.
    """
    if observer is None or not processes.is_first():
        observer = Observer()
    config = model.config
    refuse_path(dataset)
    sessions, notes = training_sessions(dataset, config.sessions)
    for note in notes:
        observer.note(note)
    state = TrainingState(config.model_dump(mode="json"), dataset.fingerprint, "" if init is None else digest(init))
    if init is not None:
        model.check_earlier(init, dataset)
        refuse_learned(init, dataset, observer.note)
    together.check(model, dataset)
    # Of several processes the first one alone has the folder.
    folder = None if out is None or not processes.is_first() else TrainingFolder(out)
    with nullcontext() if folder is None else folder.held():
        earlier = None
        if folder is not None:
            earlier = folder.prepare(state, config, resume=resume, overwrite=overwrite, note=observer.note)
        if out is not None:
            earlier = together.checkpoint_told(earlier)
        if out is not None and earlier is not None and earlier.is_finished(config.training.epochs):
            observer.note(f"Nothing to do: {out} is finished after {len(earlier.state.history)} epochs.")
            _adopt(model, out)
            return
        _go_through(_Run(model, dataset, sessions, state, folder, observer, init), earlier)


def _go_through(run: _Run, earlier: Checkpoint | None) -> None:
    with _deterministic():
        run.start(earlier)
        while not run.finished:
            run.epoch()
        run.finish()


def _adopt(model: TrainedRecommender, folder: Path) -> None:
    finished = type(model).from_pretrained(folder)
    finished.name = model.name
    model.__dict__.update(finished.__dict__)


class _Run:
    """One training run: what the epochs share."""

    def __init__(
        self,
        model: TrainedRecommender,
        dataset: Dataset,
        sessions: npt.NDArray[np.int64],
        state: TrainingState,
        folder: TrainingFolder | None,
        observer: Observer,
        init: TrainedRecommender | None,
    ) -> None:
        self.init = init
        self.model, self.dataset, self.sessions = model, dataset, sessions
        self.state, self.folder, self.observer = state, folder, observer
        self.config = model.config
        self.device = chosen(self.config.training.device)
        self.best: dict[str, Tensor] = {}
        self.alarmed: set[str] = set()

    def start(self, earlier: Checkpoint | None) -> None:
        self.model.initialise(self.dataset, None if earlier else processes.tensors_told(self._vectors))
        if self.init is not None and earlier is None:
            self.model.begin_from(self.init)
        processes.copy_first(unshared(self.model.network).values())
        self.model.network.to(self.device)
        _, rate = self.config.training.grown(len(self.sessions))
        trainable = [
            {"params": parameters, "lr": factor * rate} for factor, parameters in self.model.parameter_groups()
        ]
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(trainable, lr=rate, fused=True)
            if self.config.training.optimizer == "adam"
            else torch.optim.RMSprop(trainable, lr=rate, alpha=0.9, eps=1e-7)
        )
        self.optimizer.register_step_post_hook(_tell_of_change)
        if earlier is not None:
            self.state = replace(earlier.state, config=self.state.config)
            self.best = earlier.restore(self.model.network, self.optimizer)
            self.observer.note(f"Going on after epoch {len(self.state.history)}.")
        if self.folder is not None:
            self.folder.write_log(self.state.history)

    def _vectors(self) -> dict[str, Tensor]:
        """Skip-gram vectors; a run that was killed before its first checkpoint finds those it has fitted."""
        if self.folder is None:
            return self._fitted_vectors()
        options = self.config.model_dump(mode="json").get("embeddings", {})
        fitted_for = (
            f"{self.dataset.fingerprint} {self.config.training.seed} {json.dumps(options)} {self.state.began_from}"
        )
        vectors = load_vectors(self.folder.vectors, fitted_for)
        if vectors is None:
            vectors = self._fitted_vectors()
            save_vectors(self.folder.vectors, vectors, fitted_for)
        return vectors

    def _fitted_vectors(self) -> dict[str, Tensor]:
        if self.init is None:
            return self.model.first_vectors(self.dataset)
        return self.model.first_vectors_from(self.init, self.dataset)

    @property
    def finished(self) -> bool:
        return self.state.is_over(self.config.training.epochs)

    def epoch(self) -> None:
        """Train one epoch, validate, log, and write the checkpoints."""
        number = len(self.state.history) + 1
        self.observer.epoch_begins(number, self.config.training.epochs, len(self.sessions))
        started = time.perf_counter()
        together.draw_apart(self.config.training.seed, number)
        self.model.begin_epoch()
        losses, events = self._train(number)
        seconds = time.perf_counter() - started
        self.model.end_training()
        if processes.is_first():
            self.model.tune(self.dataset)
        processes.copy_first(unshared(self.model.network).values())
        record: dict[str, Any] = {"epoch": number, "loss": losses, "collapse": self._collapse()}
        record |= self._validate()
        record |= {"seconds": round(seconds, 3), "events_per_second": round(events / seconds)}
        record = processes.told(lambda: record)
        self.state.history.append(record)
        weights, parts = unshared(self.model.network), self._parts()
        gains = record.get("gains", {}) if WHOLE not in parts else {WHOLE: record.get("selection")}
        better = self.state.take({part: gain for part, gain in gains.items() if gain is not None}, parts)
        self.best |= {name: weights[name].detach().clone() for part in better for name in parts[part]}
        self.state.stopped |= self.config.training.has_waited(self.state.waiting, len(self.sessions))
        self.state.saved = False
        if self.folder is not None:
            self.folder.keep(Checkpoint.of(weights, self.best, self.optimizer, self.state))
            self.folder.append_log(record)
        self.observer.epoch_done(record)

    def _parts(self) -> dict[str, list[str]]:
        """Name the weights of everything that has an epoch of its own: the model, or each of its levels."""
        names = list(unshared(self.model.network))
        if not self.model.levels_independent:
            return {WHOLE: names}
        parts = {str(level): [name for name in names if name.startswith(f"{level}.")] for level in self.model.levels}
        assert sum(map(len, parts.values())) == len(names), f"{self.model.kind}: some weights are of no level"
        return parts

    def finish(self) -> None:
        """Keep the best epoch's weights, and write the model."""
        network = self.model.network
        with torch.no_grad():
            for name, tensor in unshared(network).items():
                tensor.copy_(self.best[name])
        network.eval()
        self.model.end_training()
        if processes.is_first():
            self.model.conclude(self.dataset, self.observer.note)
        processes.copy_first(unshared(network).values())
        network.to("cpu")  # where live answers are quick
        history, best_epoch = self.state.history, max(self.state.best_epochs.values())
        self.model.metrics = {
            "best_epoch": best_epoch,
            "best_epochs": {part: epoch for part, epoch in self.state.best_epochs.items() if part != WHOLE},
            "epochs": len(history),
            "stopped_early": self.state.stopped,
            "training_sessions": len(self.sessions),
            "parameters": sum(p.numel() for p in network.parameters()),
            "trainable_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
            "loss": self.state.kept("loss"),
            "collapse": history[best_epoch - 1]["collapse"],
            "validation": self.state.kept("validation"),
            "gains": self.state.kept("gains"),
            "validation_sessions": history[best_epoch - 1].get("validated", 0),
        }
        if self.state.began_from:
            self.model.metrics["began_from"] = self.state.began_from
        if self.folder is not None:
            self.folder.forget_evaluations()
            self.model.save_pretrained(self.folder.path)
            self.folder.mark_saved()

    def _train(self, number: int) -> tuple[dict[str, float | None], int]:
        """Go over the training sessions once; mean loss by level (None: no target), and the number of events seen."""
        network = self.model.network.train()
        options, weights = self.config.sessions, self.model.level_weights()
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        n_events = 0
        for histories, targets in batches(
            self.dataset,
            self.sessions,
            self.config.training.grown(len(self.sessions))[0],
            last_interval=options.last_interval,
            max_events=options.max_events,
            shuffle_seed=(self.config.training.seed, number),
        ):
            self.optimizer.zero_grad(set_to_none=True)
            losses = descend(self.model, self.dataset, histories, targets)
            total = sum(weights[level] * loss.value for level, loss in losses.items())
            if not math.isfinite(total):
                raise HupError(f"The loss is {total} in epoch {number}. Lower training.learning_rate.")
            self.optimizer.step()
            for level, loss in losses.items():
                totals[level] = totals.get(level, 0.0) + loss.value * loss.count
                counts[level] = counts.get(level, 0) + loss.count
            n_events += histories.item.numel()
            self.observer.batch_done(len(histories), total)
        network.eval()
        means = {level: total / counts[level] if counts[level] else None for level, total in totals.items()}
        if number == 1:
            for level in [level for level, mean in means.items() if mean is None]:
                self.observer.note(f"No training session has a target with a category: level {level} learns nothing.")
        return means, n_events

    def _collapse(self) -> dict[str, dict[str, float]]:
        """Spread of every table that the model wants watched."""
        measures = {}
        for name, table in self.model.watched().items():
            if not bool(torch.isfinite(table.weight).all()):
                raise HupError(f"The vectors of {name} are no longer numbers. Lower training.learning_rate.")
            measure = spread(table.weight)
            measures[name] = {
                "mean_cosine": round(measure.mean_cosine, 6),
                "effective_rank": round(measure.effective_rank, 3),
            }
            # Vectors that are only read may be alike; those that profiles are compared with may not.
            if measure.collapsed and table.remedy is not None and name not in self.alarmed:
                self.alarmed.add(name)
                self.observer.note(
                    f"Collapse: the target vectors of level {name} are nearly one (mean cosine "
                    f"{measure.mean_cosine:.3f}, effective rank {measure.effective_rank:.2f}), so they can rank "
                    f"nothing. {table.remedy}"
                )
        return measures

    def _validate(self) -> dict[str, Any]:
        """Metrics on the validation split, gains by level, and their mean, by which the epoch is chosen."""
        if not len(self.dataset.sessions("validation")):
            return {}
        retrieval = self.model.retrieval
        result = evaluate(
            self.model,
            self.dataset,
            split="validation",
            candidates="full" if retrieval is None else "neighbors",
            vectors=None if retrieval is None else retrieval(self.dataset),
            last_interval=self.config.sessions.last_interval,
            rows=(),
            most_sessions=self.config.training.validation_sessions or None,
        )
        metrics: dict[str, dict[str, float | None]] = {}
        for level, every_rank in result.ranks[self.model.name].items():
            k, ranks = cutoff(level), every_rank[~np.isnan(every_rank)]
            metrics[level] = {
                f"recall@{k}": float(recall(ranks, k).mean()) if len(ranks) else None,
                f"mrr@{k}": float(reciprocal_rank(ranks, k).mean()) if len(ranks) else None,
            }
        gains = mean_gains(result.ranks[self.model.name])
        selection = float(np.mean(list(gains.values()))) if gains else None
        return {"validation": metrics, "gains": gains, "selection": selection, "validated": len(result.sessions)}


def _tell_of_change(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Count a step as a change of the weights: Adam in one pass does not, and sums of vectors are kept until one."""
    torch.autograd.graph.increment_version([one for group in optimizer.param_groups for one in group["params"]])


@contextmanager
def _deterministic() -> Iterator[None]:
    """Ask for algorithms whose result does not depend on how threads interleave, for the length of a block."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Every buffer is written before it is read, so filling it first would only take time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
