"""``hup recommend``: items and categories for one session, or for every user of a dataset into a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.answers import Show, print_answer, shown_items
from hup.cli.console import note
from hup.cli.device_option import DeviceChoice, DeviceOption, move
from hup.cli.documents import print_json
from hup.cli.session_input import LogFormat, session_from_dataset, session_from_file
from hup.cli.table_output import asked_by_options, write_table

if TYPE_CHECKING:
    from hup.cli.session_input import GivenSession
    from hup.data.dataset import Dataset
    from hup.recommender.base import Recommender
    from hup.recommender.recommendations import Recommendations
    from hup.recommender.restriction import Restriction
    from hup.sessions.asked import Asked
    from hup.sessions.events import Event


def recommend(
    model: Annotated[Path, typer.Argument(help="Model folder, from `hup train`.")],
    session: Annotated[
        str | None,
        typer.Option(help="File with one session; - reads standard input. With --dataset: the name of one there."),
    ] = None,
    format: Annotated[
        LogFormat,
        typer.Option(
            help="log: as the model's log; jd: a line of item+behavior+category+interval+dwell; jsonl: one event a "
            "line."
        ),
    ] = LogFormat.LOG,
    dataset: Annotated[Path | None, typer.Option(help="Dataset folder that users and sessions are of.")] = None,
    user: Annotated[str | None, typer.Option(help="User of the dataset: the newest session counts.")] = None,
    users: Annotated[
        str | None, typer.Option(help="all, or a file of users (one a line, or a table's column user); needs --out.")
    ] = None,
    sessions: Annotated[
        str | None, typer.Option(help="all, or a file of sessions, likewise: for logs that name no users.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Table of all users' recommendations: .parquet, .csv or .jsonl.", dir_okay=False)
    ] = None,
    level: Annotated[str, typer.Option(help="item, category_1 … category_K, or all.")] = "item",
    k: Annotated[int, typer.Option("-k", min=1, help="How many of each level.")] = 20,
    only: Annotated[
        Path | None, typer.Option(help="File of items that may come (one a line, or a table's column item).")
    ] = None,
    exclude: Annotated[Path | None, typer.Option(help="File of items that may not come, likewise.")] = None,
    within: Annotated[str, typer.Option(help="Category that what comes lies in: 'lamps > desk'.")] = "",
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Nothing that the session, or the user in the dataset, has been on.")
    ] = False,
    show: Show = None,
    device: DeviceOption = DeviceChoice.AUTO,
    now: Annotated[float | None, typer.Option(help="Seconds on the timestamps' clock: how late it is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Rank items, or categories of any level, for one session, with the reasons; or for many users, into a file.

    Items, categories and behaviors that the model has never seen are fine. An empty session is answered with
    popularity. A run for many users that was stopped goes on where it was: give the same command.
    """
    from hup.data.dataset import Dataset
    from hup.data.item_columns import shown_columns
    from hup.recommender.kinds import load
    from hup.recommender.restriction import Restriction

    _check_options(session, user, users, sessions, dataset, out)
    if out is None and device is DeviceChoice.CUDA:
        raise typer.BadParameter("One session is answered by the processor: leave it away.", param_hint="--device")
    recommender = load(model)
    restrict = partial(Restriction, only=only, exclude=exclude or (), within=within, new_only=new_only)
    opened = None if dataset is None else Dataset.open(dataset)
    if opened is not None and out is not None:
        asked = asked_by_options(opened, users, sessions)
        move(recommender, device)
        _write_many(recommender, model, opened, asked, level, k, restrict(), shown_items(show), out)
        return
    if opened is not None:
        recommender.item_columns = opened.item_columns or recommender.item_columns
        found = session_from_dataset(opened, user, session)
    else:
        found = session_from_file(Path(str(session)), format, recommender)
    _remark(recommender, found.events)
    restriction, ask = restrict(seen=found.seen), _asker(recommender, found)
    levels = list(recommender.levels) if level == "all" else [level]
    columns = shown_columns(recommender.item_columns, shown_items(show))
    answers = [ask(name, k, now, restriction).showing(columns) for name in levels]
    if as_json:
        print_json({answer.level: answer.to_dict() for answer in answers})
        return
    for answer in answers:
        print_answer(answer)


def _check_options(
    session: str | None,
    user: str | None,
    users: str | None,
    sessions: str | None,
    dataset: Path | None,
    out: Path | None,
) -> None:
    """Refuse options that do not go together."""
    named = [value is not None for value in (session, user, users, sessions)]
    if sum(named) != 1:
        raise typer.BadParameter("Give one of --session, --user, --users and --sessions.", param_hint="--session")
    if dataset is None and not named[0]:
        raise typer.BadParameter("Users are of a dataset: add --dataset FOLDER.", param_hint="--dataset")
    if (out is not None) != (users is not None or sessions is not None):
        raise typer.BadParameter(
            "A table of many users needs a file, which is for them alone: give --users, or --sessions, with --out.",
            param_hint="--out",
        )


def _write_many(
    recommender: Recommender,
    model: Path,
    dataset: Dataset,
    asked: Asked,
    level: str,
    k: int,
    restriction: Restriction,
    show: Sequence[str] | None,
    out: Path,
) -> None:
    many = recommender.many(dataset, asked.key, level, k, restriction, show)
    question = {"command": "recommend", "levels": many.levels, "k": k, "restriction": restriction.to_dict()}
    question |= {"show": many.shown.columns, "items": many.shown.digest}
    if remark := restriction.note(recommender.vocabulary, nothing_left=False):
        note(remark)
    rows = write_table(out, question, model, dataset, asked, many.schema, many.batch, many.sessions_per_batch)
    if not rows:
        note("Nothing may come: the restriction leaves no candidate.")


def _remark(recommender: Recommender, events: Sequence[Event]) -> None:
    """Say what of a session the model does not know, or that it is empty."""
    known = recommender.vocabulary.behavior_codes
    if strange := sorted({event.behavior for event in events} - known.keys()):
        note(
            f"Behaviors that the model does not know: {', '.join(strange)}. It knows: "
            f"{', '.join(behavior.name for behavior in recommender.vocabulary.behaviors)}."
        )
    if not events:
        note("The session is empty: this is what is popular.")


def _asker(recommender: Recommender, session: GivenSession) -> Callable[..., Recommendations]:
    """Give what is to be asked level by level; HUP folds the session once for all of them."""
    from hup.models.hup.model import HUP

    if isinstance(recommender, HUP):
        return partial(recommender.recommend, recommender.state(session.events, session.earlier))
    return partial(recommender.recommend, session.events)
