"""``hup compare``: every model of the paper, and those that it lacks, on one dataset."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hup.cli.console import grid_watcher, note
from hup.cli.documents import FiguresFile, figures_written
from hup.cli.metric_options import AtOption, MetricsOption, cutoffs, metric_names


class ProtocolChoice(StrEnum):
    """How rows are judged."""

    DEFAULT = "default"
    PAPER = "paper"


def compare(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder, from `hup prepare`.")],
    out: Annotated[Path, typer.Option(help="Run folder; what is finished in it is not run again.")],
    models: Annotated[
        str | None,
        typer.Option(help="Rows, separated by commas.", show_default="all but the ablations of best"),
    ] = None,
    presets: Annotated[str, typer.Option(help="Presets of HUP, a row each; the first one's variants.")] = "paper,best",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, for models with a random part.")] = 5,
    protocol: Annotated[
        ProtocolChoice,
        typer.Option(help="default: all items, last interval hidden; paper: neighbours, last interval kept."),
    ] = ProtocolChoice.DEFAULT,
    tuning: Annotated[int, typer.Option(min=1, help="Settings tried of every model, before the test; 1 = none.")] = 4,
    tuning_trained: Annotated[
        int | None,
        typer.Option(
            min=1, help="The same of models that are trained, by epochs or tree by tree.", show_default="as --tuning"
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of HUP and its variants; may be repeated."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes side by side; default one a core.")] = None,
    label: Annotated[str | None, typer.Option(help="What tables call the dataset.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    at: AtOption = None,
    metrics: MetricsOption = None,
    json: FiguresFile = None,
) -> None:
    """Train and judge many models under one protocol, with significance.

    Every model gets the same number of settings to try before the test; then each is fitted with every seed and
    ranks the test split once. A model that fails costs its row. Stopped or killed, the same command goes on.
    """
    from hup.experiment import compare as run
    from hup.experiment.tables import grid_tables

    further, names = cutoffs(at), metric_names(metrics)
    with grid_watcher("models and seeds") as watcher:
        results = run(
            dataset,
            out,
            models=None if models is None else _names(models),
            presets=_names(presets),
            seeds=seeds,
            protocol=protocol.value,
            tuning=tuning,
            tuning_trained=tuning_trained,
            overrides=set_ or (),
            jobs=jobs,
            label=label,
            retry_failed=retry_failed,
            watcher=watcher,
            at=further,
            metrics=names,
        )
    with figures_written(results, json) as shown:
        for table in grid_tables(results):
            shown.print(table)
            shown.print()
        shown.print(
            "Figures in %, means over seeds, with 95 % bootstrap intervals over sessions; bold: the best; * better "
            "than every other row (two-sided paired t-test, p < 0.01 after Holm).",
            highlight=False,
        )
    failed = [row for row in results.rows if row.failed is not None]
    for row in failed:
        note(f"{row.row} has no figures: {row.failed}")
    note(f"Models in {out}/models, ranks of every session in {out}/cells, settings tried in {out}/tuning.")
    if failed:
        note("After mending the cause, add --retry-failed.")
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
