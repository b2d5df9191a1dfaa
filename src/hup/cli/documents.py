"""What ``--json`` prints or writes: one document, and on standard output nothing else beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hup.cli.console import console, error_console

if TYPE_CHECKING:
    from rich.console import Console

    from hup.data.dataset import Dataset
    from hup.data.manifest import SplitName
    from hup.evaluation import Evaluation
    from hup.experiment import Results
    from hup.proposing.propose import Proposal

FiguresFile = Annotated[
    Path | None, typer.Option(help="Write the figures to this file, too; - is standard output.", dir_okay=False)
]


def print_json(content: Any) -> None:
    """Print a document that any reader takes: no number is ``NaN``, and what an encoding lacks is escaped."""
    from pydantic_core import to_jsonable_python

    has_all_letters = (sys.stdout.encoding or "").lower().startswith("utf")
    finite = to_jsonable_python(content, inf_nan_mode="null")
    typer.echo(json.dumps(finite, indent=2, ensure_ascii=not has_all_letters, allow_nan=False))


@contextmanager
def figures_written(result: Evaluation | Results, path: Path | None) -> Iterator[Console]:
    """Write the figures where they are wanted, and give the console for the tables.

    A file comes before the tables: whoever reads these may go away, as with ``| head``.
    """
    if path is None:
        yield console
    elif str(path) == "-":
        yield error_console
        typer.echo(result.to_json(), nl=False)
    else:
        result.write_json(path)
        yield console


def dataset_document(dataset: Dataset) -> dict[str, Any]:
    """Give the manifest of a dataset, and beside it ``path``, ``users``, ``items_with_columns`` and ``parts``."""
    carried = dataset.item_columns
    without = 0 if carried is None else carried.rows(dataset.item_name_array).null_count
    return {
        "path": str(dataset.path),
        **dataset.manifest.model_dump(mode="json"),
        "users": dataset.n_users,
        "items_with_columns": None if carried is None else dataset.n_items - without,
        "parts": {part: _part(dataset, part) for part in ("train", "validation", "test")},
    }


def _part(dataset: Dataset, part: SplitName) -> dict[str, Any]:
    sessions = dataset.sessions(part)
    times = dataset.time_range(part) if dataset.manifest.time is not None else None
    return {
        "sessions": len(sessions),
        "events": int(dataset.offsets[sessions.stop] - dataset.offsets[sessions.start]),
        "time": times,
    }


def tree_document(dataset: Dataset, depth: int | None = None) -> dict[str, Any]:
    """Give the category tree down to a level: ``name``, ``items``, ``events`` and ``children`` of each category."""
    from hup.report.counted_tree import CountedTree

    if dataset.taxonomy.is_empty:
        return {"path": str(dataset.path), "categories": []}
    tree = CountedTree.of(dataset.taxonomy, dataset.item_events)
    shown = tree.down_to(dataset.levels if depth is None else depth)

    def branches(group: list[int]) -> list[dict[str, Any]]:
        return [
            {
                "name": tree.names[node],
                "items": int(tree.items[node]),
                "events": int(tree.events[node]),
                "children": branches(tree.children[node]),
            }
            for node in group
            if node in shown
        ]

    return {"path": str(dataset.path), "categories": branches(tree.roots)}


def model_document(folder: Path) -> dict[str, Any]:
    """Give ``path``, ``config`` and ``metrics`` of a model folder.

    Raises
    ------
    HupError
        It holds no finished model.
    """
    from hup.recommender.model_folder import METRICS, read_config, read_json

    metrics = {"metrics": read_json(folder / METRICS)} if (folder / METRICS).is_file() else {}
    return {"path": str(folder), "config": read_config(folder)} | metrics


def proposal_document(proposal: Proposal, out: Path | None, lacking: list[str], proposed: str | None) -> dict[str, Any]:
    """Give a proposed mapping.

    Parameters
    ----------
    proposal : Proposal
    out : Path, optional
        Where it was written.
    lacking : list of str
        What is to be filled in by hand.
    proposed : str, optional
        The command that comes next.
    """
    return {
        "path": None if out is None else str(out),
        "known_as": proposal.known_as,
        "is_complete": proposal.mapping is not None,
        "mapping": proposal.tree,
        "choices": [asdict(choice) for choice in proposal.choices],
        "remarks": proposal.remarks,
        "lacking": lacking,
        "next": proposed,
    }
