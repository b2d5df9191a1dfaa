"""A session as the model sees it: its events, the runs of every level with their shares, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from hup.errors import HupError
from hup.recommender.attention import AttentionColumn, HasAttention
from hup.recommender.vocabulary import Seen, SessionReader
from hup.serving.answers import TOP, Answer, Answers, Question
from hup.serving.served import Asked
from hup.sessions.events import Event
from hup.sessions.levels import ITEM, MICRO, Level

Key = tuple[str, ...]


def explanation(answers: Answers, asked: Asked, events: Sequence[Event], now: float | None) -> Answer:
    """Lay out a session.

    Parameters
    ----------
    answers : Answers
    asked : ProfileState or sequence of Event
        What recommendations are made of.
    events : sequence of Event
        Of the session, the latest ones that are kept.
    now : float, optional

    Returns
    -------
    dict
        ``began``, ``latest``, ``events``, and ``levels``, bottom first.
    """
    model = answers.served.model
    items = SessionReader(model.vocabulary).items(events)
    shares = _shares(answers, events, now)
    finest_first = [level for level in model.levels if level != ITEM]
    levels = []
    for level in (MICRO, ITEM, *finest_first):
        runs = list(_runs(events, level, items))
        told = [_run(events, level, items, first, last) for first, last in runs]
        for run, share in zip(told, _share_of(runs, shares.get(level)), strict=True):
            run["share"] = share
        recommended = _recommended(answers, asked, level, now)
        levels.append({"level": str(level), "runs": told, "recommended": recommended})
    return {
        "began": events[0].timestamp if events else None,
        "latest": events[-1].timestamp if events else None,
        "events": [_event(answers, event) for event in events],
        "levels": levels,
    }


def _recommended(answers: Answers, asked: Asked, level: str, now: float | None) -> list[Answer]:
    if level == MICRO:
        return []
    found = answers.recommendations(asked, (), Question(str(level), TOP, now=now))
    ranked: list[Answer] = found["ranked"]
    return ranked


def _event(answers: Answers, event: Event) -> Answer:
    told: Answer = {"item": event.item, "behavior": event.behavior, "timestamp": event.timestamp}
    title = answers.catalog.title(event.item)
    return told if title is None else {**told, "name": title}


def _runs(events: Sequence[Event], level: str, items: dict[str, Seen]) -> Iterator[tuple[int, int]]:
    """Give first and last event of every run of a level; at the micro level an event is one."""
    if level == MICRO:
        yield from ((place, place) for place in range(len(events)))
        return
    key = _key(level, items)
    for _, group in groupby(range(len(events)), key=lambda place: key(events[place])):
        places = list(group)
        yield places[0], places[-1]


def _key(level: str, items: dict[str, Seen]) -> Callable[[Event], Key]:
    of_level = Level(level)
    if not of_level.is_category:
        return lambda event: (event.item,)
    return lambda event: items[event.item].names[: of_level.k]


def _run(events: Sequence[Event], level: str, items: dict[str, Seen], first: int, last: int) -> Answer:
    path = items[events[first].item].names
    if level not in (MICRO, ITEM):
        path = path[: Level(level).k]
    return {
        "name": events[first].item if level in (MICRO, ITEM) else path[-1],
        "path": path,
        "first": first,
        "last": last,
        "began": events[first].timestamp,
        "ended": events[last].timestamp,
    }


def _shares(answers: Answers, events: Sequence[Event], now: float | None) -> dict[str, AttentionColumn]:
    """Give what the model has looked at, by level; empty where it does not say."""
    model = answers.served.model
    if not events or not isinstance(model, HasAttention):
        return {}
    histories = SessionReader(answers.served.model.vocabulary).histories([events], [now])
    try:
        columns = model.attention(histories)
    except HupError:
        return {}
    return {str(column.level): column for column in columns if column.trained}


def _share_of(runs: Sequence[tuple[int, int]], column: AttentionColumn | None) -> list[float | None]:
    """Sum up the weights of each run; None where nothing is known of the level."""
    if column is None:
        return [None] * len(runs)
    shares = [0.0] * len(runs)
    run_of = {place: number for number, (first, last) in enumerate(runs) for place in range(first, last + 1)}
    for weight, last in zip(column.weights.tolist(), column.last.tolist(), strict=True):
        shares[run_of[last]] += weight
    return list(shares)
