"""Sessions of named events as a batch of codes: what every model reads when it is asked live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hup.data.taxonomy import extended_path
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.events import Event, between, dwell_until, elapsed, interval_until, intervals

Path = tuple[int, ...]
#: Codes given to category paths that the vocabulary lacks.
UnknownPaths = dict[tuple[str, ...], int]


@dataclass(frozen=True)
class Seen:
    """An item of a live session: its code, beyond the vocabulary if unknown, and its path in codes and in names."""

    code: int
    path: Path
    names: tuple[str, ...]


class SessionReader:
    """Turns named events into codes of a vocabulary.

    Parameters
    ----------
    vocabulary : Vocabulary
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def items(self, session: Iterable[Event]) -> dict[str, Seen]:
        """Every item of a session by name."""
        items: dict[str, Seen] = {}
        unknown: UnknownPaths = {}
        for event in session:
            items, unknown = self.meet(items, unknown, event)
        return items

    def histories(self, sessions: Iterable[Sequence[Event]], now: Sequence[float | None] | None = None) -> Histories:
        """Lay out whole sessions, none of them empty, as a batch; the twin of folding them event by event."""
        rows: dict[str, list[Any]] = {"item": [], "path": [], "behavior": [], "interval": [], "dwell": []}
        lengths = []
        for number, session in enumerate(sessions):
            items: dict[str, Seen] = {}
            unknown: UnknownPaths = {}
            moment = None if now is None else now[number]
            for event in session:
                items, unknown = self.meet(items, unknown, event)
            for run, following in _item_runs(session):
                last = between(run[-1], moment) if following is None else interval_until(run[-1], following)
                dwell = elapsed(run, moment) if following is None else dwell_until(run, following)
                rows["interval"] += intervals(run, last)
                rows["dwell"] += [dwell] * len(run)
            rows["item"] += [items[event.item].code for event in session]
            rows["path"] += [items[event.item].path for event in session]
            rows["behavior"] += [self.behavior(event) for event in session]
            lengths.append(len(session))
        times = {key: np.array(rows[key], dtype=np.float64) / 1000 for key in ("interval", "dwell")}
        for value in times.values():
            value[value < 0] = np.nan
        return Histories(
            offsets=torch.tensor([0, *np.cumsum(lengths).tolist()]),
            item=torch.tensor(rows["item"]),
            categories=torch.tensor(rows["path"]),
            behavior=torch.tensor(rows["behavior"]),
            interval=torch.from_numpy(times["interval"].astype(np.float32)),
            dwell=torch.from_numpy(times["dwell"].astype(np.float32)),
        )

    def meet(self, items: dict[str, Seen], unknown: UnknownPaths, event: Event) -> tuple[dict[str, Seen], UnknownPaths]:
        """Make sure that the event's item is known, with its identity and path; what was given is not changed."""
        if event.item in items:
            return items, unknown
        known = self.vocabulary.item_codes.get(event.item)
        if known is not None:
            path = tuple(self.vocabulary.paths[known].tolist())
            seen = Seen(known, path, self.vocabulary.category_path(len(path), path[-1]))
        else:
            n_unknown = sum(other.code >= len(self.vocabulary.items) for other in items.values())
            names = extended_path(event.categories, self.vocabulary.levels)  # as a log's items get theirs
            path, unknown = self._path(names, unknown)
            seen = Seen(len(self.vocabulary.items) + n_unknown, path, names)
        return {**items, event.item: seen}, unknown

    def _path(self, names: tuple[str, ...], unknown: UnknownPaths) -> tuple[Path, UnknownPaths]:
        """Codes of a path of K names; unknown categories get codes beyond the vocabulary."""
        unknown = dict(unknown)
        codes = []
        for k in range(1, self.vocabulary.levels + 1):
            part = names[:k]
            if part in self.vocabulary.category_codes:
                codes.append(self.vocabulary.category_codes[part])
            else:
                here = sum(len(other) == k for other in unknown)
                codes.append(unknown.setdefault(part, len(self.vocabulary.categories[k - 1]) + here))
        return tuple(codes), unknown

    def behavior(self, event: Event) -> int:
        """Code of the event's behavior, -1 if unknown."""
        return self.vocabulary.behavior_codes.get(event.behavior, -1)


def _item_runs(session: Sequence[Event]) -> Iterable[tuple[Sequence[Event], Event | None]]:
    """Item runs of a session, each with the event that follows it."""
    start = 0
    for end in range(1, len(session) + 1):
        if end == len(session) or session[end].item != session[start].item:
            yield session[start:end], session[end] if end < len(session) else None
            start = end
