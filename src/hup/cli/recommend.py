"""``hup recommend``: items and categories for one session."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.console import console, note, results_table
from hup.errors import HupError

if TYPE_CHECKING:
    from hup.recommender.recommendations import Origin, Recommendations

REASONS_SHOWN = 3
SCORE_TITLES = {"profile": "cosine", "probability": "probability", "score": "score", "popularity": "share"}


class SessionFormat(StrEnum):
    """How a session is written."""

    JD = "jd"
    JSONL = "jsonl"


def recommend(
    model: Annotated[Path, typer.Argument(help="Model folder, from `hup train`.")],
    session: Annotated[Path, typer.Option(help="File with one session; - reads standard input.")],
    format: Annotated[
        SessionFormat,
        typer.Option(help="jd: one line of item+behavior+category+interval+dwell; jsonl: one event a line."),
    ] = SessionFormat.JD,
    level: Annotated[str, typer.Option(help="item, category_1 … category_K, or all.")] = "item",
    k: Annotated[int, typer.Option("-k", min=1, help="How many of each level.")] = 20,
    now: Annotated[float | None, typer.Option(help="Seconds on the timestamps' clock: how late it is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Rank items, or categories of any level, for one session, with the reasons.

    Items, categories and behaviors that the model has never seen are fine. An empty session is answered with
    popularity.
    """
    from hup.models.hup.model import HUP
    from hup.recommender.kinds import load
    from hup.sessions.events import events_from_jd, events_from_jsonl

    recommender = load(model)
    read = events_from_jd if format is SessionFormat.JD else events_from_jsonl
    source = "standard input" if str(session) == "-" else str(session)
    events = read(_text(session), source)
    known = recommender.vocabulary.behavior_codes
    if strange := sorted({event.behavior for event in events} - known.keys()):
        note(
            f"Behaviors that the model does not know: {', '.join(strange)}. It knows: "
            f"{', '.join(behavior.name for behavior in recommender.vocabulary.behaviors)}."
        )
    if not events:
        note("The session is empty: this is what is popular.")
    # Folded once for all levels.
    ask = (
        partial(recommender.recommend, recommender.state(events))
        if isinstance(recommender, HUP)
        else partial(recommender.recommend, events)
    )
    levels = list(recommender.levels) if level == "all" else [level]
    answers = [ask(name, k, now) for name in levels]
    if as_json:
        typer.echo(json.dumps({answer.level: answer.to_dict() for answer in answers}, ensure_ascii=False, indent=2))
        return
    for answer in answers:
        _print(answer)


def _text(session: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(session) == "-" else session.read_bytes()
    except OSError as error:
        raise HupError(f"Cannot read the session {session}: {error.strerror or error}.") from error
    try:
        return raw.decode("utf-8-sig")  # editors on Windows begin files with a byte order mark
    except UnicodeDecodeError as error:
        raise HupError(f"The session {session} is not UTF-8 at byte {error.start}.") from error


def _why(origin: Origin) -> str:
    """Say what brought most of the probability."""
    shares = {
        "again": origin.repeat,
        "near": origin.memory,
        "fits the profile": origin.profile,
        "popular": origin.popularity,
    }
    most = max(shares, key=lambda name: shares[name])
    near = f" {origin.runs[0].name}" if most == "near" and origin.runs else ""
    return f"{most}{near} ({100 * shares[most]:.0f} %)"


def _print(answer: Recommendations) -> None:
    from rich.markup import escape

    score = SCORE_TITLES[answer.basis]
    columns = ["rank", "item" if answer.level == "item" else "category", "categories", score, "in session"]
    with_origin = any(recommended.origin for recommended in answer.ranked)
    if with_origin:
        columns.append("why")
    table = results_table(f"Recommendations, level {answer.level}", columns, right=("rank", score))
    for place, recommended in enumerate(answer.ranked, 1):
        names = escape(recommended.name), escape(" > ".join(recommended.path))
        why = [escape(_why(recommended.origin))] if recommended.origin else [""] * with_origin
        table.add_row(str(place), *names, f"{recommended.score:.3f}", "yes" if recommended.seen else "", *why)
    console.print(table)
    if answer.reasons:
        top = ", ".join(f"{reason.name} {100 * reason.weight:.0f} %" for reason in answer.reasons[:REASONS_SHOWN])
        console.print(f"Attention of this level in the session: {top}\n", markup=False)
