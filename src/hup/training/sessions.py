"""Which training sessions a configuration uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hup.config import Sessions
from hup.data.dataset import Dataset
from hup.errors import HupError


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
