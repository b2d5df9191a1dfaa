"""The session that a command is about: a file, standard input, or one of a dataset."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from hup.errors import HupError

if TYPE_CHECKING:
    from hup.data.dataset import Dataset
    from hup.recommender.base import Recommender
    from hup.sessions.events import Event


class SessionFormat(StrEnum):
    """How a session is written."""

    JD = "jd"
    JSONL = "jsonl"


class LogFormat(StrEnum):
    """How a session is written for a model that knows the format of its log."""

    LOG = "log"
    JD = "jd"
    JSONL = "jsonl"


@dataclass(frozen=True)
class GivenSession:
    """A session, and what is known of its user besides.

    Attributes
    ----------
    events : list of Event
    earlier : list of list of Event
        Sessions that the user had before, oldest first.
    seen : frozenset of str
        Items of all sessions of the user.
    """

    events: list[Event]
    earlier: list[list[Event]]
    seen: frozenset[str] = frozenset()


def session_from_file(session: Path, format: LogFormat, model: Recommender) -> GivenSession:
    """Read the session of a file, or with ``-`` of standard input.

    Parameters
    ----------
    session : Path
    format : LogFormat
    model : Recommender
        It knows how its log is written.

    Raises
    ------
    HupError
        It does not read.
    """
    from hup.sessions.events import events_from_jd, events_from_jsonl
    from hup.sessions.log_session import events_from_log

    if format is LogFormat.LOG and model.preparation is not None and model.preparation.format != "jd":
        if str(session) == "-":
            raise HupError("A table is read from a file; from standard input give a session with --format jsonl or jd.")
        return GivenSession(events_from_log(session, model.preparation, model.vocabulary.levels), [])
    read = events_from_jsonl if format is LogFormat.JSONL else events_from_jd
    source = "standard input" if str(session) == "-" else str(session)
    return GivenSession(read(session_text(session), source), [])


def session_from_dataset(dataset: Dataset, user: str | None, session: str | None) -> GivenSession:
    """Look up a session by its name, or the newest one of a user.

    Raises
    ------
    HupError
        The dataset has no such user or session.
    """
    from hup.sessions.asked import asked
    from hup.sessions.batches import whole_sessions
    from hup.sessions.dataset_events import dataset_events
    from hup.sessions.ever import EverSeen

    named = asked(dataset, None if user is None else [user], None if session is None else [session]).sessions
    earlier: list[list[Event]] = []
    before = int(dataset.session_before[named[0]])
    while before >= 0:
        earlier.insert(0, dataset_events(dataset, before))
        before = int(dataset.session_before[before])
    _, items = EverSeen(dataset).pairs(whole_sessions(dataset, named), "item")
    seen = dataset.item_name_array.take(items.unique().numpy()).to_pylist()
    return GivenSession(dataset_events(dataset, int(named[0])), earlier, frozenset(seen))


def session_text(session: Path) -> str:
    """Read the text of a file, or with ``-`` standard input.

    Raises
    ------
    HupError
        It cannot be read, or is not UTF-8.
    """
    try:
        raw = sys.stdin.buffer.read() if str(session) == "-" else session.read_bytes()
        return raw.decode("utf-8-sig")  # editors on Windows begin files with a byte order mark
    except OSError as error:
        raise HupError(f"Cannot read the session {session}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise HupError(f"The session {session} is not UTF-8 at byte {error.start}.") from error
