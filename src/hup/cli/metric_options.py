"""``--at`` and ``--metrics``: what ``hup evaluate`` and ``hup compare`` tell of a ranking."""

from __future__ import annotations

from typing import Annotated

import typer

from hup.errors import HupError

AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="K,...",
        help="Further lengths of the list, separated by commas, at which metrics are given.",
        show_default="20 for items, 5 for categories, which always come first",
    ),
]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="What is given at all these lengths: recall (or hit_rate), mrr (or map), ndcg, coverage, gini, novelty, "
        "popularity_bias.",
        show_default="recall,mrr",
    ),
]


def cutoffs(text: str | None) -> tuple[int, ...]:
    """Read ``--at``; a wrong one is a wrong option."""
    from hup.evaluation.choice import Choice

    parts = [] if text is None else text.split(",")
    try:
        return Choice.of(at=[int(part) if part.strip().isdecimal() else part for part in parts]).at  # type: ignore[misc]
    except HupError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error


def metric_names(text: str | None) -> tuple[str, ...]:
    """Read ``--metrics``; a wrong one is a wrong option."""
    from hup.evaluation.choice import Choice

    names = None if text is None else [name.strip() for name in text.split(",") if name.strip()]
    try:
        return Choice.of(names).metrics
    except HupError as error:
        raise typer.BadParameter(str(error), param_hint="--metrics") from error
