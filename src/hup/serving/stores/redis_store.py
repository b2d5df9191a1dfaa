"""A store on a Redis, which replicas of the service on several machines read and write."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Self, cast
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection

from hup.errors import HupError
from hup.serving.stores import redis_scripts as scripts
from hup.serving.stores.batcher import Batcher
from hup.serving.stores.names import name_bytes, text_bytes
from hup.serving.stores.parts import in_parts
from hup.serving.stores.redis_errors import plain_errors, what_may_be_lost
from hup.serving.stores.store import REVISION_BYTES, Change, ItemRows, Kept

#: Seconds until a server that does not answer counts as gone.
PATIENCE = 2.0

#: Connections of a process; a task waits while all are busy.
CONNECTIONS = 64

#: Records and rows of one script: it stops all others while it runs.
_RECORDS_AT_ONCE = 256
_ROWS_AT_ONCE = 1000

#: Milliseconds that a sorted set keeps exactly; about the year 287,000.
_LAST_MOMENT = 2**53 - 1

#: A change with its user's name as bytes, and the revision that it makes.
_Named = tuple[bytes, bytes, Change]

_log = logging.getLogger(__name__)


class RedisStore:
    """Records on a server, each write one script; how durable that is, is a matter of the server's settings.

    Lists and names of expired users go with `sweep`; the records themselves go by Redis' own expiry. Writes that are
    cut into several scripts, as they are long, may be done in part when the server is lost.

    Raises
    ------
    hup.errors.StoreError
        By every method.
    """

    def __init__(self, client: Redis, address: str) -> None:
        self._client = client
        self._address = address
        # A command of Python's client costs more than the server's part, so what comes at the same time shares one.
        self._reads = Batcher(self._read_some)
        self._writes = Batcher(self._write_some)
        self._write = client.register_script(scripts.WRITE)
        self._forget = client.register_script(scripts.FORGET)
        self._sweep = client.register_script(scripts.SWEEP)
        self._put_items = client.register_script(scripts.PUT_ITEMS)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Reach a server, and warn in the log of what it may lose.

        Parameters
        ----------
        url : str
            ``redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]``, or ``rediss://`` with TLS.

        Raises
        ------
        hup.errors.StoreError
            It is not to be reached, or does not let us in.
        hup.errors.HupError
            It is no such address.
        """
        address = _shown(url)
        client = Redis.from_pool(_pool(url, address))
        with plain_errors(address):
            try:
                await client.ping()
                doubts = await what_may_be_lost(client)
            except BaseException:
                await client.aclose()
                raise
        for doubt in doubts:
            _log.warning("The store at %s may lose what it has answered. %s", address, doubt)
        return cls(client, address)

    async def read(self, user: str) -> Kept | None:
        """Give a user's record."""
        return await self._reads.ask(scripts.RECORD + name_bytes(user))

    async def write(self, changes: Sequence[Change]) -> list[bytes | None]:
        """Write records of users, each one unless another one was quicker."""
        keyed = [(name_bytes(change.user), os.urandom(REVISION_BYTES), change) for change in changes]
        return await self._writes.ask(keyed) if keyed else []

    async def forget(self, user: str) -> bool:
        """Remove all that is kept of a user."""
        name = name_bytes(user)
        with plain_errors(self._address):
            return bool(await self._forget([scripts.USERS, scripts.EXPIRING, scripts.RECORD + name], [name]))

    async def users(self, prefix: str, after: str, limit: int) -> list[str]:
        """List users by the beginning of their names."""
        start, last = text_bytes(prefix), text_bytes(after)
        if limit < 1:
            return []
        first = b"(" + last if last >= start else b"[" + start
        beyond = b"(" + start + b"\xff"  # no byte of UTF-8
        with plain_errors(self._address):
            found = cast("list[bytes]", await self._client.zrangebylex(scripts.USERS, first, beyond, 0, limit))
        return [name.decode() for name in found]

    async def sweep(self, now: float, limit: int) -> int:
        """Remove expired records."""
        if limit < 1:
            return 0
        with plain_errors(self._address):
            arguments = (str(_milliseconds(now)), str(limit), scripts.RECORD)
            return int(await self._sweep([scripts.USERS, scripts.EXPIRING], arguments))

    async def put_items(self, rows: Mapping[str, bytes]) -> int:
        """Put rows of items."""
        keyed = [(name_bytes(item), row) for item, row in rows.items()]
        keys = [scripts.ITEMS, scripts.ITEM_REVISIONS, scripts.ITEM_REVISION]
        with plain_errors(self._address):
            revision = 0 if keyed else await self._item_revision()
            for some in in_parts(keyed, _ROWS_AT_ONCE):
                revision = int(await self._put_items(keys, [part for pair in some for part in pair]))
        return revision

    async def items_since(self, revision: int) -> ItemRows:
        """Give the rows that were put after a revision."""
        rows: dict[str, bytes] = {}
        with plain_errors(self._address):
            newest = await self._item_revision()
            if revision == newest:
                return ItemRows(newest, rows)
            # What is put from here on may be among them; it comes again next time, as its revision is newer.
            since = revision if revision < newest else 0
            found = await self._client.zrangebyscore(scripts.ITEM_REVISIONS, f"({since}", "+inf")
            for items in in_parts(cast("list[bytes]", found), _ROWS_AT_ONCE):
                put = cast("list[bytes | None]", await self._client.hmget(scripts.ITEMS, items))
                rows |= {item.decode(): row for item, row in zip(items, put, strict=True) if row is not None}
        return ItemRows(newest, rows)

    async def check(self) -> None:
        """Find out whether the store can be read and written."""
        with plain_errors(self._address):
            await self._client.set(scripts.CHECKED, b"")

    async def close(self) -> None:
        """Let go of it."""
        await self._reads.close()
        await self._writes.close()
        with plain_errors(self._address):
            await self._client.aclose()

    async def _read_some(self, keys: Sequence[bytes]) -> list[Kept | None]:
        with plain_errors(self._address):
            values = cast("list[bytes | None]", await self._client.mget(keys))
        return [_kept(value) for value in values]

    async def _write_some(self, writes: Sequence[Sequence[_Named]]) -> list[list[bytes | None]]:
        done: list[int] = []
        with plain_errors(self._address):
            for some in in_parts([change for changes in writes for change in changes], _RECORDS_AT_ONCE):
                keys, arguments = [scripts.USERS, scripts.EXPIRING], list[bytes | int]()
                for name, revision, change in some:
                    keys.append(scripts.RECORD + name)
                    arguments += name, change.expected or b"", revision + change.data, _milliseconds(change.expires)
                done += await self._write(keys, arguments)
        won = iter(done)
        return [[revision if next(won) else None for _, revision, _ in changes] for changes in writes]

    async def _item_revision(self) -> int:
        return int(await self._client.get(scripts.ITEM_REVISION) or 0)


