"""``hup map``: propose what the columns of a table mean."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hup.cli.console import EXIT_ERROR, console, note, progress, results_table
from hup.cli.documents import print_json, proposal_document
from hup.errors import HupError, command_line
from hup.files import write_aside

if TYPE_CHECKING:
    from hup.proposing.propose import Proposal
    from hup.proposing.sample import TableSample


def map(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Files, folders, globs.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="TOML file to write the mapping to.", show_default=False)] = None,
    query: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="SQL over files it names, or over the DuckDB file given as SOURCE.",
            show_default=False,
        ),
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of text: utf-8, cp1252, gb18030, …")] = "utf-8",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Propose a mapping for event tables: which column is the user, the item, the time, the category.

    The proposal rests on names and on a sample of the rows. It is written as TOML with remarks, for you to edit. The
    exit code is 1 if a role is lacking without which there is no mapping.
    """
    from hup.data.engines.duckdb_engine import DuckDBEngine
    from hup.data.engines.plain_text import check_encoding
    from hup.data.engines.reader import TableSource
    from hup.data.log_source import find_sources, query_source, refuse_databases
    from hup.proposing.propose import propose_mapping
    from hup.proposing.sample import sample_tables

    encoding = check_encoding(encoding)
    if out is not None and out.exists() and not overwrite:
        raise HupError(f"{out} exists already; choose another --out, or add --overwrite to replace it.")
    given = sources or []
    if query is not None:
        source = query_source(query, given, "duckdb")
    elif given:
        refuse_databases(given)
        source = TableSource(files=tuple(find_sources(given, out or Path("mapping.toml"), note)))
    else:
        raise HupError("Name files, folders or globs, or give a --query.")
    with tempfile.TemporaryDirectory() as work, DuckDBEngine(Path(work)) as engine, progress("Looking at rows"):
        samples, remarks = sample_tables(source, engine, encoding)
    for remark in remarks:
        note(remark)
    proposals = [
        propose_mapping(sample.rows, sample.dialect.delimiter, sample.dialect.header, encoding) for sample in samples
    ]
    sample, proposal = _event_table(samples, proposals)
    if not as_json:
        _print(proposal)
    for remark in proposal.remarks:
        note(remark)
    _finish(proposal, sample, given if query is None else [*given, "--query", query], out, as_json)


def _event_table(samples: list[TableSample], proposals: list[Proposal]) -> tuple[TableSample, Proposal]:
    """Choose the table that holds events: one of a known log, or else the only one that has all that events need."""
    if len(samples) == 1:
        return samples[0], proposals[0]
    pairs = list(zip(samples, proposals, strict=True))
    likely = [pair for pair in pairs if pair[1].known_as is not None] or [
        pair for pair in pairs if pair[1].mapping is not None
    ]
    names = "; ".join(f"{sample.files[0].name} ({', '.join(sample.rows.column_names)})" for sample in samples)
    is_one_log = len({proposal.known_as for _, proposal in likely}) == 1 and likely[0][1].known_as is not None
    if len(likely) == 1 or is_one_log:
        others = [sample.files[0].name for sample in samples if sample is not likely[0][0]]
        if likely[0][1].known_as is None:
            note(
                f"Not events: {', '.join(others)}. Tables of items and of parent categories can be named under "
                "[categories.items] and [categories.parents]."
            )
        return likely[0]
    raise HupError(
        f"The files are {len(samples)} tables of different columns: {names}. Name the files of one table of events; a "
        "mapping may have several [[tables]]."
    )


def _print(proposal: Proposal) -> None:
    from hup.proposing.toml import missing_shares

    table = results_table("Proposed mapping", ("Role", "Column", "Values", "Missing", "Why"), right=("Missing",))
    for choice in proposal.choices:
        columns = ", ".join(choice.columns) or "[dim]none[/]"
        left = f"; columns left: {', '.join(choice.candidates)}" if choice.candidates else ""
        table.add_row(
            choice.role,
            escape(columns) if choice.columns else columns,
            escape(choice.examples),
            missing_shares(choice),
            escape(choice.why + left),
        )
    console.print()
    console.print(table)


def _finish(proposal: Proposal, sample: TableSample, given: list[str], out: Path | None, as_json: bool) -> None:
    """Write the mapping if wanted, and say how to go on."""
    from hup.proposing.toml import proposal_toml

    known = proposal.known_as
    mapping = [] if known == "standard" else ["--map", known or out or "mapping.toml"]
    command = command_line("hup", "validate", *given, "--format", "events", *mapping)
    if known == "standard":
        note("These are HUP's own names: no mapping is needed.")
    elif known is not None:
        note(f"These are the columns of the built-in mapping {known}.")
    if out is not None:
        text = proposal_toml(proposal, command_line(*given), command)
        with write_aside(out) as aside:
            aside.write_text(text, encoding="utf-8")
        note(f"Written to {out}")
    lacking = list(_lacking(proposal, out)) if proposal.mapping is None else []
    if out is None and known is None:
        command = command_line("hup", "map", *given, "--out", "mapping.toml")
    if as_json:
        print_json(proposal_document(proposal, out, lacking, None if lacking else command))
    for sentence in lacking or [f"Next: {command}"]:
        note(sentence)
    if lacking:
        raise typer.Exit(EXIT_ERROR)


def _lacking(proposal: Proposal, out: Path | None) -> Iterator[str]:
    """Say which roles a mapping needs that nothing was found for, and what to do."""
    choices = {choice.role: choice for choice in proposal.choices}
    proposed = {role for role, choice in choices.items() if choice.columns}
    missing = [role for role in ("timestamp", "item") if role not in proposed]
    missing += [] if proposed & {"user", "session"} else ["user or session"]
    yield f"Not found: {', '.join(missing)}."
    if "timestamp" in choices and choices["timestamp"].readings:
        yield f"timestamp is {choices['timestamp'].why}. Which of them is meant? State it as format."
    if out is None:
        yield "Write the mapping down with --out mapping.toml, and fill in its commented lines."
    else:
        yield f"Fill in the commented lines of {out}."
