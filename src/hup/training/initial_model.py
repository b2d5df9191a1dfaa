"""The model that a training run begins from: what tells it from others, and whether it has seen too much."""

from __future__ import annotations

import hashlib

from hup.data.dataset import Dataset
from hup.evaluation.candidates import refuse_seen_sessions
from hup.recommender.base import Recommender
from hup.training.observer import Observer


def digest(model: Recommender) -> str:
    """Tell models apart by what they have learned."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.tensors().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def refuse_learned(init: Recommender, dataset: Dataset, observer: Observer) -> None:
    """Refuse a model to begin from that has learned from sessions by which the new one is to be judged.

    Raises
    ------
    HupError
        If it has; of a model of a dataset that this one did not grow out of, only a note can be made.
    """
    trained_on = init.dataset_fingerprint
    if trained_on == dataset.fingerprint:
        return
    if trained_on in dataset.manifest.lineage:
        for split in ("validation", "test"):
            refuse_seen_sessions(init, dataset, split)
        return
    observer.note(
        f"{dataset.path} was not appended to the dataset of the model to begin from, so items and categories are told "
        f"by name. Whether that model has seen sessions of the validation or test split cannot be checked."
    )
