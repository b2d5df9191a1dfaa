"""``hup profiles``: the profile vectors of every level, for every user of a dataset, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hup.cli.table_output import asked_by_options, write_table
from hup.errors import HupError


def profiles(
    model: Annotated[Path, typer.Argument(help="Model folder of HUP, from `hup train`.")],
    dataset: Annotated[Path, typer.Option(help="Dataset folder that users and sessions are of.")],
    out: Annotated[Path, typer.Option(help="Table to write: .parquet, .csv or .jsonl.", dir_okay=False)],
    users: Annotated[
        str | None, typer.Option(help="all, or a file of users (one a line, or a table's column user).")
    ] = None,
    sessions: Annotated[
        str | None, typer.Option(help="all, or a file of sessions, likewise: for logs that name no users.")
    ] = None,
) -> None:
    """Write the profile vectors of every level: micro, item, category_K … category_1.

    Of a user the newest session counts. A vector lies in the space of its level's items or categories; the micro one in
    that of the items. A run that was stopped goes on where it was: give the same command.
    """
    from hup.data.dataset import Dataset
    from hup.models.hup.model import HUP
    from hup.recommender.kinds import load

    if (users is None) == (sessions is None):
        raise typer.BadParameter("Give one of --users and --sessions.", param_hint="--users")
    recommender, opened = load(model), Dataset.open(dataset)
    if not isinstance(recommender, HUP):
        raise HupError(f"{model} is of kind {recommender.kind}, which has no profiles; models of kind {HUP.kind} have.")
    asked = asked_by_options(opened, users, sessions)
    many = recommender.many_profiles(opened, asked.key)
    write_table(out, {"command": "profiles"}, model, opened, asked, many.schema, many.batch, many.sessions_per_batch)
