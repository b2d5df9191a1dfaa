"""A store that is gone with its process: for tests and demonstrations."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from hup.serving.stores.names import name_bytes, text_bytes
from hup.serving.stores.store import REVISION_BYTES, Change, ItemRows, Kept


class MemoryStore:
    """Records in a dictionary, for one process; *nothing* of it is durable."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[Kept, float]] = {}
        self._items: dict[str, tuple[int, bytes]] = {}
        self._item_revision = 0

    async def read(self, user: str) -> Kept | None:
        """Give a user's record."""
        name_bytes(user)
        return self._alive(user)

    async def write(self, changes: Sequence[Change]) -> list[bytes | None]:
        """Write records of users, each one unless another one was quicker."""
        for change in changes:
            name_bytes(change.user)
        return [self._write(change) for change in changes]

    async def forget(self, user: str) -> bool:
        """Remove all that is kept of a user."""
        name_bytes(user)
        there = self._alive(user) is not None
        self._records.pop(user, None)
        return there

    async def users(self, prefix: str, after: str, limit: int) -> list[str]:
        """List users by the beginning of their names."""
        text_bytes(prefix + after)
        found = sorted(user for user in self._records if user.startswith(prefix) and user > after)
        return found[: max(limit, 0)]

    async def sweep(self, now: float, limit: int) -> int:
        """Remove expired records."""
        over = sorted((expires, user) for user, (_, expires) in self._records.items() if expires <= now)
        for _, user in over[: max(limit, 0)]:
            del self._records[user]
        return min(len(over), max(limit, 0))

    async def put_items(self, rows: Mapping[str, bytes]) -> int:
        """Put rows of items."""
        for item in rows:
            name_bytes(item)
        self._item_revision += bool(rows)
        self._items |= {item: (self._item_revision, row) for item, row in rows.items()}
        return self._item_revision

    async def items_since(self, revision: int) -> ItemRows:
        """Give the rows that were put after a revision."""
        newest = self._item_revision
        since = revision if revision <= newest else 0
        return ItemRows(newest, {item: row for item, (put, row) in self._items.items() if put > since})

    async def check(self) -> None:
        """Find out whether the store can be read and written."""

    async def close(self) -> None:
        """Let go of it."""

    def _alive(self, user: str) -> Kept | None:
        kept, expires = self._records.get(user, (None, 0.0))
        return kept if expires > time.time() else None

    def _write(self, change: Change) -> bytes | None:
        kept = self._alive(change.user)
        if change.expected != (kept and kept.revision):
            return None
        revision = os.urandom(REVISION_BYTES)
        self._records[change.user] = (Kept(revision, change.data), change.expires)
        return revision
