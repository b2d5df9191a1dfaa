"""A store in a folder of this machine: LMDB, which one or several processes read and write."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hup.serving.stores.batcher import Batcher
from hup.serving.stores.lmdb_environment import LmdbEnvironment, Reader
from hup.serving.stores.names import LONGEST_NAME, name_bytes, text_bytes
from hup.serving.stores.store import REVISION_BYTES, Change, ItemRows, Kept

if TYPE_CHECKING:
    from typing import Any

    import lmdb

    Transaction = lmdb.Transaction[bytes]

#: A moment in front of a key, so that keys are in the order of time (no moment is before 1970).
_MOMENT = struct.Struct(">d")

#: A revision of items, in front of a key or a row.
_NUMBER = struct.Struct(">Q")

#: Rows of items that are read in one go; other tasks have their turn in between.
_ROWS_AT_ONCE = 1000


class LmdbStore:
    """Records in a folder; every write is on the disk when it is answered.

    Reading takes microseconds and is done at once. Writing is done in a thread, where what came in while the disk was
    busy goes into one transaction. A record's value is its revision, the moment at which it expires, and its data.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    hup.errors.StoreError
        By every method.
    """

    def __init__(self, folder: Path) -> None:
        self._environment = LmdbEnvironment(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._writes = Batcher(self._commit)

    async def read(self, user: str) -> Kept | None:
        """Give a user's record."""
        key = name_bytes(user)
        value = self._environment.read(lambda transaction: transaction.get(key, db=self._environment.records))
        return _kept(value)

    async def write(self, changes: Sequence[Change]) -> list[bytes | None]:
        """Write records of users, each one unless another one was quicker."""
        if not changes:
            return []
        keyed = [(name_bytes(change.user), change) for change in changes]
        revisions = await self._writes.ask(partial(self._write, keyed))
        return cast("list[bytes | None]", revisions)

    async def forget(self, user: str) -> bool:
        """Remove all that is kept of a user."""
        return bool(await self._writes.ask(partial(self._remove, name_bytes(user))))

    async def users(self, prefix: str, after: str, limit: int) -> list[str]:
        """List users by the beginning of their names."""
        start = text_bytes(prefix)
        # No key is longer, so what follows the cut says nothing about which keys come after.
        first = max(start, text_bytes(after)[:LONGEST_NAME] + b"\0") if after else start
        if len(start) > LONGEST_NAME or limit < 1:
            return []

        def listed(transaction: Transaction) -> list[str]:
            cursor = transaction.cursor(self._environment.records)
            if not cursor.set_range(first):
                return []
            found = takewhile(lambda key: key.startswith(start), cursor.iternext(values=False))
            return [key.decode() for key in islice(found, limit)]

        return self._environment.read(listed)

    async def sweep(self, now: float, limit: int) -> int:
        """Remove expired records."""
        return int(await self._writes.ask(partial(self._sweep, now, limit)))

    async def put_items(self, rows: Mapping[str, bytes]) -> int:
        """Put rows of items."""
        keyed = {name_bytes(item): row for item, row in rows.items()}
        if not keyed:
            return self._environment.read(self._item_revision)
        return int(await self._writes.ask(partial(self._put_items, keyed)))

    async def items_since(self, revision: int) -> ItemRows:
        """Give the rows that were put after a revision."""
        environment = self._environment
        newest = environment.read(self._item_revision)
        if revision == newest:
            return ItemRows(newest, {})
        rows: dict[str, bytes] = {}
        start = _NUMBER.pack(revision + 1 if revision < newest else 0)
        while page := environment.read(partial(self._item_page, start)):
            rows |= {key[_NUMBER.size :].decode(): row for key, row in page}
            newest = _NUMBER.unpack_from(page[-1][0])[0]
            start = page[-1][0] + b"\0"
            await asyncio.sleep(0)
        return ItemRows(newest, rows)

    async def check(self) -> None:
        """Find out whether the store can be read and written."""
        environment = self._environment
        await self._writes.ask(lambda transaction: transaction.put(b"checked", b"", db=environment.about))

    async def close(self) -> None:
        """Let go of it."""
        await self._writes.close()
        self._thread.shutdown()
        self._environment.close()

    async def _commit(self, writers: Sequence[Reader[Any]]) -> list[Any]:
        """Call all with one transaction, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._environment.write, writers)

    def _write(self, changes: Sequence[tuple[bytes, Change]], transaction: Transaction) -> list[bytes | None]:
        return [self._write_one(key, change, transaction) for key, change in changes]

    def _write_one(self, key: bytes, change: Change, transaction: Transaction) -> bytes | None:
        before = transaction.get(key, db=self._environment.records)
        kept = _kept(before)
        if change.expected != (kept and kept.revision):
            return None
        revision, expires = os.urandom(REVISION_BYTES), _MOMENT.pack(max(change.expires, 0.0))
        self._unlist(key, before, transaction)
        transaction.put(expires + key, b"", db=self._environment.expiry)
        transaction.put(key, revision + expires + change.data, db=self._environment.records)
        return revision

    def _remove(self, key: bytes, transaction: Transaction) -> bool:
        before = transaction.pop(key, db=self._environment.records)
        self._unlist(key, before, transaction)
        return _kept(before) is not None

    def _unlist(self, key: bytes, value: bytes | None, transaction: Transaction) -> None:
        """Remove the moment at which a record was to expire."""
        if value is not None:
            transaction.delete(value[REVISION_BYTES:_HEAD] + key, db=self._environment.expiry)

    def _sweep(self, now: float, limit: int, transaction: Transaction) -> int:
        cursor = transaction.cursor(self._environment.expiry)
        removed = 0
        while removed < limit and cursor.first() and _MOMENT.unpack_from(cursor.key())[0] <= now:
            transaction.delete(cursor.key()[_MOMENT.size :], db=self._environment.records)
            cursor.delete()
            removed += 1
        return removed

    def _item_revision(self, transaction: Transaction) -> int:
        cursor = transaction.cursor(self._environment.item_revisions)
        return int(_NUMBER.unpack_from(cursor.key())[0]) if cursor.last() else 0

    def _item_page(self, start: bytes, transaction: Transaction) -> list[tuple[bytes, bytes]]:
        """Give keys of ``item_revisions`` from one on, each with its row."""
        cursor = transaction.cursor(self._environment.item_revisions)
        if not cursor.set_range(start):
            return []
        keys = list(islice(cursor.iternext(values=False), _ROWS_AT_ONCE))
        rows = (transaction.get(key[_NUMBER.size :], b"", db=self._environment.items) for key in keys)
        return [(key, row[_NUMBER.size :]) for key, row in zip(keys, rows, strict=True)]

    def _put_items(self, rows: Mapping[bytes, bytes], transaction: Transaction) -> int:
        revision = self._item_revision(transaction) + 1
        number = _NUMBER.pack(revision)
        for key, row in rows.items():
            before = transaction.replace(key, number + row, db=self._environment.items)
            if before is not None:
                transaction.delete(before[: _NUMBER.size] + key, db=self._environment.item_revisions)
            transaction.put(number + key, b"", db=self._environment.item_revisions)
        return revision


_HEAD = REVISION_BYTES + _MOMENT.size


def _kept(value: bytes | None) -> Kept | None:
    """Give a record out of its value, unless it has expired."""
    if value is None or _MOMENT.unpack_from(value, REVISION_BYTES)[0] <= time.time():
        return None
    return Kept(value[:REVISION_BYTES], value[_HEAD:])
