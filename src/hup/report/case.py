"""The session of a case study: its events, and where the history ends and the ground truth begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.sessions.events import Event, events_from_jd, events_from_jsonl, in_time_order

#: Bounds of a case that fits a page and still shows something, as the paper's does (12 events, 7 items, 6 categories).
_EVENTS, _ITEMS, _CATEGORIES = (10, 16), 5, 3


@dataclass(frozen=True)
class Case:
    """One whole session; the models see what comes before its last item run.

    Attributes
    ----------
    events : tuple of Event
        Oldest first, of two item runs at least.
    source : str
        Where it came from, for people.
    fingerprint : str or None
        Of the dataset that it is from.
    user, index : int or None
        User code and session index in that dataset.
    is_training : bool
        Whether the dataset's models have learned from it.
    """

    events: tuple[Event, ...]
    source: str
    fingerprint: str | None = None
    user: int | None = None
    index: int | None = None
    is_training: bool = False

    def __post_init__(self) -> None:
        if not self.events:
            raise HupError(f"{self.source}: the session is empty; there is nothing to explain.")
        if all(event.item == self.events[0].item for event in self.events):
            raise HupError(
                f"{self.source}: the session has a single item run ({self.events[0].item}). Its last run is what is to "
                f"be found, so there must be something before it."
            )

    @property
    def cut(self) -> int:
        """Number of events before the last item run."""
        target = self.events[-1].item
        return next(n for n in range(len(self.events), 0, -1) if self.events[n - 1].item != target)

    @property
    def history(self) -> tuple[Event, ...]:
        """What models see."""
        return self.events[: self.cut]


def case_from_text(text: str, source: str, format: Literal["jd", "jsonl"] = "jd", line: int | None = None) -> Case:
    """Read a session from text.

    Parameters
    ----------
    text : str
        One JD line, or events as JSON lines; a JD log of several lines where ``line`` is given.
    source : str
        Its name; errors begin with it.
    format : {"jd", "jsonl"}
    line : int, optional
        Number of the line of a JD log, the first is 1.

    Raises
    ------
    HupError
        If it does not read, or has fewer than two item runs.
    """
    if line is None:
        read = events_from_jd if format == "jd" else events_from_jsonl
        return Case(tuple(read(text, source)), source)
    if format != "jd":
        raise HupError(f"{source}: a line can be chosen of a JD log only; JSON lines hold one session.")
    lines = text.split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if not 1 <= line <= len(lines):
        raise HupError(f"{source} has no line {line}; it has {len(lines)}.")
    source = f"{source}, line {line}"
    return Case(tuple(events_from_jd(lines[line - 1], source)), source)


def case_from_events(events: Sequence[Event], source: str = "session") -> Case:
    """Take events as they are, oldest first."""
    return Case(tuple(in_time_order(events, source)), source)


def case_from_dataset(dataset: Dataset, index: int) -> Case:
    """Take a session of a dataset, with the intervals and dwells that were logged.

    Parameters
    ----------
    dataset : Dataset
    index : int
        Its number in the dataset.

    Raises
    ------
    HupError
        If there is no such session.
    """
    test = dataset.sessions("test")
    if not 0 <= index < len(dataset):
        raise HupError(
            f"{dataset.path} has no session {index}: it has 0 to {len(dataset) - 1}, and those of the test split are "
            f"{test.start} to {test.stop - 1}."
        )
    span = slice(int(dataset.offsets[index]), int(dataset.offsets[index + 1]))
    names, tree, behaviors = dataset.item_names, dataset.taxonomy, dataset.behaviors
    events = []
    for item, behavior, interval, dwell in zip(
        dataset.item[span].tolist(),
        dataset.behavior[span].tolist(),
        dataset.interval[span].tolist(),
        dataset.dwell[span].tolist(),
        strict=True,
    ):
        path = tuple(tree.names[k][code] for k, code in enumerate(tree.paths[item].tolist()))
        times = {"interval": interval, "dwell": dwell}
        known = {name: value for name, value in times.items() if not math.isnan(value) and value >= 0}
        events.append(Event(names[item], behaviors[behavior].code, None, path, **known))
    return Case(
        tuple(events),
        f"{dataset.path.name}, session {index} ({dataset.session_name(index)})",
        fingerprint=dataset.fingerprint,
        user=int(dataset.user_codes[index]),
        index=index,
        is_training=index in dataset.sessions("train"),
    )


def choose_case(dataset: Dataset) -> Case:
    """Take the first test session that fits a page, without a look at what any model makes of it.

    It has 10 to 16 events on 5 items and 3 finest categories at least; where none has, the first with most items among
    those of at most 16 events, else the shortest.
    """
    test = dataset.sessions("test")
    if not len(test):
        raise HupError(f"{dataset.path} has no test sessions to show a case of.")
    lengths = np.diff(dataset.offsets)[test.start : test.stop]
    most_items, best = -1, test.start + int(np.argmin(lengths))
    for index in (np.flatnonzero(lengths <= _EVENTS[1]) + test.start).tolist():
        items = dataset.item[dataset.offsets[index] : dataset.offsets[index + 1]]
        n_items = len(np.unique(items))
        n_categories = len(np.unique(dataset.taxonomy.paths[items, -1]))
        if len(items) >= _EVENTS[0] and n_items >= _ITEMS and n_categories >= _CATEGORIES:
            return case_from_dataset(dataset, index)
        if n_items > most_items:
            most_items, best = n_items, index
    return case_from_dataset(dataset, best)
