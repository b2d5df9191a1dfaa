"""Fit any recommender into a model folder."""

from __future__ import annotations

from pathlib import Path

from hup import processes
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.recommender.base import Recommender
from hup.training.folder import TrainingFolder
from hup.training.loop import Observer, train
from hup.training.trained import TrainedRecommender


def fit(
    model: Recommender,
    dataset: Dataset,
    out: str | Path,
    *,
    init: Recommender | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> None:
    """Fit a model and keep its folder; models without epochs are simply fitted and saved.

    Parameters
    ----------
    model : Recommender
    dataset : Dataset
    out : path
        Model folder.
    init, resume, overwrite, observer
        As for :meth:`TrainedRecommender.fit`; a model without epochs has nothing to resume and begins anew.

    Raises
    ------
    HupError
        If nothing can be learned, or ``out`` holds something else.
    """
    if isinstance(model, TrainedRecommender):
        if init is not None and not isinstance(init, TrainedRecommender):
            raise HupError(f"The model to begin from is of kind {init.kind}, expected {model.kind}.")
        train(model, dataset, out=Path(out), init=init, resume=resume, overwrite=overwrite, observer=observer)
        return
    if processes.size() > 1:
        raise HupError(f"A model of kind {model.kind} is not trained on several processes. Start it without torchrun.")
    if init is not None:
        raise HupError(f"A model of kind {model.kind} is counted anew each time; it cannot begin from another one.")
    if resume and overwrite:
        raise HupError("resume and overwrite exclude each other: one goes on with the run, the other starts anew.")
    folder = TrainingFolder(Path(out))
    with folder.held():
        if folder.holds_model and not (resume or overwrite):
            raise HupError(f"{folder.path} holds a finished model. Add --overwrite to replace it.")
        model.fit(dataset)
        folder.forget_run()
        model.save_pretrained(folder.path)
