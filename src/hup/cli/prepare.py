"""``hup prepare``: from a click log to a dataset folder."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hup.cli.console import note
from hup.cli.documents import dataset_document, print_json
from hup.cli.phases import bars_progress
from hup.errors import command_line

if TYPE_CHECKING:
    from hup.data.dataset import Dataset


class LogFormat(StrEnum):
    """Formats that can be read."""

    JD = "jd"
    EVENTS = "events"


class SplitBy(StrEnum):
    """Ways to divide sessions into training, validation and test."""

    TIME = "time"
    RANDOM = "random"


class SequenceBy(StrEnum):
    """What a session is made of."""

    SESSION = "session"
    GAP = "gap"
    USER = "user"


class EngineChoice(StrEnum):
    """What reads event tables."""

    DUCKDB = "duckdb"
    SPARK = "spark"


# What is read, and where the dataset goes

Sources = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SOURCE]...", help="Files (also .gz, .zst), folders, globs.", show_default=False),
]
Out = Annotated[str | None, typer.Option(help="Dataset folder to make; with Spark also a URI.", show_default=False)]
Append = Annotated[
    Path | None,
    typer.Option(metavar="DATASET", help="Instead of --out: add a new stretch of log to this.", show_default=False),
]
Format = Annotated[
    LogFormat | None,
    typer.Option(
        help="jd: a line is a session of tokens item+behavior+category+interval+dwell; events: a row is an event.",
        show_default="by the files' endings",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the dataset OUT, once all is done.")]

Items = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TABLE",
        help="A row an item: name, price, link, … to be shown with recommendations. May be given more than once.",
        show_default=False,
    ),
]
ItemsKey = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Of --items: the ids of the items.", show_default="found by its name"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables, as `hup info DATASET --json`.")]

# What tables mean

_TABLES = "Event tables"
Map = Annotated[
    str | None,
    typer.Option(
        metavar="MAPPING",
        help="What the columns mean: a TOML file (see `hup map`) or a mapping that comes with HUP, such as ga4, "
        "snowplow, shopify-orders or rees46. With --append only for tables kept beside it.",
        show_default="HUP's own column names",
        rich_help_panel=_TABLES,
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="Rows to read: SQL over files it names, or over the DuckDB file given as SOURCE.",
        show_default=False,
        rich_help_panel=_TABLES,
    ),
]
Sequence = Annotated[
    SequenceBy | None,
    typer.Option(
        help="A session is: an id of the table; a stretch without an idle gap; a user's whole history.",
        show_default="as the mapping says",
        rich_help_panel=_TABLES,
    ),
]
IdleGap = Annotated[float | None, typer.Option(help="Minutes, for gap.", show_default="30", rich_help_panel=_TABLES)]
Window = Annotated[
    int | None,
    typer.Option(
        min=2,
        help="For user: histories are cut into windows of so many events, newest first.",
        show_default="200",
        rich_help_panel=_TABLES,
    ),
]
LastEvents = Annotated[
    int | None,
    typer.Option(min=2, help="Use only so many last events of each session or user.", rich_help_panel=_TABLES),
]
DwellCap = Annotated[
    float | None,
    typer.Option(help="Seconds; longer dwells count as this.", show_default="1800", rich_help_panel=_TABLES),
]

# What the dataset is

Levels = Annotated[
    int | None,
    typer.Option(help="Category levels K.", show_default="JD: that of most tokens; tables: deepest path, at most 5"),
]
Split = Annotated[
    SplitBy, typer.Option(help="time: the first sessions are for training; random: they are permuted first.")
]
Shares = Annotated[str, typer.Option(help="Shares of training, validation and test sessions.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random split.")]
MaxRejectShare = Annotated[float, typer.Option(help="More malformed rows than this share is an error.")]

# What reads and computes

_ENGINE = "Engine"
Engine = Annotated[
    EngineChoice,
    typer.Option(help="spark: needs pip install 'hup-recsys\\[spark]' and Java.", rich_help_panel=_ENGINE),
]
SparkMaster = Annotated[
    str | None, typer.Option(help="For example yarn.", show_default="this machine", rich_help_panel=_ENGINE)
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        help="For example 8GB; what exceeds it goes to disk.", show_default="half of memory", rich_help_panel=_ENGINE
    ),
]

#: Parameters whose values a dataset has already.
_SETTLED = (
    *("format", "sequence", "idle_gap", "window", "last_events", "dwell_cap", "levels", "split", "shares", "seed"),
    "overwrite",
)


def prepare(
    context: typer.Context,
    sources: Sources = None,
    out: Out = None,
    append: Append = None,
    items: Items = None,
    items_key: ItemsKey = None,
    format: Format = None,
    map: Map = None,
    query: Query = None,
    sequence: Sequence = None,
    idle_gap: IdleGap = None,
    window: Window = None,
    last_events: LastEvents = None,
    dwell_cap: DwellCap = None,
    levels: Levels = None,
    split: Split = SplitBy.TIME,
    shares: Shares = "0.7,0.1,0.2",
    seed: Seed = 0,
    max_reject_share: MaxRejectShare = 0.05,
    engine: Engine = EngineChoice.DUCKDB,
    spark_master: SparkMaster = None,
    memory_limit: MemoryLimit = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn a click log into a dataset folder, and print its statistics.

    Good rows are used; the others are listed in rejects.parquet with file, line, text and reason. The folder appears
    when all is done, or not at all.
    """
    if not sources and query is None and (append is None or not items):
        raise typer.BadParameter("Name at least one file, folder or glob, or give --query.", param_hint="SOURCE")
    if (out is None) == (append is None):
        raise typer.BadParameter("Give one of --out FOLDER (a new dataset) and --append DATASET.", param_hint="--out")
    reading: dict[str, Any] = {
        **{"sources": sources or [], "map": map, "query": query, "max_reject_share": max_reject_share},
        **{"items": items, "items_key": items_key},
        **{"engine": engine.value, "spark_master": spark_master, "memory_limit": memory_limit},
    }
    if append is not None:
        _refuse_settled(context)
        _report(_appended(append, reading), str(append), as_json)
        return
    assert out is not None
    sequences = {
        **{"sequence": None if sequence is None else sequence.value, "idle_gap_minutes": idle_gap, "window": window},
        **{"last_events": last_events, "dwell_cap_seconds": dwell_cap},
    }
    making = {
        **{"out": out, "format": None if format is None else format.value, "levels": levels, "split": split.value},
        **{"shares": _parse_shares(shares), "seed": seed, "overwrite": overwrite},
    }
    _report(_prepared({**reading, **sequences, **making}), out, as_json)


