"""What the service asks of a store: records of users by compare-and-set, and what a shop says of its items.

A store knows bytes, keys and moments, and nothing of what they mean. All of it may be used by several processes at
once, on one machine or on several as far as the store reaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

#: Drawn anew for every write.
REVISION_BYTES: Final = 16


@dataclass(frozen=True)
class Kept:
    """A record as it is kept.

    Attributes
    ----------
    revision : bytes
        Changes with every write, and never comes again: a record that was forgotten and begun anew has another one.
    data : bytes
    """

    revision: bytes
    data: bytes


@dataclass(frozen=True)
class Change:
    """A record to be written, if nobody else has written it since it was read.

    Attributes
    ----------
    user : str
    expected : bytes or None
        Revision that was read; None = there was no record.
    data : bytes
    expires : float
        Seconds since 1970 after which the user counts as unknown.
    """

    user: str
    expected: bytes | None
    data: bytes
    expires: float


@dataclass(frozen=True)
class ItemRows:
    """What was put about items since some revision.

    Attributes
    ----------
    revision : int
        Of the newest row that there is; 0 = none was ever put.
    rows : mapping of str to bytes
        By item, only those put after the revision that was asked about.
    """

    revision: int
    rows: Mapping[str, bytes]


class Store(Protocol):
    """Records of users, and rows of items.

    Raises
    ------
    hup.errors.StoreError
        By every method: the store is not to be reached, is full, or is damaged. No record is half-written then; whether
        a whole one was written is not known where the answer of a server was lost.
    hup.errors.HupError
        By every method that is given names, if one of them is empty, longer than 500 bytes of UTF-8, or no text.
    """

    async def read(self, user: str) -> Kept | None:
        """Give a user's record; None where there is none, or it has expired."""

    async def write(self, changes: Sequence[Change]) -> list[bytes | None]:
        """Write records of different users, each one only if its revision is still the expected one.

        Returns
        -------
        list of bytes or None
            For each change the new revision, or None: another one was quicker, and nothing is written of this one. When
            it returns, what is written is durable.
        """

    async def forget(self, user: str) -> bool:
        """Remove all that is kept of a user, durably; say whether there was anything."""

    async def users(self, prefix: str, after: str, limit: int) -> list[str]:
        """List users whose name begins so, by code points, from the one after a name on.

        Expired ones may be among them. Where the last name of one list is `after` of the next, nobody is listed twice,
        and nobody is left out who was there all the while. `prefix` and `after` need not be names; both may be empty.
        """

    async def sweep(self, now: float, limit: int) -> int:
        """Remove all that is kept of users whose records expire by a moment, at most so many; say how many."""

    async def put_items(self, rows: Mapping[str, bytes]) -> int:
        """Put rows of items in place of those that were there, durably; give the new revision."""

    async def items_since(self, revision: int) -> ItemRows:
        """Give the rows that were put after a revision; cheap where there are none.

        All of them, where the revision is newer than any that there is: the store has been emptied since.
        """

    async def check(self) -> None:
        """Find out whether the store can be read and written."""

    async def close(self) -> None:
        """Let go of it."""
