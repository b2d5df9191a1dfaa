"""What holds for every store."""

from __future__ import annotations

import asyncio
import time

import pytest

from hup.errors import HupError
from hup.serving.stores.names import LONGEST_NAME
from hup.serving.stores.open_store import open_store
from hup.serving.stores.store import Change, ItemRows, Kept

pytestmark = pytest.mark.anyio

LATER = time.time() + 86_400
HOSTILE = [
    "a",
    "A",
    "aa",
    "a b",
    "a/b",
    "a/../b",
    " a",
    "a ",
    "'a\"",
    "a%2Fb",
    "a:b",
    "{hup}:record:a",
    "*",
    "a\u0301",
    "á",
    "ß",
    "日本",
    "😀",
    "😀😀",
    "\uffff",
    "\U0010ffff",
    "a\x00",
    "\x00",
    "\x7f",
    "$(a)",
    "-1",
    "[a",
    "(a",
    "+",
    "-",
    "n" * LONGEST_NAME,
    "n" * (LONGEST_NAME - 1),
]


def change(user: str, expected: bytes | None = None, data: bytes = b"data", expires: float = LATER) -> Change:
    return Change(user, expected, data, expires)


async def written(store, user: str, expected: bytes | None = None, data: bytes = b"data", expires: float = LATER):
    """Write a record, which nobody else has written meanwhile."""
    (revision,) = await store.write([change(user, expected, data, expires)])
    assert revision is not None
    return revision


async def listed(store, prefix: str, page: int) -> list[str]:
    """List users page by page."""
    found: list[str] = []
    while names := await store.users(prefix, found[-1] if found else "", page):
        assert len(names) <= page
        found += names
    return found


async def test_a_store_begins_empty(store):
    assert await store.read("a") is None
    assert await store.users("", "", 10) == []
    assert await store.items_since(0) == ItemRows(0, {})
    assert await store.sweep(LATER, 10) == 0
    assert not await store.forget("a")
    await store.check()
    assert await store.users("", "", 10) == []


async def test_what_was_written_is_read(store):
    revision = await written(store, "a", data=b"\x00\xff one")
    assert await store.read("a") == Kept(revision, b"\x00\xff one")
    assert len(revision) == 16
    second = await written(store, "a", revision, b"")
    assert await store.read("a") == Kept(second, b"")
    assert second != revision


async def test_who_read_an_older_revision_writes_nothing(store):
    first = await written(store, "a", data=b"1")
    second = await written(store, "a", first, b"2")
    for stale in (None, first, bytes(16), b"short", second + b"longer"):
        assert await store.write([change("a", stale, b"3")]) == [None]
    assert await store.read("a") == Kept(second, b"2")
    assert await store.write([change("b", first, b"3")]) == [None]
    assert await store.read("b") is None
    assert await store.users("", "", 10) == ["a"]


async def test_each_change_of_one_write_is_judged_alone(store):
    first = await written(store, "a")
    won = await store.write([change("b"), change("a", None, b"lost"), change("c", first), change("d", data=b"4")])
    assert [revision is not None for revision in won] == [True, False, False, True]
    assert won[0] != won[3]
    assert await store.read("a") == Kept(first, b"data")
    assert await store.read("d") == Kept(won[3], b"4")
    assert await store.users("", "", 10) == ["a", "b", "d"]


async def test_nothing_to_write(store):
    assert await store.write([]) == []
    assert await store.put_items({}) == 0


async def test_concurrent_writers_lose_nothing(store):
    async def count(user: str) -> int:
        tries = 0
        while True:
            tries += 1
            kept = await store.read(user)
            data = str(int(kept.data) + 1 if kept else 1).encode()
            (revision,) = await store.write([change(user, kept and kept.revision, data)])
            if revision is not None:
                return tries
            await asyncio.sleep(0)

    tries = await asyncio.gather(*(count(f"user {number % 3}") for number in range(60)))
    assert [(await store.read(f"user {number}")).data for number in range(3)] == [b"20"] * 3
    assert sum(tries) >= 60


async def test_a_writer_that_is_cancelled_hurts_no_other(store):
    tasks = [asyncio.create_task(written(store, f"user {number}")) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(revision, bytes) for revision in done[1::2])
    for number in range(1, 20, 2):
        assert await store.read(f"user {number}") == Kept(done[number], b"data")
    await written(store, "after")


