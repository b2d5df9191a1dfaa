"""An address names a store, or an error says which addresses do."""

from __future__ import annotations

import pytest

from hup.errors import HupError
from hup.serving.stores.lmdb_store import LmdbStore
from hup.serving.stores.memory_store import MemoryStore
from hup.serving.stores.open_store import open_store

pytestmark = pytest.mark.anyio


async def test_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory, named = await open_store("memory:"), await open_store("lmdb:a folder: of mine")
    assert isinstance(memory, MemoryStore)
    assert isinstance(named, LmdbStore)
    assert [path.name for path in tmp_path.iterdir()] == ["a folder: of mine"]
    await named.close()


@pytest.mark.parametrize(
    "address", ["", "lmdb", "lmdb:", "memory", "memory:x", "sqlite:x", "a/folder", "unix:///s", "http://h"]
)
async def test_what_names_none(address):
    with pytest.raises(HupError, match=r"names no store. Expected lmdb:FOLDER, redis://HOST:PORT/0 or memory:."):
        await open_store(address)
