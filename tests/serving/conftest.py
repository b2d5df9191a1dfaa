"""One tiny model of a shop whose users come back, and services of it without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import hup
from hup.config import Config
from hup.data.dataset import Dataset
from hup.serving.app import make_app
from hup.serving.options import ServeOptions
from hup.serving.served import Served
from hup.serving.service import Service
from hup.serving.stores.memory_store import MemoryStore
from hup.serving.stores.store import Store

from ..helpers.redis_servers import REDIS, RedisServer
from ..helpers.returning_users import returning_users

TINY = ["network.hidden=8", "training.epochs=1", "embeddings.skipgram_epochs=1", "mixture.hidden=4"]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    return returning_users(tmp_path_factory.mktemp("returning"), overlapping=0)


@pytest.fixture(scope="session")
def model_folder(dataset, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("served") / "model"
    hup.HUP(Config.preset("best", TINY)).fit(dataset).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def served(model_folder) -> Served:
    return Served(model_folder)


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory) -> Path:
    """A folder for a server, which is not there for those who have none."""
    if REDIS is None:
        pytest.skip("redis-server is not installed")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture
def own_redis(redis_folder, tmp_path) -> Iterator[RedisServer]:
    """A server that a test may stop, hang and hinder."""
    server = RedisServer(tmp_path / "own redis")
    yield server
    server.stop()


class Clock:
    """A server's clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def make_service(served, model_folder, clock) -> Callable[..., Service]:
    def make(store: Store | None = None, model: Served | None = None, **options: Any) -> Service:
        given = ServeOptions(model_folder, "memory:", **options)
        return Service(MemoryStore() if store is None else store, model or served, given, clock)

    return make


class Client:
    """Asks an application as a network would, each request with its answer."""

    def __init__(self, service: Service, **arguments: Any) -> None:
        self.service, self.app = service, make_app(service, **arguments)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return asyncio.run(self.asked(method, path, **request))

    async def asked(self, method: str, path: str, **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, **request)

    def post(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.ask("POST", "/v1/events", json={"events": list(events)})
        assert answer.status_code == 200, answer.text
        verdicts: list[dict[str, Any]] = answer.json()["verdicts"]
        return verdicts


@pytest.fixture
def client(make_service) -> Client:
    return Client(make_service())