async def test_who_is_forgotten_is_gone(store):
    await written(store, "a")
    await written(store, "b")
    assert await store.forget("a")
    assert await store.read("a") is None
    assert await store.users("", "", 10) == ["b"]
    assert not await store.forget("a")
    assert await store.sweep(LATER + 1, 10) == 1


async def test_no_revision_comes_again(store):
    first = await written(store, "a")
    await store.forget("a")
    assert await store.write([change("a", first)]) == [None]
    again = await written(store, "a")
    assert again != first
    assert await store.write([change("a", first)]) == [None]
    revisions = {first, again}
    for _ in range(50):
        again = await written(store, "a", again)
        revisions.add(again)
    assert len(revisions) == 52


async def test_an_expired_record_is_unknown_and_may_be_written_anew(store):
    soon = time.time() + 0.05
    first = await written(store, "a", expires=soon)
    past = await written(store, "b", expires=time.time() - 1)
    assert await store.read("b") is None
    assert await store.write([change("b", past)]) == [None]
    while time.time() < soon + 0.01:
        await asyncio.sleep(0.01)
    assert await store.read("a") is None
    assert not await store.forget("a")
    assert await store.write([change("a", first)]) == [None]
    again = await written(store, "a", data=b"anew")
    assert await store.read("a") == Kept(again, b"anew")
    assert await store.sweep(time.time(), 10) <= 1
    assert await store.users("", "", 10) == ["a"]


async def test_sweeping_removes_what_is_over_and_nothing_else(store):
    now = time.time()
    revisions = await store.write([change(f"old {n}", expires=now - 100 + n) for n in range(5)] + [change("new")])
    assert None not in revisions
    assert await store.sweep(now, 0) == 0
    assert await store.sweep(now, 2) == 2
    assert await store.users("", "", 10) == ["new", "old 2", "old 3", "old 4"]
    assert await store.sweep(now, 100) == 3
    assert await store.sweep(now, 100) == 0
    assert await store.users("", "", 10) == ["new"]
    assert await store.read("new") == Kept(revisions[-1], b"data")


async def test_the_latest_moment_counts(store):
    now = time.time()
    first = await written(store, "a", expires=now + 50)
    second = await written(store, "a", first, expires=now + 5000)
    assert await store.sweep(now + 100, 10) == 0
    assert await store.read("a") == Kept(second, b"data")
    await written(store, "a", second, expires=now + 60)
    assert await store.sweep(now + 100, 10) == 1
    assert await store.read("a") is None


@pytest.mark.parametrize("never", [float("inf"), 1e18])
async def test_what_never_expires(store, never):
    revision = await written(store, "a", expires=never)
    assert await store.read("a") == Kept(revision, b"data")
    assert await store.sweep(LATER, 10) == 0


async def test_hostile_names_are_names_like_others(store):
    revisions = await store.write([change(name, data=name.encode()) for name in HOSTILE])
    assert None not in revisions
    for name, revision in zip(HOSTILE, revisions, strict=True):
        assert await store.read(name) == Kept(revision, name.encode())
    assert await store.users("", "", 1000) == sorted(HOSTILE)
    for page in (1, 3, 7):
        assert await listed(store, "", page) == sorted(HOSTILE)
    for prefix in [*HOSTILE, "n", "n" * (LONGEST_NAME + 20), "\x00", "zz", "a\x00\x00"]:
        assert await listed(store, prefix, 2) == sorted(name for name in HOSTILE if name.startswith(prefix)), prefix
        assert await store.users("", prefix, 1000) == sorted(name for name in HOSTILE if name > prefix), prefix
    assert await store.forget("a")
    assert await store.users("", "", 1000) == sorted(set(HOSTILE) - {"a"})


@pytest.mark.parametrize(("prefix", "after"), [("b", ""), ("b", "a"), ("b", "b"), ("b", "b1"), ("b", "b9"), ("b", "c")])
async def test_prefix_and_after_together(store, prefix, after):
    names = ["a", "a1", "b", "b1", "b2", "c", "c1"]
    await store.write([change(name) for name in names])
    expected = [name for name in names if name.startswith(prefix) and name > after]
    assert await store.users(prefix, after, 10) == expected
    assert await store.users(prefix, after, 1) == expected[:1]
    assert await store.users(prefix, after, 0) == []


