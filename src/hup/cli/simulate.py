"""``hup simulate``: make a log to try things out on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hup.cli.console import console, note, progress
from hup.errors import command_line


class FormatChoice(StrEnum):
    """Formats that the simulator writes."""

    JD = "jd"
    EVENTS = "events"


def simulate(
    out: Annotated[
        Path,
        typer.Option(help="File (.txt for jd, .parquet or .csv for events; text also .gz, .zst) or folder of parts."),
    ],
    sessions: Annotated[int, typer.Option(help="Number of sessions.")] = 10_000,
    items: Annotated[int, typer.Option(help="Number of items in the shop.")] = 10_000,
    levels: Annotated[int, typer.Option(help="Levels of the category tree.")] = 1,
    format: Annotated[
        FormatChoice, typer.Option(help="jd: a session a line; events: a row an event.")
    ] = FormatChoice.JD,
    seed: Annotated[int, typer.Option(help="The same seed and sizes give the same bytes.")] = 0,
    categories: Annotated[
        int | None, typer.Option(help="Categories of the finest level.", show_default="grows with items and levels")
    ] = None,
    mean_events: Annotated[float, typer.Option(help="Mean events of a session; the JD samples have 57.")] = 57.3,
    sessions_per_file: Annotated[int, typer.Option(help="Sessions of one part where --out is a folder.")] = 131_072,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds already.")] = False,
) -> None:
    """Simulate a shop's click log: users with drifting interests on a category tree.

    Shares, run lengths, repeats and times are near those of real JD sessions. The first sessions do not depend on how
    many follow.
    """
    from hup.simulator import SimulatorConfig
    from hup.simulator import simulate as write_log

    config = SimulatorConfig(
        sessions=sessions, items=items, levels=levels, seed=seed, categories=categories, mean_events=mean_events
    )
    with progress("Simulating sessions", total=config.sessions) as advance:
        made = write_log(
            config,
            out,
            format=format.value,
            overwrite=overwrite,
            sessions_per_file=sessions_per_file,
            progress=advance,
        )
    widths = " > ".join(f"{len(parents):,}" for parents in made.catalogue.tree)
    console.print(
        f"[bold]{made.events:,}[/] simulated events in {made.sessions:,} sessions; {config.items:,} items, "
        f"categories {widths}",
        highlight=False,
    )
    files = f" in {len(made.files):,} parts" if len(made.files) > 1 or out.is_dir() else ""
    console.print(f"Written to {out}{files}", highlight=False, soft_wrap=True, markup=False)
    if format is FormatChoice.JD:
        note(f"Next: {command_line('hup', 'prepare', out, '--format', 'jd', '--out', 'DATASET')}")
