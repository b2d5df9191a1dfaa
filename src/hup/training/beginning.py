"""What a training run begins with: its sessions, and the model before, if there is one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hup.config import Sessions
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.evaluation.protocol import refuse_seen_sessions
from hup.recommender.base import Recommender


def training_sessions(dataset: Dataset, config: Sessions) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Choose sessions of the training split.

    Returns
    -------
    sessions : ndarray
        Session indices.
    notes : list of str
        What a person should know about the choice.

    Raises
    ------
    HupError
        If no session is left.
    """
    sessions = np.asarray(dataset.sessions("train"), dtype=np.int64)
    notes = []
    lengths = np.diff(dataset.offsets)[sessions]
    long_enough = sessions[lengths >= config.min_events]
    if not len(sessions) or not len(long_enough):
        raise HupError(
            f"No training session is left: {len(sessions)} in the training split of {dataset.path}, none with "
            f"{config.min_events} events or more. Lower sessions.min_events."
        )
    if len(long_enough) < len(sessions):
        notes.append(
            f"{len(sessions) - len(long_enough)} training sessions have under {config.min_events} events: left out."
        )
    frequent = _without_rare_items(dataset, long_enough, config.min_item_count)
    if not len(frequent):
        # The authors counted in a log of 10^8 events; in a small one such a filter has no sense left.
        notes.append(
            f"Every training session has an item with under {config.min_item_count} training events; "
            f"sessions.min_item_count is not applied."
        )
        frequent = long_enough
    elif len(frequent) < len(long_enough):
        notes.append(
            f"{len(long_enough) - len(frequent)} training sessions have an item with under {config.min_item_count} "
            f"training events: left out."
        )
    return frequent, notes


def _without_rare_items(dataset: Dataset, sessions: npt.NDArray[np.int64], min_count: int) -> npt.NDArray[np.int64]:
    if min_count <= 1:
        return sessions
    train = dataset.sessions("train")
    events = dataset.item[dataset.offsets[train.start] : dataset.offsets[train.stop]]
    rare = np.bincount(events, minlength=dataset.n_train_items) < min_count
    # Training sessions stand side by side and none is empty, so reduceat over their starts is a reduction by session.
    starts = dataset.offsets[train.start : train.stop] - dataset.offsets[train.start]
    has_rare = np.logical_or.reduceat(rare[events], starts)
    return sessions[~has_rare[sessions - train.start]]


def digest(model: Recommender) -> str:
    """Tell models apart by what they have learned."""
    digested = hashlib.sha256()
    for name, tensor in sorted(model.tensors().items()):
        digested.update(name.encode())
        digested.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digested.hexdigest()[:16]


def refuse_learned(init: Recommender, dataset: Dataset, note: Callable[[str], None]) -> None:
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
    note(
        f"{dataset.path} was not appended to the dataset of the model to begin from, so items and categories are told "
        f"by name. Whether that model has seen sessions of the validation or test split cannot be checked."
    )
