"""``hup evaluate``: how good a model is, beside what costs nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup import processes
from hup.cli.console import error_console, note, progress
from hup.cli.device_option import DeviceChoice, DeviceOption, move
from hup.cli.documents import FiguresFile, figures_written
from hup.cli.metric_options import AtOption, MetricsOption, cutoffs, metric_names
from hup.errors import HupError

if TYPE_CHECKING:
    from rich.console import Console

    from hup.evaluation import Evaluation

BASELINE = "recency"


class SplitChoice(StrEnum):
    """Splits that can be evaluated."""

    TEST = "test"
    VALIDATION = "validation"


class CandidatesChoice(StrEnum):
    """What the item level ranks."""

    FULL = "full"
    NEIGHBORS = "neighbors"


class LastIntervalChoice(StrEnum):
    """What becomes of the last event's interval."""

    MASK = "mask"
    KEEP = "keep"


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model folder, from `hup train`.")],
    dataset: Annotated[
        Path, typer.Argument(help="Dataset folder that the model was trained on, or that --append made of it.")
    ],
    json: FiguresFile = None,
    split: Annotated[SplitChoice, typer.Option(help="Whose sessions to rank.")] = SplitChoice.TEST,
    candidates: Annotated[
        CandidatesChoice,
        typer.Option(help="full: all items; neighbors: the paper's, the 1,000 nearest to each browsed item."),
    ] = CandidatesChoice.FULL,
    last_interval: Annotated[
        LastIntervalChoice,
        typer.Option(help="mask: hide the last event's interval, the time to the target; keep: as the paper."),
    ] = LastIntervalChoice.MASK,
    batch_size: Annotated[int, typer.Option(min=1, help="Most sessions scored at once.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap intervals.")] = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    at: AtOption = None,
    metrics: MetricsOption = None,
) -> None:
    """Rank the target of every test session at every level, with recency and popularity beside the model.

    Started by torchrun, several processes share the sessions, to the same figures.

    Ranks of every session and the figures are kept in MODEL/evaluation, if that can be written.
    """
    from hup.data.dataset import Dataset
    from hup.evaluation import evaluate as run
    from hup.recommender.kinds import load
    from hup.training.trained import TrainedRecommender

    further, names = cutoffs(at), metric_names(metrics)
    opened = Dataset.open(dataset)
    recommender = load(model)
    move(recommender, device)
    trained_with = recommender.config.sessions.last_interval if isinstance(recommender, TrainedRecommender) else None
    if trained_with is not None and last_interval.value != trained_with:
        note(
            f"The model was trained with sessions.last_interval={trained_with}; --last-interval {last_interval.value} "
            f"shows it something else than it learned from."
        )
    if split is SplitChoice.VALIDATION and recommender.learns_from_validation:
        note("The model has learned from validation sessions, too: figures on them say too much. Judge it by the test.")
    with progress("Evaluating sessions", total=len(opened.sessions(split.value))) as advance:
        evaluation = run(
            recommender,
            opened,
            split=split.value,
            candidates=candidates.value,
            last_interval=last_interval.value,
            batch_size=batch_size,
            seed=seed,
            progress=advance,
            at=further,
            metrics=names,
        )
    if not processes.is_first():
        return  # the first one writes and shows
    trained_on = evaluation.protocol["trained_on"]
    if trained_on != evaluation.dataset:
        note(
            f"The model was trained on an earlier state of this dataset ({trained_on[:12]}): what is new in training "
            f"since then is ranked last, while recency and popularity know it."
        )
    kept = model / "evaluation" / f"{opened.fingerprint[:12]}-{split}-{candidates}-{last_interval}.json"
    with figures_written(evaluation, json) as out:
        what_became = _keep(evaluation, kept)
        _show(evaluation, split, out)
        _warn(evaluation, recommender.name)
    note(what_became)


def _keep(evaluation: Evaluation, kept: Path) -> str:
    """Write figures and ranks beside the model, if that is possible, and say what became of them."""
    try:
        evaluation.write_ranks(kept.with_suffix(".parquet"))
        evaluation.write_json(kept)
    except HupError as error:
        return f"Neither figures nor ranks are kept beside the model: {error}"
    return f"Kept in {kept} and, session by session, {kept.with_suffix('.parquet').name}"


def _show(evaluation: Evaluation, split: str, out: Console) -> None:
    from hup.evaluation.tables import level_tables

    judged = next(iter(evaluation.rows.values()))
    empty = [level for level, figures in judged.items() if not figures["sessions"]]
    some_have = len(empty) < len(judged) - 1
    out.print(
        f"[bold]{len(evaluation.sessions):,}[/] {split} sessions, figures in %. Ceiling: the share of them whose "
        f"target is a candidate at all; the others are misses."
        + (" Targets without a category do not count at the category levels." if some_have else ""),
        highlight=False,
    )
    if empty:
        out.print(f"No target has a category: nothing to judge at {', '.join(empty)}.", highlight=False)
    for table in level_tables(evaluation):
        out.print()
        out.print(table)


def _warn(evaluation: Evaluation, name: str) -> None:
    below = evaluation.below(name, BASELINE)
    if not below:
        return
    error_console.print(
        f"[bold yellow]Below {BASELINE}.[/] Listing what the session visited, last seen first, needs no training and "
        f"did better than {name} here:",
        highlight=False,
    )
    for line in below:
        note(f"  {line}")
