"""Whether a dataset is the one that a model was trained on, or one that grew out of it."""

from __future__ import annotations

from typing import Protocol

from hup.data.dataset import Dataset
from hup.errors import HupError


class Fitted(Protocol):
    """What of a model is looked at."""

    name: str


def is_of_earlier_state(model: Fitted, dataset: Dataset) -> bool:
    """Tell whether a model was trained on a dataset that this one was appended to; codes are the same in both.

    Raises
    ------
    HupError
        If it was trained on any other dataset: codes mean something within one dataset and what it grew into only.
    """
    trained_on = getattr(model, "dataset_fingerprint", None)
    if trained_on is None or trained_on == dataset.fingerprint:
        return False
    if trained_on not in dataset.manifest.lineage:
        raise HupError(
            f"{model.name} was trained on another dataset (fingerprint {trained_on[:12]}) than {dataset.path} "
            f"({dataset.fingerprint[:12]}): its item codes would not match. Take the dataset that it was trained on, "
            f"or one that `hup prepare --append` made of that, or train on this one."
        )
    return True
