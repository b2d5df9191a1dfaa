"""What becomes of a store in a folder when its disk is full, its files are damaged, or nobody may write there."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from hup.errors import StoreError
from hup.serving.stores.lmdb_environment import LmdbEnvironment
from hup.serving.stores.lmdb_store import LmdbStore
from hup.serving.stores.store import Change, Kept

pytestmark = pytest.mark.anyio

LATER = time.time() + 86_400
LARGE = bytes(1 << 20)


def change(user: str, data: bytes = b"data", expected: bytes | None = None) -> Change:
    return Change(user, expected, data, LATER)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "store"


@contextmanager
def files_stay_small(path: Path, room: int) -> Iterator[None]:
    """No file of this process becomes larger than one is now, and a bit: a quota that is used up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def fill(store: LmdbStore, kept: Kept) -> None:
    """Write what does not fit; nothing is there of it, and all else is as it was."""
    for _ in range(2):
        with pytest.raises(StoreError, match=r"cannot be written.* Make room on its disk"):
            await store.write([change("small"), change("a", b"2", kept.revision), change("large", 4 * LARGE)])
        with pytest.raises(StoreError, match="Make room"):
            await store.put_items({"item": 4 * LARGE})
        assert await store.users("", "", 10) == ["a"]
        assert await store.read("a") == kept
        assert (await store.items_since(0)).rows == {}


async def test_a_quota_that_is_used_up(folder):
    store = LmdbStore(folder)
    (revision,) = await store.write([change("a", b"1")])
    with files_stay_small(folder / "data.mdb", 100_000):
        await fill(store, Kept(revision, b"1"))
    assert None not in await store.write([change("a", b"2", revision), change("large", 4 * LARGE)])
    await store.close()
    store = LmdbStore(folder)
    assert (await store.read("large")).data == 4 * LARGE
    assert (await store.read("a")).data == b"2"
    await store.close()


async def test_a_disk_that_is_full(small_disk):
    store = LmdbStore(small_disk / "store")
    (revision,) = await store.write([change("a", b"1")])
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    await fill(store, Kept(revision, b"1"))
    ballast.unlink()
    (second,) = await store.write([change("b", LARGE)])
    assert await store.read("b") == Kept(second, LARGE)
    await store.check()
    await store.close()
    store = LmdbStore(small_disk / "store")
    assert await store.read("a") == Kept(revision, b"1")
    await store.close()


async def test_one_that_does_not_fit_takes_those_of_its_batch_along_and_no_later_ones(folder):
    store = LmdbStore(folder)
    with files_stay_small(folder / "data.mdb", 200_000):
        with pytest.raises(StoreError, match="Make room"):
            await store.write([change("large", 4 * LARGE)])
        assert None not in await store.write([change("small")])
    assert await store.users("", "", 10) == ["small"]
    await store.close()


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user without rights, if this is one with all of them."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that all users of this machine may enter, which those that pytest makes are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_a_folder_that_may_not_be_written(open_folder):
    store = LmdbStore(open_folder / "store")
    await store.close()
    for path in (*(open_folder / "store").iterdir(), open_folder / "store", open_folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with somebody_else():
        for name in ("store", "new"):
            with pytest.raises(StoreError, match=r"Permission denied.* Give the service the right to write there"):
                LmdbStore(open_folder / name)
    open_folder.chmod(0o755)
    (open_folder / "store").chmod(0o755)


async def test_a_folder_in_none(tmp_path):
    with pytest.raises(StoreError, match="Make the folder above it first"):
        LmdbStore(tmp_path / "none" / "store")


async def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("no store")
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match="Name a folder"):
            LmdbStore(path)


async def filled(folder: Path) -> None:
    store = LmdbStore(folder)
    await store.write([change(f"user {number}", bytes(10_000)) for number in range(100)])
    await store.close()


@pytest.mark.parametrize("size", [1, 100, 5_000, 100_000])
async def test_a_file_of_anything(folder, size):
    folder.mkdir()
    (folder / "data.mdb").write_bytes(random.Random(size).randbytes(size))
    with pytest.raises(StoreError, match=r"It is damaged, or not a store .* Move it aside"):
        LmdbStore(folder)
    (folder / "data.mdb").unlink()
    await filled(folder)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
async def test_a_file_that_was_cut(folder, share):
    await filled(folder)
    data = folder / "data.mdb"
    os.truncate(data, int(data.stat().st_size * share))
    with pytest.raises(StoreError, match=r"expected at least .* Move it aside"):
        LmdbStore(folder)


async def test_a_damaged_beginning(folder):
    await filled(folder)
    with (folder / "data.mdb").open("r+b") as data:
        data.write(random.Random(0).randbytes(8192))
    with pytest.raises(StoreError, match="It is damaged"):
        LmdbStore(folder)


async def test_a_lost_file_of_locks_is_made_anew(folder):
    await filled(folder)
    (folder / "lock.mdb").write_bytes(b"")
    await filled(folder)
    (folder / "lock.mdb").unlink()
    await filled(folder)


async def test_a_store_of_another_format(folder):
    environment = LmdbEnvironment(folder)
    environment.write([lambda transaction: transaction.put(b"format", b"0", db=environment.about)])
    environment.close()
    with pytest.raises(StoreError, match=r"format b'0', expected b'1'"):
        LmdbStore(folder)


async def test_an_lmdb_of_others_is_left_alone(folder):
    with lmdb.open(str(folder)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"theirs", b"value")
    with pytest.raises(StoreError, match="not a store of this version of HUP"):
        LmdbStore(folder)
    with lmdb.open(str(folder)) as environment, environment.begin() as transaction:
        assert [*transaction.cursor()] == [(b"theirs", b"value")]


async def test_a_failure_that_lmdb_does_not_forgive(folder):
    """It wants to be opened anew after that."""
    environment = LmdbEnvironment(folder)

    def fail(transaction: lmdb.Transaction) -> None:
        transaction.put(b"a", b"half", db=environment.records)
        raise lmdb.PanicError("the disk failed")

    with pytest.raises(StoreError, match="the disk failed"):
        environment.write([fail])
    assert environment.read(lambda transaction: transaction.get(b"a", db=environment.records)) is None
    environment.write([lambda transaction: transaction.put(b"a", b"whole", db=environment.records)])
    assert environment.read(lambda transaction: transaction.get(b"a", db=environment.records)) == b"whole"
    environment.close()


async def test_a_closed_store(folder):
    store = LmdbStore(folder)
    await store.close()
    with pytest.raises(StoreError, match="cannot be read"):
        await store.read("a")
