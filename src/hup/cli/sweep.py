"""``hup sweep``: one key of HUP over many values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.console import console, grid_watcher, note

if TYPE_CHECKING:
    from rich.table import Table

    from hup.experiment import Results


def sweep(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder, from `hup prepare`.")],
    out: Annotated[Path, typer.Option(help="Run folder; what is finished in it is not run again.")],
    key: Annotated[str, typer.Option(help="Key of the configuration that has numbers.")] = "loss.lambda_item",
    values: Annotated[
        str, typer.Option(help="Its values, separated by commas.")
    ] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    complement: Annotated[
        str | None,
        typer.Option(
            help="Another key, which gets 1 - value.", show_default="of the default key: loss.lambda_category"
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="Configuration to start from.")] = "paper",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key for all; may be repeated.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes side by side; default one a core.")] = None,
    label: Annotated[str | None, typer.Option(help="What tables call the dataset.")] = None,
) -> None:
    """Train HUP with every value of a key, and judge each on the test split.

    Without --key it is the trade-off between items and categories of the paper's §6.3: lambda_item from 0.1 to 0.9, and
    lambda_category = 1 - lambda_item. Stopped or killed, the same command goes on.
    """
    from hup.experiment import sweep as run

    with grid_watcher("values and seeds") as watcher:
        results = run(
            dataset,
            out,
            key=key,
            values=[_number(value) for value in values.split(",") if value.strip()],
            complement=complement,
            preset=preset,
            seeds=seeds,
            overrides=set_ or (),
            jobs=jobs,
            label=label,
            watcher=watcher,
        )
    console.print(_table(results))
    failed = [row for row in results.rows if row.failed is not None]
    for row in failed:
        note(f"{row.row} has no figures: {row.failed}")
    note(f"Models in {out}/models, ranks of every session in {out}/cells.")
    if failed:
        raise typer.Exit(1)


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"--values has {text.strip()!r}, expected numbers separated by commas.") from None


def _table(results: Results) -> Table:
    """Lay out a row for each value, and Recall and MRR of every level side by side."""
    from rich import box
    from rich.table import Table

    assert results.swept is not None
    levels = list(next((row.levels for row in results.rows if row.levels), {}))
    table = Table(
        title=f"{results.label}: figures in %, means over seeds {', '.join(map(str, results.made['seeds']))}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column(results.swept["key"], no_wrap=True)
    for level in levels:
        k = next(row.levels[level].k for row in results.rows if row.levels)
        table.add_column(f"{level}\nRecall@{k}", justify="right", no_wrap=True)
        table.add_column(f"\nMRR@{k}", justify="right", no_wrap=True)
    by_name = {row.row: row for row in results.rows}
    for value, name in zip(results.swept["values"], results.swept["rows"], strict=True):
        row = by_name[name]
        figures = [figure for of_level in row.levels.values() for figure in (of_level.recall.value, of_level.mrr.value)]
        cells = ["" if figure is None else f"{100 * figure:.1f}" for figure in figures]
        table.add_row(str(value), *(cells or ["failed"]))
    return table
