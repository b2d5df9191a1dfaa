"""What becomes of a store on a Redis that is gone, hangs, is full, or does not let us in."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from hup.errors import HupError, StoreError
from hup.serving.stores import redis_scripts, redis_store
from hup.serving.stores.open_store import open_store
from hup.serving.stores.redis_store import PATIENCE, RedisStore
from hup.serving.stores.store import Change, Kept

from ...helpers.redis_servers import RedisServer, free_port

pytestmark = pytest.mark.anyio

LATER = time.time() + 86_400


def change(user: str, data: bytes = b"data", expected: bytes | None = None) -> Change:
    return Change(user, expected, data, LATER)


def calls(store: RedisStore) -> list[Callable[[], Coroutine[Any, Any, Any]]]:
    """All that can be asked."""
    return [
        lambda: store.read("a"),
        lambda: store.write([change("new")]),
        lambda: store.forget("new"),
        lambda: store.users("", "", 10),
        lambda: store.sweep(time.time(), 10),
        lambda: store.put_items({"i": b""}),
        lambda: store.items_since(0),
        lambda: store.check(),
    ]


@pytest.fixture
async def command(own_redis) -> Any:
    """What an administrator types."""
    async with Redis(port=own_redis.port, decode_responses=True) as client:
        yield client.execute_command


async def test_a_server_that_is_gone_and_back(own_redis):
    store = await RedisStore.open(own_redis.url)
    (revision,) = await store.write([change("a")])
    for _ in range(2):
        own_redis.stop()
        for call in calls(store):
            with pytest.raises(StoreError, match=r"127\.0\.0\.1:.* See whether redis-server runs there"):
                await asyncio.wait_for(call(), 2 * PATIENCE)
        own_redis.start()
        # At once, on connections that are all lost, and without its scripts.
        assert await store.read("a") == Kept(revision, b"data")
        (revision,) = await store.write([change("a", expected=revision)])
        for call in calls(store):
            await call()
    await store.close()


async def test_many_tasks_while_a_server_restarts(own_redis):
    """Connections that were lost do not go round for ever."""
    store = await RedisStore.open(own_redis.url)
    await asyncio.gather(*(store.users(str(number), "", 10) for number in range(40)))
    own_redis.stop()
    own_redis.start()
    assert await asyncio.gather(*(store.users(str(number), "", 10) for number in range(40))) == [[]] * 40
    await store.close()


async def test_a_server_that_hangs(own_redis, monkeypatch):
    monkeypatch.setattr(redis_store, "PATIENCE", 0.3)
    store = await RedisStore.open(own_redis.url)
    (revision,) = await store.write([change("a")])
    own_redis.pause()
    try:
        results = await asyncio.wait_for(asyncio.gather(*(call() for call in calls(store)), return_exceptions=True), 2)
    finally:
        own_redis.go_on()
    assert [type(result) for result in results] == [StoreError] * len(calls(store))
    assert await store.read("a") == Kept(revision, b"data")
    await store.check()
    await store.close()


async def test_a_server_that_is_killed_has_kept_what_it_answered(own_redis):
    store = await RedisStore.open(own_redis.url)
    done: dict[str, Kept] = {}

    async def go_on(user: str) -> None:
        revision, number = None, 0
        while True:
            data = str(number).encode().ljust(2000)
            (revision,) = await store.write([change(user, data, revision)])
            assert revision is not None
            done[user] = Kept(revision, data)
            number += 1

    writers = [asyncio.create_task(go_on(f"user {number}")) for number in range(8)]
    await asyncio.sleep(0.3)
    own_redis.stop(signal.SIGKILL)
    assert {type(error) for error in await asyncio.gather(*writers, return_exceptions=True)} == {StoreError}
    own_redis.start()
    assert len(done) == 8
    for user, kept in done.items():
        found = await store.read(user)
        # The next one may have been written, and its answer lost.
        assert found is not None
        assert found == kept or int(found.data) == int(kept.data) + 1
    await store.close()


async def test_a_write_that_comes_twice_is_done_once(own_redis):
    """The client sends it again where a connection was lost before the answer came."""
    store = await RedisStore.open(own_redis.url)
    async with Redis(port=own_redis.port) as client:
        script = client.register_script(redis_scripts.WRITE)
        keys = [redis_scripts.USERS, redis_scripts.EXPIRING, redis_scripts.RECORD + b"a"]
        arguments = [b"a", b"", b"r" * 16 + b"data", int(LATER * 1000)]
        assert [await script(keys, arguments), await script(keys, arguments)] == [[1], [1]]
        assert await store.read("a") == Kept(b"r" * 16, b"data")
        assert None not in await store.write([change("a", b"2", b"r" * 16)])
        assert await script(keys, arguments) == [0]
    await store.close()


async def test_scripts_that_the_server_has_forgotten(own_redis, command):
    store = await RedisStore.open(own_redis.url)
    await command("SCRIPT", "FLUSH")
    for call in calls(store):
        await call()
    await store.close()


async def test_a_server_without_memory(own_redis, command):
    store = await RedisStore.open(own_redis.url)
    (revision,) = await store.write([change("a")])
    await command("CONFIG", "SET", "maxmemory", "1")
    for call in (store.write([change("a", b"2", revision), change("b")]), store.put_items({"i": b""}), store.check()):
        with pytest.raises(StoreError, match="Give it more memory"):
            await call
    assert await store.read("a") == Kept(revision, b"data")
    assert await store.users("", "", 10) == ["a"]
    assert (await store.items_since(0)).rows == {}
    assert await store.forget("a")  # which makes room
    await command("CONFIG", "SET", "maxmemory", "0")
    assert None not in await store.write([change("a")])
    await store.close()


async def test_a_replica_is_read_and_not_written(own_redis, command, tmp_path):
    await command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    primary = await RedisStore.open(own_redis.url)
    (revision,) = await primary.write([change("a")])
    copy = RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_redis.port))
    try:
        store = await RedisStore.open(copy.url)
        end = time.monotonic() + 20
        while await store.read("a") != Kept(revision, b"data"):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        for call in (store.write([change("b")]), store.forget("a"), store.put_items({"i": b""}), store.check()):
            with pytest.raises(StoreError, match="Name the primary"):
                await call
        await store.close()
    finally:
        copy.stop()
    assert await primary.users("", "", 10) == ["a"]
    await primary.close()


async def test_a_password(own_redis, command):
    await command("CONFIG", "SET", "requirepass", "s3cret")
    good, bad = f"redis://:s3cret@127.0.0.1:{own_redis.port}", f"redis://:s3cre@127.0.0.1:{own_redis.port}"
    store = await open_store(good)
    assert None not in await store.write([change("a")])
    await store.close()
    for url in (bad, own_redis.url):
        with pytest.raises(StoreError, match="Put a user and a password that it knows into the address") as caught:
            await open_store(url)
        assert "s3cre" not in str(caught.value)


async def test_a_user_without_rights(own_redis, command):
    await command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+ping", "+hello")
    store = await open_store(f"redis://reader:pw@127.0.0.1:{own_redis.port}")
    assert await store.read("a") is None
    with pytest.raises(StoreError, match="Put a user and a password"):
        await store.write([change("a")])
    await store.close()


DOUBTS = [
    ({}, None),
    ({"appendfsync": "everysec"}, r"appendfsync everysec\): the latest seconds may be lost"),
    ({"appendonly": "no"}, r"appendonly no\): what came since its last snapshot is lost"),
    ({"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}, r"drops records .*\(maxmemory-policy allkeys-lru\)"),
    ({"maxmemory": "1gb", "maxmemory-policy": "noeviction"}, None),
    ({"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}, None),
]


@pytest.mark.parametrize(("options", "doubt"), DOUBTS)
async def test_what_may_be_lost_is_said(redis_folder, tmp_path, caplog, options, doubt):
    settings = {"appendonly": "yes", "appendfsync": "always"} | options
    server = RedisServer(tmp_path / "r", *(word for name, value in settings.items() for word in (f"--{name}", value)))
    try:
        with caplog.at_level(logging.WARNING):
            store = await open_store(server.url)
        await store.close()
    finally:
        server.stop()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("hup")]
    assert len(said) == (doubt is not None)
    if doubt is not None:
        assert re.search(doubt, said[0])


async def test_settings_that_are_not_told(own_redis, command, caplog):
    await command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-config")
    with caplog.at_level(logging.WARNING):
        store = await open_store(f"redis://app:pw@127.0.0.1:{own_redis.port}")
    assert None not in await store.write([change("a")])
    await store.close()
    assert "does not tell its settings, so whether it keeps what it answers is not known" in caplog.text
    assert "pw" not in caplog.text


async def test_nobody_there():
    with pytest.raises(StoreError, match="See whether redis-server runs there"):
        await open_store(f"redis://127.0.0.1:{free_port()}")


@pytest.fixture
def web_server() -> Iterator[int]:
    """Something that speaks another language; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


async def test_something_else_there(web_server):
    with pytest.raises(StoreError, match=r"The store at redis://127\.0\.0\.1"):
        await asyncio.wait_for(open_store(f"redis://127.0.0.1:{web_server}"), 3 * PATIENCE)


@pytest.mark.parametrize(
    "url",
    [
        "redis:",
        "redis://",
        "redis:///0",
        "redis://:s3cret@",
        "redis://:s3cret@host:port/0",
        "redis://:s3cret@host:99999/0",
        "redis://:s3cret@host/zero",
        "redis://:s3cret@host/0/1",
        "redis://:s3cret@host/0?nothing=1",
        "redis://:s3cret@host/0?socket_timeout=soon",
        "redis://[::1",
    ],
)
async def test_an_address_that_is_none(url):
    with pytest.raises(HupError, match="Expected redis://HOST:PORT/0") as caught:
        await open_store(url)
    assert "s3cret" not in str(caught.value)


async def test_a_database_that_is_not_there(own_redis):
    with pytest.raises(StoreError, match="DB index is out of range"):
        await open_store(own_redis.url.removesuffix("0") + "9999")
