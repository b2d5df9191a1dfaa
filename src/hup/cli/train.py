"""``hup train``: fit a model and keep its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hup.cli.console import console, note, progress_bars
from hup.errors import HupError

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = "–"  # noqa: RUF001 (what stands where there is nothing to measure)


def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder, from `hup prepare`.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    preset: Annotated[str, typer.Option(help="Configuration to start from: paper or authors.")] = "paper",
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs; short for --set training.epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; short for --set training.seed=N.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key, e.g. network.hidden=64; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, also after its end.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew; a finished model in --out stays until the new one is.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all cores.")] = None,
) -> None:
    """Fit HUP on the training split; the epoch is chosen on the validation split.

    Every epoch leaves a checkpoint, so a run that was stopped or killed goes on with the same command, to the same
    weights. The log of all epochs is in OUT/log.jsonl.
    """
    from hup.config import Config
    from hup.data.dataset import Dataset
    from hup.models.hup import HUP
    from hup.training import Observer

    if resume and overwrite:
        raise typer.BadParameter("--resume and --overwrite exclude each other.")
    overrides = list(set_ or [])
    overrides += [f"training.{key}={value}" for key, value in (("epochs", epochs), ("seed", seed)) if value is not None]
    config = Config.preset(preset, overrides)
    data = Dataset.open(dataset)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    model = HUP(config)

    class Screen(Observer):
        """Shows the run as progress bars and one line an epoch."""

        def __init__(self) -> None:
            self.bars = progress_bars()
            self.task = self.bars.add_task("skip-gram vectors and weights", total=None)

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
            model.fit(data, out=out, resume=resume, overwrite=overwrite, observer=screen)
        except KeyboardInterrupt:
            note(f"Stopped. The same command goes on after the last whole epoch: hup train {dataset} --out {out} …")
            raise
    console.print(_summary(model.metrics))
    note(f"Model in {out}. Next: hup evaluate {out} {dataset}")


def _epoch_line(record: dict[str, Any]) -> str:
    loss = ", ".join(f"{level} {_number(value, '.4f')}" for level, value in record["loss"].items())
    line = f"epoch {record['epoch']}: loss {loss}"
    for level, metrics in record.get("validation", {}).items():
        line += f"; {level} " + ", ".join(f"{name} {_percent(value)}" for name, value in metrics.items())
    return f"{line}; {record['events_per_second']:,} events/s"


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def _summary(metrics: dict[str, Any]) -> Table:
    from rich.table import Table

    if not metrics:
        raise HupError("The finished model has no metrics.json; train it again with --overwrite.")
    validation = metrics["validation"] or {}
    if validation:
        stopped = ", stopped early" if metrics["stopped_early"] else ""
        title = f"Best epoch {metrics['best_epoch']} of {metrics['epochs']}{stopped} (validation split)"
    else:
        title = f"Last of {metrics['epochs']} epochs: there are no validation sessions to choose by"
    table = Table(title=title)
    for name in ("level", "Recall", "MRR", "mean cosine of targets", "their effective rank"):
        table.add_column(name, justify="left" if name == "level" else "right")
    for level, spread in metrics["collapse"].items():
        if level.endswith("_inputs"):
            continue  # in metrics.json
        figures = [_percent(value) for value in validation.get(level, {}).values()] or [NOTHING, NOTHING]
        table.add_row(level, *figures, f"{spread['mean_cosine']:.3f}", f"{spread['effective_rank']:.1f}")
    return table
