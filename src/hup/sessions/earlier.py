"""Sessions that a user had before the one that is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.data.columns import changes
from hup.data.dataset import Dataset
from hup.sessions.batches import Histories, whole_sessions
from hup.sessions.levels import ragged_arange

Ints = NDArray[np.int64]

_SOME = 0.01  # share of training sessions; with fewer there is nothing to learn from


@dataclass(frozen=True)
class EarlierSessions:
    """The newest sessions that users had before those of a batch, ``E`` in all.

    Attributes
    ----------
    row : ndarray
        ``(E,)`` int64, ascending: the history of the batch whose user had the session; of each the oldest first.
    events : Histories
        ``E`` histories, whole sessions.
    ago : ndarray
        ``(E,)`` int64, how many sessions ago it was, 1 = the session before.
    age : ndarray
        ``(E,)`` float32 seconds from its end to the beginning of the history.
    """

    row: Ints
    events: Histories
    ago: Ints
    age: NDArray[np.float32]


def earlier_sessions(dataset: Dataset, sessions: Ints, most: int) -> EarlierSessions | None:
    """Look up what users did before some sessions.

    Parameters
    ----------
    dataset : Dataset
    sessions : ndarray
        ``(B,)`` session indices.
    most : int
        Go back until there are so many item runs, or more.

    Returns
    -------
    EarlierSessions or None
        None where none of the users had a session before.
    """
    row, one = np.arange(len(sessions)), np.asarray(sessions, dtype=np.int64)
    left, ago = np.full(len(sessions), most), 0
    found: list[tuple[Ints, Ints, Ints]] = []
    while True:
        one, ago = dataset.session_before[one], ago + 1
        going = (one >= 0) & (left > 0)
        row, one, left = row[going], one[going], left[going]
        if not len(row):
            break
        left = left - _item_runs(dataset, one)
        found.append((row, one, np.full(len(one), ago)))
    if not found:
        return None
    row, one, agos = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-agos, row))
    row, one, agos = row[order], one[order], agos[order]
    starts, ends = dataset.milliseconds
    age = ((starts[np.asarray(sessions)[row]] - ends[one]) / 1000).astype(np.float32)
    return EarlierSessions(row, whole_sessions(dataset, one), agos, age)


def looked_back_on(dataset: Dataset, most: int) -> int:
    """Item runs of earlier sessions to look at: ``most`` where training sessions teach what users do who come back.

    Else 0: where not one in a hundred has a session before, and always where a log names no users.
    """
    before = dataset.session_before[np.asarray(dataset.sessions("train"), dtype=np.int64)]
    return most if len(before) and (before >= 0).mean() >= _SOME else 0


def _item_runs(dataset: Dataset, sessions: Ints) -> Ints:
    """Count the item runs of sessions."""
    lengths = np.diff(dataset.offsets)[sessions]
    session = np.repeat(np.arange(len(sessions)), lengths)
    begins = changes(dataset.item[ragged_arange(dataset.offsets[sessions], lengths)]) | changes(session)
    return np.bincount(session[begins], minlength=len(sessions))
