"""What a Redis may say, in plain words: errors, and what its settings mean for what is kept there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.asyncio import Redis

from hup.errors import StoreError


@contextmanager
def plain_errors(address: str) -> Iterator[None]:
    """Raise a `StoreError` for all that goes wrong between here and a server.

    Parameters
    ----------
    address : str
        Of the server, without a password.
    """
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise StoreError(f"The store at {address}: {str(error).removesuffix('.')}. {_advice(error)}") from error


def _advice(error: Exception) -> str:
    """Say what to do about an error."""
    match error:
        case exceptions.AuthenticationError() | exceptions.AuthorizationError() | exceptions.NoPermissionError():
            return "Put a user and a password that it knows into the address: redis://USER:PASSWORD@HOST:PORT/0."
        case exceptions.BusyLoadingError():
            return "It reads what it keeps, and answers when it is done."
        case exceptions.ReadOnlyError():
            return "It is a replica. Name the primary, which can be written."
        case exceptions.OutOfMemoryError():
            return "Give it more memory (maxmemory); nothing that was kept is lost."
        case exceptions.ConnectionError() | exceptions.TimeoutError() | OSError():
            return "See whether redis-server runs there and can be reached; the service goes on when it is back."
    return "See what its log says."


async def what_may_be_lost(client: Redis) -> list[str]:
    """Say in which ways the settings of a server allow that what it has answered is lost; nothing where it is safe."""
    try:
        found = await client.config_get("append*") | await client.config_get("maxmemory*")
    except exceptions.ResponseError:
        return ["It does not tell its settings, so whether it keeps what it answers is not known."]
    doubts = []
    if found.get("appendonly") != "yes":
        doubts.append("It keeps no log (appendonly no): what came since its last snapshot is lost when it dies.")
    elif found.get("appendfsync") != "always":
        fsync = found.get("appendfsync")
        doubts.append(f"Its log reaches the disk later (appendfsync {fsync}): the latest seconds may be lost.")
    if found.get("maxmemory", "0") != "0" and found.get("maxmemory-policy") != "noeviction":
        policy = found.get("maxmemory-policy")
        doubts.append(f"It drops records when its memory is full (maxmemory-policy {policy}).")
    return doubts
