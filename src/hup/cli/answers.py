"""Ranked lists as commands print them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.console import console, note, results_table

if TYPE_CHECKING:
    from hup.recommender.recommendations import Origin, Recommendations

REASONS_SHOWN = 3
_LEAST_WIDTH, _NARROWEST = 12, 6  # of a column, with the blanks beside it: to read well, and at all
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
#: What a column of scores is called, by what they are.
SCORE_TITLES = {"profile": "cosine", "probability": "probability", "score": "score", "popularity": "share"}
SIMILAR = {"cosine": "cosine", "co-visits": "co-visits"}  # of lists that are of no session


Show = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Columns of the items to show, such as name,price; '' for none.",
        show_default="name or title, if there is one",
    ),
]


def shown_items(show: str | None) -> list[str] | None:
    """Read ``--show``: names with commas between them."""
    return None if show is None else [name for part in show.split(",") if (name := part.strip())]


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


def _said(value: object) -> str:
    """Write a value of an item in one line, whatever the shop has put in."""
    return "" if value is None else " ".join(_CONTROL.sub(" ", str(value)).split())


def print_answer(answer: Recommendations, title: str = "Recommendations") -> None:
    """Print a ranked list, its note, and what of the session it rests on."""
    from rich.cells import cell_len
    from rich.markup import escape

    if answer.note:
        note(answer.note)
    score = (SCORE_TITLES | SIMILAR)[answer.basis]
    shown = [] if answer.item_schema is None else answer.item_schema.names
    columns = ["rank", "item" if answer.level == "item" else "category", *shown, "categories", score]
    with_session = answer.basis not in SIMILAR
    if with_session:
        columns.append("in session")
    with_origin = any(recommended.origin for recommended in answer.ranked)
    if with_origin:
        columns.append("why")
    table = results_table(f"{title}, level {answer.level}", columns, right=("rank", score))
    longest = max((cell_len(recommended.name) for recommended in answer.ranked), default=0)
    # An id is to be copied: where the other columns can do with less, it stays in one line.
    table.columns[1].no_wrap = longest + _LEAST_WIDTH * (len(columns) - 1) <= console.width
    for place, recommended in enumerate(answer.ranked, 1):
        said = [_said(recommended.item[name]) for name in shown]
        names = [escape(text) for text in (recommended.name, *said, " > ".join(recommended.path))]
        why = [escape(_why(recommended.origin))] if recommended.origin else [""] * with_origin
        seen = ["yes" if recommended.seen else ""] * with_session
        table.add_row(str(place), *names, f"{recommended.score:.3f}", *seen, *why)
    if console.width < (narrowest := _NARROWEST * len(columns)):
        table.width = narrowest  # a terminal breaks lines that are too long, and cuts nothing
    console.print(table, crop=False)
    if answer.reasons:
        top = ", ".join(f"{reason.name} {100 * reason.weight:.0f} %" for reason in answer.reasons[:REASONS_SHOWN])
        console.print(f"Attention of this level in the session: {top}\n", markup=False)
