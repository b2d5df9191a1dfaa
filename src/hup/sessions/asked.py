"""Which sessions of a dataset are asked about: the newest one of each user, or sessions by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hup.data.dataset import Dataset, refuse_path
from hup.errors import HupError

Ints = NDArray[np.int64]
Names = Iterable[str] | Literal["all"]


@dataclass(frozen=True)
class Asked:
    """Sessions that are asked about, and the names by which they were asked.

    Attributes
    ----------
    key : {"user", "session"}
        What the names are of.
    names : pa.Array
        ``(n,)`` strings.
    sessions : ndarray
        ``(n,)`` int64, session indices of the dataset.
    """

    key: Literal["user", "session"]
    names: pa.Array
    sessions: Ints

    def __len__(self) -> int:
        return len(self.sessions)

    def part(self, low: int, high: int) -> Asked:
        """Take those from ``low`` up to, and without, ``high``."""
        return Asked(self.key, self.names[low:high], self.sessions[low:high])


def asked(dataset: Dataset, users: Names | None = None, sessions: Names | None = None) -> Asked:
    """Look up the sessions that are asked about.

    Parameters
    ----------
    dataset : Dataset
    users : "all" or iterable of str, optional
        Each stands for their newest session; the default, where no sessions are named, is all of them.
    sessions : "all" or iterable of str, optional
        Names of sessions.

    Raises
    ------
    HupError
        Both are given; the dataset names no users; or it has no such user, no such session, or several of that name.
    """
    refuse_path(dataset)
    if users is not None and sessions is not None:
        raise HupError("Both users and sessions are given, expected one of them.")
    if sessions is not None:
        return _sessions(dataset, sessions)
    return _users(dataset, "all" if users is None else users)


def _users(dataset: Dataset, users: Names) -> Asked:
    known = dataset.users.dictionary_encode().dictionary
    if not len(known):
        raise HupError(f"{dataset.path} names no users; ask for sessions instead: all, or some by name.")
    newest = newest_sessions(dataset)
    if isinstance(users, str) and users == "all":
        return Asked("user", known, newest)
    names = _strings(users, "users")
    code = _places(names, known, f"{dataset.path} has no user")
    return Asked("user", names, newest[code])


def _sessions(dataset: Dataset, sessions: Names) -> Asked:
    known = dataset.session_names
    if isinstance(sessions, str) and sessions == "all":
        return Asked("session", known, np.arange(len(dataset)))
    names = _strings(sessions, "sessions")
    place = _places(names, known, f"{dataset.path} has no session")
    counts = known.filter(pc.is_in(known, value_set=names)).value_counts()
    several = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(several):
        name, count = several[0]["values"], several[0]["counts"]
        raise HupError(f"{dataset.path} has {count} sessions that are called {name.as_py()!r}; ask for users.")
    return Asked("session", names, place)


def newest_sessions(dataset: Dataset) -> Ints:
    """Find the session of every user that began last, by the code of the user, ``(n_users,)``.

    Where times are not known it is the last one of the dataset.
    """
    user, index = dataset.user_codes, np.arange(len(dataset))
    order = np.lexsort((index, dataset.milliseconds[0], user))
    last = np.append(user[order][1:] != user[order][:-1], True)
    newest: Ints = order[last & (user[order] >= 0)]
    return newest


def _strings(names: Any, what: str) -> pa.Array:
    if isinstance(names, str):
        raise HupError(f"{what} is {names!r}, expected 'all' or a list of names.")
    names = [str(name) for name in names]
    return pa.array(names, pa.large_string())


def _places(names: pa.Array, known: pa.Array, lacking: str) -> Ints:
    """Find names among known ones, ``(n,)``."""
    place = pc.index_in(names, value_set=known)
    if place.null_count:
        first = names.filter(pc.is_null(place))[0].as_py()
        more = f", nor {place.null_count - 1:,} others that are asked for" if place.null_count > 1 else ""
        raise HupError(f"{lacking} {first!r}{more}.")
    found: Ints = place.to_numpy(zero_copy_only=False).astype(np.int64)
    return found
