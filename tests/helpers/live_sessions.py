"""Sessions of a dataset as a shop hands them over, event by event."""

from __future__ import annotations

import math

import hup
from hup.sessions.events import Event


def live_events(dataset: hup.Dataset, session: int) -> list[Event]:
    """One session as a log would hand it over, with the times that the log states."""
    tree, names = dataset.taxonomy, dataset.item_names
    first, end = dataset.offsets[session], dataset.offsets[session + 1]
    events, clock = [], 0.0
    for at in range(first, end):
        item = int(dataset.item[at])
        events.append(
            Event(
                item=names[item],
                behavior=dataset.behaviors[dataset.behavior[at]].code,
                timestamp=clock,
                categories=tree.path_names(dataset.levels, int(tree.paths[item, -1])),
                interval=_known(dataset.interval[at]),
                dwell=_known(dataset.dwell[at]),
            )
        )
        clock += _known(dataset.interval[at]) or 0.0
    return events


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
