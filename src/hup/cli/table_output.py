"""Tables that are made of many users: which users, and the file that they go to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hup.cli.console import note, progress

if TYPE_CHECKING:
    import pyarrow as pa

    from hup.data.dataset import Dataset
    from hup.sessions.asked import Asked


def asked_by_options(dataset: Dataset, users: str | None, sessions: str | None) -> Asked:
    """Look up those that ``--users`` or ``--sessions`` name: all, or the names in a file."""
    from hup.recommender.name_file import names_from_file
    from hup.sessions.asked import asked

    def named(value: str | None, column: str) -> list[str] | Literal["all"] | None:
        return value if value is None or value == "all" else names_from_file(Path(value), [column])  # type: ignore[return-value]

    return asked(dataset, named(users, "user"), named(sessions, "session"))


def write_table(
    out: Path,
    question: dict[str, Any],
    model: Path,
    dataset: Dataset,
    asked: Asked,
    schema: pa.Schema,
    make: Callable[[Asked, Callable[[int], None]], pa.RecordBatch],
    sessions_per_part: int,
) -> int:
    """Make a table part by part, show how far it is, say what became of it, and count its rows.

    Parameters
    ----------
    out : Path
        The file.
    question : dict
        What is asked, besides model, dataset and users.
    model : Path
        The folder.
    dataset : Dataset
    asked : Asked
    schema : pa.Schema
    make : callable
        Makes a part, given who is asked about in it and whom to tell of sessions that are done.
    sessions_per_part : int
    """
    from hup import __version__
    from hup.recommender.model_folder import CONFIG
    from hup.recommender.table_file import write_in_parts

    names = hashlib.sha256(json.dumps(asked.names.to_pylist()).encode())
    depends_on = {
        "version": __version__,
        "model": hashlib.sha256((model / CONFIG).read_bytes()).hexdigest(),
        "dataset": dataset.fingerprint,
        "asked": [asked.key, names.hexdigest(), sessions_per_part],
        "question": hashlib.sha256(json.dumps(question).encode()).hexdigest(),
    }
    parts = [asked.part(low, low + sessions_per_part) for low in range(0, len(asked), sessions_per_part)]
    try:
        with progress(f"{asked.key.capitalize()}s", total=len(asked)) as advance:
            rows = write_in_parts(
                out,
                depends_on,
                schema,
                parts,
                lambda part: make(part, advance),
                note=note,
                skipped=lambda part: advance(len(part)),
            )
    except KeyboardInterrupt:
        note("Stopped. The same command goes on with what is left.")
        raise
    note(f"{rows:,} rows for {len(asked):,} {asked.key}s in {out}")
    return rows