@pytest.mark.parametrize("name", ["", "n" * (LONGEST_NAME + 1), "é" * LONGEST_NAME, "\ud800", "a\udfff"])
async def test_what_is_no_name_is_refused_before_anything_is_written(store, name):
    for call in (
        store.read(name),
        store.forget(name),
        store.write([change("a"), change(name)]),
        store.put_items({"a": b"", name: b""}),
    ):
        with pytest.raises(HupError, match=r"bytes cannot be kept|not text"):
            await call
    assert await store.users("", "", 10) == []
    assert (await store.items_since(0)).revision == 0


async def test_half_a_character_lists_nobody(store):
    for prefix, after in (("\ud800", ""), ("", "\ud800")):
        with pytest.raises(HupError, match="not text"):
            await store.users(prefix, after, 10)


async def test_a_large_record(store):
    data = bytes(range(256)) * 4096
    revision = await written(store, "a", data=data)
    assert await store.read("a") == Kept(revision, data)
    await written(store, "a", revision, b"small")
    assert (await store.read("a")).data == b"small"


async def test_many_users(store):
    names = [f"user {number * 7919 % 10_000:05}" for number in range(10_000)]
    revisions = await store.write([change(name, data=name.encode()) for name in names])
    assert None not in revisions
    assert len(set(revisions)) == 10_000
    assert await listed(store, "", 1000) == sorted(names)
    assert await listed(store, "user 012", 30) == [f"user 012{number:02}" for number in range(100)]
    assert (await store.read("user 04711")).data == b"user 04711"
    assert await store.sweep(LATER + 1, 9_000) == 9_000
    assert await store.sweep(LATER + 1, 9_000) == 1_000


async def test_rows_of_items_since_a_revision(store):
    first = await store.put_items({"a": b"1", "b": b"\x00"})
    second = await store.put_items({"b": b"2", "é /": b""})
    assert 0 < first < second
    assert await store.items_since(0) == ItemRows(second, {"a": b"1", "b": b"2", "é /": b""})
    assert await store.items_since(first) == ItemRows(second, {"b": b"2", "é /": b""})
    assert await store.items_since(second) == ItemRows(second, {})
    assert await store.put_items({}) == second
    third = await store.put_items({"a": b"3"})
    assert await store.items_since(second) == ItemRows(third, {"a": b"3"})


async def test_a_revision_of_another_store_gives_all_rows(store):
    revision = await store.put_items({"a": b"1"})
    assert await store.items_since(revision + 9) == ItemRows(revision, {"a": b"1"})


async def test_many_items(store):
    rows = {f"item {number}": str(number).encode() for number in range(5000)}
    revision = await store.put_items(rows)
    assert await store.items_since(0) == ItemRows(revision, rows)
    after = await store.put_items({"item 7": b"new"})
    assert await store.items_since(revision) == ItemRows(after, {"item 7": b"new"})
    assert (await store.items_since(0)).rows == rows | {"item 7": b"new"}


async def test_who_asks_again_and_again_misses_no_item(store):
    seen: dict[str, bytes] = {}

    async def put(of: int) -> None:
        for number in range(20):
            await store.put_items({f"{of}": str(number).encode(), f"{of} {number}": b""})

    async def follow(putting: asyncio.Task[None]) -> None:
        revision = 0
        while True:
            over = putting.done()
            found = await store.items_since(revision)
            seen.update(found.rows)
            revision = found.revision
            if over:
                return
            await asyncio.sleep(0)

    async def put_all() -> None:
        await asyncio.gather(*(put(number) for number in range(3)))

    await follow(asyncio.create_task(put_all()))
    assert seen == (await store.items_since(0)).rows
    assert len(seen) == 63
    assert [seen[str(number)] for number in range(3)] == [b"19"] * 3


async def test_users_and_items_are_apart(store):
    await store.put_items({"a": b"item"})
    assert await store.read("a") is None
    await written(store, "a")
    await store.forget("a")
    assert (await store.items_since(0)).rows == {"a": b"item"}


async def test_what_was_written_is_there_after_reopening(durable_address):
    store = await open_store(durable_address)
    revision = await written(store, "a", data=b"kept")
    await written(store, "b", expires=time.time() - 1)
    rows = ItemRows(await store.put_items({"i": b"row"}), {"i": b"row"})
    await store.close()

    store = await open_store(durable_address)
    assert await store.read("a") == Kept(revision, b"kept")
    assert await store.items_since(0) == rows
    assert await store.sweep(time.time(), 10) == 1
    await written(store, "a", revision, b"more")
    await store.close()
