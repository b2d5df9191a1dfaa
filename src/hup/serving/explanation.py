"""A session as the model sees it: its events, the runs of every level with their shares, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from hup.recommender.attention import AttentionColumn
from hup.recommender.recommendations import Reason
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
    attention = _attention(answers, events, now)
    finest_first = [level for level in model.levels if level != ITEM]
    levels = []
    for level in (MICRO, ITEM, *finest_first):
        runs = list(_runs(events, level, items))
        told = [_run(events, level, items, first, last) for first, last in runs]
        recommended, reasons = _recommended(answers, asked, level, now)
        shares = _share_of(runs, attention.get(level)) or _share_of_names(told, reasons)
        for number, run in enumerate(told):
            run["share"] = None if shares is None else shares[number]
        levels.append({"level": str(level), "runs": told, "recommended": recommended})
    return {
        "began": events[0].timestamp if events else None,
        "latest": events[-1].timestamp if events else None,
        "events": [_event(answers, event) for event in events],
        "levels": levels,
    }


def _recommended(
    answers: Answers, asked: Asked, level: str, now: float | None
) -> tuple[list[Answer], Sequence[Reason]]:
    """Give the best of a level, and what of the session they rest on; nothing is recommended of micro-behaviors."""
    if level == MICRO:
        return [], ()
    found = answers.recommendations(asked, (), Question(str(level), TOP, now=now))
    return found["ranked"], found["reasons"]


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


def _attention(answers: Answers, events: Sequence[Event], now: float | None) -> dict[str, AttentionColumn]:
    """Give the attention of a pyramid that has it (Eq. 5), by level, that of micro-behaviors among them."""
    served = answers.served
    if not events or not served.has_profiles or not served.hup.config.network.attention:
        return {}
    histories = SessionReader(served.model.vocabulary).histories([events], [now])
    return {str(column.level): column for column in served.hup.attention(histories) if column.trained}


def _share_of(runs: Sequence[tuple[int, int]], column: AttentionColumn | None) -> list[float] | None:
    """Sum up the attention on each run; None where the level has none."""
    if column is None:
        return None
    shares = [0.0] * len(runs)
    run_of = {place: number for number, (first, last) in enumerate(runs) for place in range(first, last + 1)}
    for weight, last in zip(column.weights.tolist(), column.last.tolist(), strict=True):
        shares[run_of[last]] += weight
    return shares


def _share_of_names(runs: Sequence[Answer], reasons: Sequence[Reason]) -> list[float] | None:
    """Give what recommendations rest on to the last run of each name; None where they say nothing."""
    last = {(run["name"], run["path"]): number for number, run in enumerate(runs)}
    shares = [0.0] * len(runs)
    for reason in reasons:
        number = last.get((reason.name, reason.path))
        if number is not None:  # else it is of before the events that are kept
            shares[number] = reason.weight
    return shares if reasons else None
