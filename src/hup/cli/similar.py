"""``hup similar``: what is most like an item, or a category."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hup.cli.answers import Show, print_answer, shown_items
from hup.cli.documents import print_json


def similar(
    model: Annotated[Path, typer.Argument(help="Model folder, from `hup train`.")],
    item: Annotated[str, typer.Argument(help="The item; of a category its path: 'lamps > desk'.")],
    level: Annotated[str, typer.Option(help="item, or category_1 … category_K.")] = "item",
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
    only: Annotated[
        Path | None, typer.Option(help="File of items that may come (one a line, or a table's column item).")
    ] = None,
    exclude: Annotated[Path | None, typer.Option(help="File of items that may not come, likewise.")] = None,
    within: Annotated[str, typer.Option(help="Category that what comes lies in: 'lamps > desk'.")] = "",
    show: Show = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List what is most like an item, or a category, whoever asks.

    By the cosine of the vectors that a model has learned, or by what it has counted of pairs.
    """
    from hup.data.item_columns import shown_columns
    from hup.recommender.kinds import load
    from hup.recommender.restriction import Restriction

    restriction = Restriction(only=only, exclude=exclude or (), within=within)
    recommender = load(model)
    columns = shown_columns(recommender.item_columns, shown_items(show))
    answer = recommender.similar(item, level, k, restriction).showing(columns)
    if as_json:
        print_json(answer.to_dict())
        return
    print_answer(answer, f"Similar to {item}")
