"""The command line: one file a command, registered here with an example of its use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from hup.cli import evaluate, info, prepare, recommend, simulate, train
from hup.cli.console import speaks_plainly

# In the order in which a newcomer meets them; that is also the order of ``hup --help``.
COMMANDS: dict[Callable[..., None], str] = {
    simulate.simulate: "hup simulate --out clicks.txt --sessions 2000 --items 500 --levels 3 --format jd --seed 1",
    prepare.prepare: "hup prepare clicks.txt --format jd --out dataset",
    info.info: "hup info dataset",
    train.train: "hup train dataset --preset paper --out model --epochs 5",
    evaluate.evaluate: "hup evaluate model dataset --json metrics.json",
    recommend.recommend: "hup recommend model --session session.txt --level all -k 5",
}

app = typer.Typer(
    name="hup",
    help="Hierarchical user profiles from click logs: items and categories of every level, recommended and explained.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command, example in COMMANDS.items():
    app.command(epilog=f"Example: [bold]{example}[/bold]")(speaks_plainly(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        from hup import __version__

        typer.echo(f"hup {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command line; the console script ``hup`` and ``python -m hup`` call it."""
    app(prog_name="hup")
