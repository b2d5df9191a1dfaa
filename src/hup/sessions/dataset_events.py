"""Sessions of a dataset as events with names, as a shop would hand them over live."""

from __future__ import annotations

import math

import numpy as np

from hup.data.dataset import Dataset
from hup.sessions.events import Event


def dataset_events(dataset: Dataset, session: int) -> list[Event]:
    """Give the events of a session, oldest first.

    Their timestamps are seconds since 1970, as long as the times between them are known; where the log has no times of
    day they count from the session's beginning.

    Parameters
    ----------
    dataset : Dataset
    session : int
        Index of the session.
    """
    first, end = int(dataset.offsets[session]), int(dataset.offsets[session + 1])
    tree, times = dataset.taxonomy, dataset.session_times(session)
    began = 0.0 if times is None else times[0] / 1000
    clock = began + np.concatenate([[0], np.cumsum(dataset.interval[first : end - 1], dtype=np.float64)])
    return [
        Event(
            item=str(dataset.item_name_array[item].as_py()),
            behavior=dataset.behaviors[dataset.behavior[at]].code,
            timestamp=_known(moment),
            categories=tree.path_names(dataset.levels, int(tree.paths[item, -1])),
            interval=_known(dataset.interval[at]),
            dwell=_known(dataset.dwell[at]),
        )
        for at, moment, item in zip(range(first, end), clock, dataset.item[first:end].tolist(), strict=True)
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