def _kept(value: bytes | None) -> Kept | None:
    return None if value is None else Kept(value[:REVISION_BYTES], value[REVISION_BYTES:])


def _pool(url: str, address: str) -> BlockingConnectionPool:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            # After a restart each connection finds out by itself that it is lost. All commands may come twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(LostConnection,)),
        )
        # What is wrong with options would show at the first command otherwise.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError) as error:
        raise HupError(f"{address} is not an address of a Redis: {error}. Expected redis://HOST:PORT/0.") from error
    return pool


def _shown(url: str) -> str:
    """Give an address without user and password, for messages."""
    try:
        parts = urlsplit(url)
        host, port, number = parts.hostname, parts.port or 6379, parts.path.removeprefix("/") or "0"
    except ValueError as error:
        raise HupError(f"The address of the Redis cannot be read: {error}. Expected redis://HOST:PORT/0.") from error
    if parts.scheme not in ("redis", "rediss") or not host or not number.isdecimal():
        raise HupError(
            f"{parts.scheme}://{host or ''}{parts.path} is not an address of a Redis. Expected redis://HOST:PORT/0."
        )
    return f"{parts.scheme}://{host}:{port}/{number}"


def _milliseconds(moment: float) -> int:
    return int(min(max(1000 * moment, 1), _LAST_MOMENT))
