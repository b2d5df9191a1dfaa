"""``hup train``: fit a model and keep its folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hup import processes
from hup.cli.console import console, note, progress_bars, results_table
from hup.cli.device_option import DeviceChoice
from hup.cli.documents import model_document, print_json
from hup.errors import command_line

if TYPE_CHECKING:
    from rich.table import Table

    from hup.recommender.base import Recommender


class PrecisionChoice(StrEnum):
    """Precisions of the forward pass."""

    FP32 = "fp32"
    BF16 = "bf16"


def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder, from `hup prepare`.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    model: Annotated[
        str, typer.Option(help="Kind of model: hup, or any baseline, for example vsknn or gru4rec.")
    ] = "hup",
    preset: Annotated[
        str | None, typer.Option(help="Configuration of HUP to start from: best (default), paper or authors.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs; short for --set training.epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; short for --set training.seed=N.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key, e.g. network.hidden=64; may be repeated."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Begin from this earlier model of the shop, such as yesterday's; its configuration is the default.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, also after its end.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew; a finished model in --out stays until the new one is.")
    ] = False,
    device: Annotated[
        DeviceChoice | None,
        typer.Option(help="Where to compute: auto (default) is CUDA where it is there; short for training.device."),
    ] = None,
    precision: Annotated[
        PrecisionChoice | None,
        typer.Option(help="fp32 (default), or bf16: matrix products in 16 bits; short for training.precision."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all cores.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table, as `hup info MODEL --json`.")
    ] = False,
) -> None:
    """Fit HUP, or another model, on the training split; the epoch is chosen on the validation split.

    Every epoch leaves a checkpoint, so a run that was stopped or killed goes on with the same command, to the same
    weights. The log of all epochs is in OUT/log.jsonl. Started by torchrun, several processes train together.
    """
    from hup.data.dataset import Dataset
    from hup.recommender.kinds import load
    from hup.training import Observer, fit

    if resume and overwrite:
        raise typer.BadParameter("--resume and --overwrite exclude each other.")
    earlier = None if init is None else load(init)
    of_loop = {"epochs": epochs, "device": device, "precision": precision}
    overrides = [*(set_ or []), *(f"training.{key}={value}" for key, value in of_loop.items() if value is not None)]
    recommender = _model(model, preset, overrides, seed, earlier)
    data = Dataset.open(dataset)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)

    class Screen(Observer):
        """Shows the run as progress bars and one line an epoch."""

        def __init__(self) -> None:
            self.bars = progress_bars()
            self.task = self.bars.add_task("getting ready", total=None)

        def note(self, message: str) -> None:
            note(message)

        def epoch_begins(self, epoch: int, epochs: int, sessions: int) -> None:
            self.bars.reset(self.task, total=sessions, description=f"epoch {epoch} of {epochs}")

        def batch_done(self, sessions: int, loss: float) -> None:
            self.bars.advance(self.task, sessions)

        def epoch_done(self, record: dict[str, Any]) -> None:
            note(_epoch_line(record))

    screen = Screen()
    with screen.bars:
        try:
            fit(recommender, data, out, init=earlier, resume=resume, overwrite=overwrite, observer=screen)
        except KeyboardInterrupt:
            note(_stopped(out, overwrite))
            raise
    if not processes.is_first():
        return  # the folder is the first one's
    if as_json:
        print_json(model_document(out))
    elif "validation" in recommender.metrics:  # what is not trained by epochs keeps other figures there
        console.print(_summary(recommender.metrics))
    note(f"Model in {out}. Next: {command_line('hup', 'evaluate', out, dataset)}")


def _stopped(out: Path, overwrite: bool) -> str:
    """Say what becomes of a run that was stopped."""
    from hup.training.folder import TrainingFolder

    if not TrainingFolder(out).last.is_file():
        return "Stopped before anything was kept: the same command begins anew."
    if overwrite:
        return "Stopped. Without --overwrite the command goes on after the last whole epoch; with it, it begins anew."
    return "Stopped. The same command goes on after the last whole epoch."


def _model(
    kind: str,
    preset: str | None,
    overrides: list[str],
    seed: int | None,
    earlier: Recommender | None,
) -> Recommender:
    """Make an unfitted model; presets are HUP's."""
    from hup.config import Config
    from hup.recommender.kinds import model_class

    recommender = model_class(kind)
    if preset is not None and kind != "hup":
        raise typer.BadParameter(f"--preset is for --model hup; {kind} has none. Change single keys with --set.")
    if seed is not None:
        overrides.append(f"{'training.seed' if 'training' in recommender.options.model_fields else 'seed'}={seed}")
    if earlier is not None and earlier.kind == kind and preset is None:
        return recommender(earlier.config.changed(overrides))
    if kind == "hup":
        return recommender(Config.preset(preset or "best", overrides))
    return recommender(recommender.options().changed(overrides))


def _epoch_line(record: dict[str, Any]) -> str:
    loss = ", ".join(f"{level} {_number(value, '.4f')}" for level, value in record["loss"].items())
    line = f"epoch {record['epoch']}: loss {loss}"
    for level, metrics in record.get("validation", {}).items():
        line += f"; {level} " + ", ".join(f"{name} {_percent(value)}" for name, value in metrics.items())
    return f"{line}; {record['events_per_second']:,} events/s"


def _number(value: float | None, form: str) -> str:
    from hup.evaluation.figures import NOTHING

    return NOTHING if value is None else format(value, form)


def _percent(value: float | None) -> str:
    from hup.evaluation.figures import percent

    return percent(value) if value is None else f"{percent(value)} %"


def _summary(metrics: dict[str, Any]) -> Table:
    from hup.evaluation.figures import NOTHING

    validation = metrics["validation"] or {}
    if validation:
        stopped = ", stopped early" if metrics["stopped_early"] else ""
        by_level = ", ".join(f"{level} {epoch}" for level, epoch in metrics["best_epochs"].items())
        best = f"Best epochs {by_level}" if by_level else f"Best epoch {metrics['best_epoch']}"
        title = f"{best} of {metrics['epochs']}{stopped} (validation split)"
    else:
        title = f"Last of {metrics['epochs']} epochs: there are no validation sessions to choose by"
    figures = ("Recall", "MRR", "mean cosine of targets", "their effective rank")
    table = results_table(title, ("level", *figures), right=figures)
    collapse = metrics["collapse"]
    for level in validation or [name for name in collapse if "_inputs" not in name]:
        shares = [_percent(value) for value in validation.get(level, {}).values()] or [NOTHING, NOTHING]
        spread = collapse.get(level)
        spreads = (f"{spread['mean_cosine']:.3f}", f"{spread['effective_rank']:.1f}") if spread else (NOTHING, NOTHING)
        table.add_row(level, *shares, *spreads)
    return table