def _appended(dataset: Path, options: dict[str, Any]) -> Dataset:
    from hup.data.prepare import append

    with bars_progress() as progress:
        return append(dataset, **options, progress=progress)


def _prepared(options: dict[str, Any]) -> Dataset:
    from hup.data.prepare import prepare

    with bars_progress() as progress:
        return prepare(**options, progress=progress)


def _report(dataset: Dataset, out: str, as_json: bool) -> None:
    """Print the statistics of the dataset that is at `out` now, and how to go on."""
    from hup.cli.info import print_dataset
    from hup.data.engines.reader import is_uri

    place = out if is_uri(out) else str(dataset.path)
    if as_json:
        print_json(dataset_document(dataset) | {"path": place})
    else:
        print_dataset(dataset)
    if dataset.manifest.rejects.rows:
        note(f"{dataset.manifest.rejects.rows:,} rejected rows, with file and line: {place}/rejects.parquet")
    if not is_uri(out):
        note(f"Next: {command_line('hup', 'train', place, '--preset', 'best', '--out', 'MODEL')}")
    else:
        shutil.rmtree(dataset.path.parent, ignore_errors=True)
        note(f"Next: copy {place} to a machine that is to train, and hup train DATASET --preset best --out MODEL")


def _refuse_settled(context: typer.Context) -> None:
    for name in _SETTLED:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.replace("_", "-")
            raise typer.BadParameter(
                f"--{option} is settled by the dataset that is appended to; leave it out.", param_hint=f"--{option}"
            )


def _parse_shares(text: str) -> list[float]:
    try:
        return [float(share) for share in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers such as 0.7,0.1,0.2.", param_hint="--shares"
        ) from None
