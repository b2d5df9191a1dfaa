"""Stores to test, one after the other; a Redis of the system's packages."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from hup.serving.stores.open_store import open_store
from hup.serving.stores.store import Store

from ...helpers.redis_servers import RedisServer

#: A number of a database of the shared server for each that asks for an empty one.
NUMBERS = itertools.count()
DATABASES = 4096


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(redis_folder) -> Iterator[RedisServer]:
    options = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--databases", str(DATABASES))
    server = RedisServer(redis_folder, *options)
    yield server
    server.stop()


@pytest.fixture(params=["memory", "lmdb", "redis"])
def new_address(request, tmp_path) -> Callable[[], str]:
    """Names an empty store each time it is called, of every kind that there is."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        return lambda: f"redis://127.0.0.1:{server.port}/{next(NUMBERS) % DATABASES}"
    if request.param == "lmdb":
        folders = itertools.count()
        return lambda: f"lmdb:{tmp_path / str(next(folders))}"
    return lambda: "memory:"


@pytest.fixture
def address(new_address) -> str:
    return new_address()


@pytest.fixture(params=["lmdb", "redis"])
def durable_address(request, tmp_path) -> str:
    """An empty store that several processes share."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        return f"redis://127.0.0.1:{server.port}/{next(NUMBERS) % DATABASES}"
    return f"lmdb:{tmp_path / 'store'}"


@pytest.fixture
async def store(address) -> AsyncIterator[Store]:
    opened = await open_store(address)
    yield opened
    await opened.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made
