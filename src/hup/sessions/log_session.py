"""One session from a file in the format of the log that a model was trained on."""

from __future__ import annotations

from pathlib import Path

from hup.data.manifest import Preparation
from hup.errors import HupError
from hup.sessions.events import Event


def events_from_log(path: Path, preparation: Preparation, levels: int) -> list[Event]:
    """Read a session by the mapping with which a log of event tables was prepared.

    Parameters
    ----------
    path : Path
    preparation : Preparation
        Of the dataset.
    levels : int
        K.

    Raises
    ------
    HupError
        The log was no event table; or the file does not read as one session of it.
    """
    from hup.data.tables.mapping import Mapping
    from hup.data.tables.session_file import session_rows

    if preparation.mapping is None:
        raise HupError(f"The model's log is of format {preparation.format}: there is no mapping to read {path} by.")
    mapping = Mapping.validated(preparation.mapping, "the model's mapping")
    return [
        Event(
            item=row["item"],
            behavior=row["behavior"],
            timestamp=row["time_ms"] / 1000 + row["time_ns"] / 1e9,
            categories=tuple(row["path"]),
            interval=row["interval"],
            dwell=row["dwell"],
        )
        for row in session_rows(path, mapping, levels).to_pylist()
    ]
