"""The store that an address names."""

from __future__ import annotations

from pathlib import Path

from hup.errors import HupError
from hup.serving.stores.store import Store


async def open_store(address: str) -> Store:
    """Open a store.

    Parameters
    ----------
    address : str
        ``lmdb:FOLDER``, ``redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]`` (``rediss://`` with TLS), or ``memory:``,
        which is gone with the process.

    Raises
    ------
    hup.errors.StoreError
        It is not to be reached, not a store, or damaged.
    hup.errors.HupError
        The address is none of these.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "lmdb" and rest:
        from hup.serving.stores.lmdb_store import LmdbStore

        return LmdbStore(Path(rest))
    if scheme in ("redis", "rediss"):
        from hup.serving.stores.redis_store import RedisStore

        return await RedisStore.open(address)
    if address == "memory:":
        from hup.serving.stores.memory_store import MemoryStore

        return MemoryStore()
    raise HupError(f"{address!r} names no store. Expected lmdb:FOLDER, redis://HOST:PORT/0 or memory:.")
