"""``hup validate``: the checks of `hup prepare` alone."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from hup.cli.console import EXIT_ERROR, console, results_table
from hup.cli.documents import print_json
from hup.cli.phases import bars_progress
from hup.cli.prepare import EngineChoice, LogFormat, SequenceBy

if TYPE_CHECKING:
    from hup.data.validate import ValidationReport


def validate(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Files (also .gz, .zst), folders, globs.", show_default=False),
    ] = None,
    format: Annotated[
        LogFormat | None,
        typer.Option(help="jd: lines; events: tables.", show_default="by the files' endings"),
    ] = None,
    map: Annotated[
        str | None,
        typer.Option(metavar="MAPPING", help="As for `hup prepare`.", show_default="HUP's own column names"),
    ] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="As for `hup prepare`.", show_default=False)] = None,
    sequence: Annotated[
        SequenceBy | None, typer.Option(help="As for `hup prepare`.", show_default="as the mapping says")
    ] = None,
    idle_gap: Annotated[float | None, typer.Option(help="Minutes, for gap.", show_default="30")] = None,
    levels: Annotated[int | None, typer.Option(help="Category levels K.", show_default="as the log has")] = None,
    max_reject_share: Annotated[float, typer.Option(help="More malformed rows than this share is a failure.")] = 0.05,
    engine: Annotated[EngineChoice, typer.Option(help="What reads event tables.")] = EngineChoice.DUCKDB,
    spark_master: Annotated[str | None, typer.Option(help="For example yarn.", show_default="this machine")] = None,
    memory_limit: Annotated[
        str | None, typer.Option(help="For example 8GB; what exceeds it goes to disk.", show_default="half of memory")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what is in a log and what is wrong with it, before anyone waits for a run.

    The exit code is 1 if `hup prepare` would refuse the log. What does not fit into memory goes to the system's
    temporary folder; the environment variable TMPDIR names another one.
    """
    from hup.data.validate import validate as check

    if not sources and query is None:
        raise typer.BadParameter("Name at least one file, folder or glob, or give --query.", param_hint="SOURCE")
    with bars_progress() as progress:
        report = check(
            sources or [],
            format=None if format is None else format.value,
            map=map,
            query=query,
            sequence=None if sequence is None else sequence.value,
            idle_gap_minutes=idle_gap,
            levels=levels,
            max_reject_share=max_reject_share,
            engine=engine.value,
            spark_master=spark_master,
            memory_limit=memory_limit,
            progress=progress,
        )
    if as_json:
        print_json(asdict(report))
    else:
        _print_report(report)
    if report.problem is not None:
        raise typer.Exit(EXIT_ERROR)


def _print_report(report: ValidationReport) -> None:
    console.print()
    console.print(_summary(report))
    for note in report.notes:
        console.print(f"  {escape(note)}", highlight=False)
    if report.notes:
        console.print()
    if report.problems:
        console.print(_problems(report))
    if report.problem is not None:
        console.print(f"[bold red]hup prepare would refuse this log:[/] {escape(report.problem)}", highlight=False)
    elif report.problems:
        console.print("[bold green]hup prepare would use the good rows[/] and list the others.", highlight=False)
    else:
        console.print("[bold green]Nothing is wrong.[/]", highlight=False)


def _summary(report: ValidationReport) -> Table:
    table = Table(title="The log", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", overflow="fold")
    table.add_row("Tokens" if report.format == "jd" else "Rows", f"{report.rows:,}")
    share = f" ({report.usable / report.rows:.2%})" if report.rows else ""
    table.add_row("usable", f"{report.usable:,}{share}")
    for reason, rows in report.left_out.items():
        table.add_row(escape(f"left out besides: {reason}"), f"{rows:,}")
    if report.users is not None:
        table.add_row("Users", f"{report.users:,}")
    if report.sessions is not None:
        table.add_row("Sessions", f"{report.sessions:,}")
    if report.sessions_with_target is not None:
        table.add_row("with two items or more (others cannot be used)", f"{report.sessions_with_target:,}")
    table.add_row("Items", f"{report.items:,}")
    table.add_row("Categories, coarsest level first", ", ".join(f"{n:,}" for n in report.categories))
    if report.time is not None:
        table.add_row("From", _moment(report.time.first_ms))
        table.add_row("to", _moment(report.time.last_ms))
    for behavior, rows in report.behaviors.items():
        table.add_row(escape(f"Behavior {behavior}"), f"{rows:,}")
    return table


def _problems(report: ValidationReport) -> Table:
    table = results_table("Problems", ("What", "Rows", "For example"), right=("Rows",))
    for kind, rows in report.problems.items():
        table.add_row(escape(kind), f"{rows:,}", escape("\n".join(report.examples.get(kind, []))))
    return table


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
