"""The command line: one file a command, registered here with an example of its use."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from hup import processes
from hup.cli import (
    compare,
    evaluate,
    explain,
    info,
    map,
    prepare,
    profiles,
    recommend,
    report,
    serve,
    similar,
    simulate,
    sweep,
    train,
    validate,
)
from hup.cli.console import EXIT_CLOSED_PIPE, EXIT_ERROR, EXIT_USAGE, error_console, hush, speaks_plainly

# In the order in which a newcomer meets them; that is also the order of ``hup --help``.
COMMANDS: dict[Callable[..., None], tuple[str, ...]] = {
    simulate.simulate: (
        "hup simulate --out clicks.txt --sessions 2000 --items 500 --levels 3 --format jd --seed 1",
        "hup simulate --out events.parquet --sessions 2000 --items 500 --levels 3 --format events",
    ),
    map.map: (
        "hup map events.csv --out mapping.toml",
        "hup map 'logs/*.parquet'",
    ),
    validate.validate: (
        "hup validate events.parquet --map mapping.toml",
        "hup validate clicks.txt --format jd --json",
    ),
    prepare.prepare: (
        "hup prepare clicks.txt --format jd --out dataset",
        "hup prepare 2019-Oct.csv.gz --map rees46 --out dataset",
        "hup prepare events/ --map mapping.toml --out dataset --sequence user --window 100",
        "hup prepare events-2024-05-02.parquet --append dataset",
        "hup prepare --query \"SELECT * FROM 'logs/*.parquet' WHERE shop = 1\" --map mapping.toml --out dataset",
        "hup prepare s3a://shop/events --map mapping.toml --engine spark --spark-master yarn --out dataset",
        "hup prepare logs/ 'archive/2024-*.txt.gz' --out dataset --memory-limit 8GB --overwrite",
        "hup prepare clicks.txt.zst --out dataset --split random --shares 0.7,0,0.3 --seed 1",
    ),
    info.info: ("hup info dataset", "hup info model --json"),
    train.train: (
        "hup train dataset --preset best --out model",
        "hup train dataset --preset best --out model --epochs 5 --set network.hidden=64 --overwrite",
        "hup train dataset --preset best --out model --epochs 200 --resume",
        "hup train dataset --init monday --out tuesday --epochs 10",
        "hup train dataset --model vsknn --set neighbors=200 --out vsknn",
    ),
    evaluate.evaluate: (
        "hup evaluate model dataset --json metrics.json",
        "hup evaluate model dataset --candidates neighbors --last-interval keep",
    ),
    compare.compare: (
        "hup compare dataset --seeds 5 --out run",
        "hup compare dataset --models hup,recency,vsknn --presets paper,authors --seeds 3 --tuning 1 --out run",
        "hup compare dataset --protocol paper --out run-paper",
    ),
    sweep.sweep: (
        "hup sweep dataset --out sweep",
        "hup sweep dataset --key network.hidden --values 25,50,100,200 --out sizes",
    ),
    report.report: (
        "hup report run --out report.html",
        "hup report run run-paper --sweep sweep --curve small --curve large --out report.html --markdown tables.md",
        "hup report run --paper run=appliances --explain rib --explain hup --case 812 --out report.html",
    ),
    explain.explain: (
        "hup explain model rib --session session.txt --out explain.html --png explain.png",
        "hup explain model --session clicks.txt --line 17 --level category_1 --out explain.html",
        "hup explain model vsknn --dataset dataset --index 812 --last 12 --png explain.png",
    ),
    recommend.recommend: (
        "hup recommend model --session session.txt --level all -k 5",
        "tail -n 1 clicks.txt | hup recommend model --session - --json",
        "hup recommend model --session session.jsonl --format jsonl --level category_1",
        "hup recommend model --dataset dataset --user ann --only in-stock.txt --within 'lamps > desk'",
        "hup recommend model --dataset dataset --users all --new-only --out recommendations.parquet",
    ),
    similar.similar: ("hup similar model 42", "hup similar model 'lamps > desk' --level category_2 -k 5"),
    profiles.profiles: ("hup profiles model --dataset dataset --users all --out profiles.parquet",),
    serve.serve: (
        "hup serve model --store lmdb:users --workers 2",
        "hup serve model --store redis://redis:6379/0 --host 0.0.0.0 --api-key-file keys.txt --items items.csv",
    ),
}

#: Commands that several processes, started by torchrun, do together.
SEVERAL = ("train", "evaluate")
#: Seconds in which the first of them has read its options.
SAID_BY_THEN = 10

app = typer.Typer(
    name="hup",
    help="Hierarchical user profiles from click logs: items and categories of every level, recommended and explained.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command, examples in COMMANDS.items():
    # Blank lines, or the help would run them together into one paragraph.
    epilog = "\n\n".join(("Examples:", *(f"[bold]{example}[/bold]" for example in examples)))
    app.command(epilog=epilog)(speaks_plainly(command))


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
    # OpenMP's threads spin while they wait for each other. Where another process needs their core, as on most shared
    # machines, each wait then lasts as long as that one's turn; threads that sleep at once lose half of their speed on
    # a machine that is theirs. So they spin for microseconds. It is read when torch is imported, by the command.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Scores of a batch are large and made anew each time. In pages of 4 KiB Linux would spend longer on handing their
    # memory out than PyTorch on filling it. It is read when torch is imported, too.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # What was computed is not lost for a letter that a terminal or file of another encoding does not have.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if processes.together():
        _check_several(sys.argv[1:])
    try:
        app(prog_name="hup")
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # where the help was written, as no command was reached
            end.code = EXIT_CLOSED_PIPE
        if end.code == EXIT_USAGE:
            _let_the_first_speak()
        if processes.together():
            processes.end_at_once(end.code)
        raise


def _check_several(arguments: list[str]) -> None:
    """Let the first of several processes speak alone; end where a command has nothing for the others to do."""
    if not processes.is_first():
        hush()
    if arguments and arguments[0] not in SEVERAL and not arguments[0].startswith("-"):
        error_console.print(
            f"[bold red]Error:[/] Of the commands, {' and '.join(SEVERAL)} work on several processes. Start this one "
            f"without torchrun.",
            highlight=False,
        )
        _let_the_first_speak()
        sys.exit(EXIT_ERROR)


def _let_the_first_speak() -> None:
    """Wait, as another process, until the first one has said what is wrong: the end of one is that of all."""
    if not processes.is_first():
        time.sleep(SAID_BY_THEN)
