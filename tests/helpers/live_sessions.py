"""Sessions of a dataset as a shop hands them over, event by event."""

from __future__ import annotations

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
                interval=float(dataset.interval[at]),
                dwell=float(dataset.dwell[at]),
            )
        )
        clock += float(dataset.interval[at])
    return events
