"""The service as a whole: the batch's answers, others who write the same users, and another model meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import hup
from hup.config import Config
from hup.errors import HupError, StoreError
from hup.recommender.kinds import model_class
from hup.serving.items_table import prepared_items
from hup.serving.posted import Posted
from hup.serving.served import Served
from hup.serving.stores.lmdb_store import LmdbStore
from hup.serving.stores.memory_store import MemoryStore
from hup.sessions.dataset_events import dataset_events
from hup.sessions.events import Event

from .conftest import TINY, Client
from .test_folding import assert_same, post, visits
from .test_routes import assert_problem, event


@pytest.fixture(scope="session")
def other_folder(dataset, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("other") / "model"
    hup.HUP(Config.preset("best", [*TINY, "mixture.earlier=20"])).initialise(dataset).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def plain(dataset, tmp_path_factory) -> Served:
    """A model without profiles."""
    folder = tmp_path_factory.mktemp("plain") / "model"
    model_class("vsknn")().fit(dataset).save_pretrained(folder)
    return Served(folder)


def log_of(dataset: hup.Dataset) -> list[dict[str, Any]]:
    """All events of all users as a shop posts them: moments, and sessions by name."""
    rows = []
    for session in range(len(dataset)):
        user, name = dataset.session_user(session), str(session)
        for one in dataset_events(dataset, session):
            keys = {"timestamp": one.timestamp, "interval": one.interval, "dwell": one.dwell}
            rows.append({"user": user, "session": name, "item": one.item, "behavior": one.behavior, **keys})
            rows[-1]["categories"] = list(one.categories)
    return sorted(rows, key=lambda row: row["timestamp"])


@pytest.mark.parametrize("level", ["item", "category_1"])
def test_last_night_s_batch_and_the_service_agree(dataset, client, served, level):
    rows = log_of(dataset)
    client.post(*rows)
    batch = served.model.recommend_many(dataset, level=level, k=10).to_pylist()
    for user in {row["user"] for row in rows}:
        live = client.ask("GET", f"/v1/users/{user}/recommendations?level={level}&k=10").json()["ranked"]
        nightly = [row for row in batch if row["user"] == user]
        assert [one["score"] for one in live] == pytest.approx([row["score"] for row in nightly], abs=1e-5)
        assert [one["name"] for one in live] == [row["name"] for row in nightly]
        assert [one["path"] for one in live] == [row["path"] for row in nightly]


# ---------------------------------------------------------------------- others who write


def test_two_services_write_the_same_users(make_service, served, tmp_path):
    """As two workers: none loses what the other one has taken."""
    posted = visits(60, pause=5)

    async def write() -> tuple[Any, Any]:
        store = LmdbStore(tmp_path / "store")  # which one process opens once
        services = [make_service(store) for _ in range(2)]
        tasks = [services[place % 2].post([one]) for place, one in enumerate(posted)]
        verdicts = await asyncio.gather(*tasks)
        assert {verdict.status for (verdict,) in verdicts} == {"accepted"}
        records = [await service.record("ann") for service in services]
        await store.close()
        return records[0], records[1]

    one, other = asyncio.run(write())
    assert_same(served, one, other)
    assert_same(served, one, post(served, posted))


class Quick(MemoryStore):
    """A store on which somebody else is always quicker."""

    async def write(self, changes: Any) -> Any:
        return [None for _ in changes]


def test_who_is_never_quick_enough_is_told(make_service, monkeypatch):
    monkeypatch.setattr("hup.serving.service._TRIES", 3)
    with pytest.raises(StoreError, match="again and again"):
        asyncio.run(make_service(Quick()).post(visits(1)))
    client = Client(make_service(Quick()))
    assert_problem(client.ask("POST", "/v1/events", json=event()), 503)


def test_no_lock_is_left(make_service):
    service = make_service()
    many = [Posted(f"u{n % 7}", Event("i1", "view", float(n))) for n in range(50)]

    async def run() -> None:
        await asyncio.gather(*(service.post(many[low : low + 9]) for low in range(0, 50, 9)))

    asyncio.run(run())
    assert service._locks == {}


def test_many_events_of_one_request_let_others_have_their_turn(make_service):
    service = make_service()

    async def run() -> list[str]:
        done: list[str] = []

        async def note(name: str, posted: list[Posted]) -> None:
            await service.post(posted)
            done.append(name)

        long = asyncio.create_task(note("long", visits(2_000, pause=1)))
        await asyncio.sleep(0)
        await note("short", [Posted("bob", Event("i1", "view", 1.0))])
        await long
        return done

    assert asyncio.run(run()) == ["short", "long"]


def test_what_a_request_put_is_there_for_the_other_worker(make_service):
    store = MemoryStore()
    clients = [Client(make_service(store)) for _ in range(2)]
    clients[0].post(event("i1"), event("i2", 5))
    asked = "/v1/users/ann/recommendations?k=100"
    best = clients[1].ask("GET", asked).json()["ranked"][0]["name"]
    clients[0].ask("PUT", "/v1/items", json={"items": [{"item": best, "in_stock": False}]})
    assert best not in [one["name"] for one in clients[1].ask("GET", asked).json()["ranked"]]


# ---------------------------------------------------------------------- another model


def test_the_model_is_swapped_under_load(make_service, model_folder, other_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    service = make_service(model=Served(folder))
    object.__setattr__(service.options, "model", folder)
    client, posted = Client(service), visits(120, pause=5)

    async def run() -> list[int]:
        statuses: list[int] = []
        done = asyncio.Event()

        async def load(user: str) -> None:
            n = 0
            while not done.is_set():
                body = event("i1", n, user, event_id=str(n))
                statuses.append((await client.asked("POST", "/v1/events", json=body)).status_code)
                statuses.append((await client.asked("GET", f"/v1/users/{user}/profile")).status_code)
                n += 1
                await asyncio.sleep(0)  # nothing else here waits for anything

        await service.post(posted)
        users = [asyncio.create_task(load(f"u{n}")) for n in range(3)]
        for source in (other_folder, model_folder, other_folder):
            shutil.rmtree(folder)
            shutil.copytree(source, folder)
            before = service.served
            assert (await client.asked("POST", "/v1/model")).status_code == 202
            while service.served is before:
                await asyncio.sleep(0.01)
        done.set()
        await asyncio.gather(*users)
        record = await service.record("ann")
        assert record is not None
        assert_same(service.served, record, post(service.served, posted))
        return statuses

    statuses = asyncio.run(run())
    assert set(statuses) == {200}
    assert len(statuses) > 10


def test_a_broken_model_does_not_take_the_place_of_a_good_one(make_service, model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    service = make_service(model=Served(folder))
    object.__setattr__(service.options, "model", folder)
    service.loaded = lambda: pytest.fail("no other model has taken over")
    client = Client(service)
    for name, content in (("model.safetensors", b"nothing"), ("config.json", b"{")):
        (folder / name).write_bytes(content)
        asyncio.run(service.reload())
        told = client.ask("GET", "/v1/model").json()
        assert told["failed"]
        assert client.ask("POST", "/v1/recommendations", json={"session": []}).status_code == 200


def test_who_waits_for_another_model_is_told(make_service):
    service, told = make_service(), []
    service.loaded = lambda: told.append(service.served)
    before = service.served
    asyncio.run(service.reload())
    assert told == [service.served] != [before]


def test_a_model_without_profiles(make_service, plain):
    client = Client(make_service(model=plain))
    client.post(event("i1"), event("i2", 5))
    answer = client.ask("GET", "/v1/users/ann/recommendations?k=3").json()
    session = [Event("i1", "view", 0.0), Event("i2", "view", 5.0)]
    assert [one["name"] for one in answer["ranked"]] == [one.name for one in plain.model.recommend(session, k=3).ranked]
    assert_problem(client.ask("GET", "/v1/users/ann/profile"), 409, "vsknn", "hup train")
    levels = client.ask("GET", "/v1/users/ann/explanation").json()["levels"]
    assert {run["share"] for run in levels[1]["runs"]} == {None}
    assert client.ask("GET", "/v1/model").json()["has_profiles"] is False


def test_a_model_that_looks_at_earlier_sessions(make_service, dataset, other_folder):
    """Its answers are the batch's, too, as it finds the sessions before among the events that are kept."""
    served = Served(other_folder)
    assert served.looks_back
    client, rows = Client(make_service(model=served)), log_of(dataset)
    client.post(*rows)
    batch = served.model.recommend_many(dataset, k=10).to_pylist()
    for user in {row["user"] for row in rows}:
        live = client.ask("GET", f"/v1/users/{user}/recommendations?k=10").json()["ranked"]
        nightly = [row["score"] for row in batch if row["user"] == user]
        assert [one["score"] for one in live] == pytest.approx(nightly, abs=1e-5)


# ---------------------------------------------------------------------- a table of items


def test_a_table_of_items(make_service, tmp_path):
    table = tmp_path / "items.csv"
    table.write_text("item,name,price,in_stock\ni1,Lamp,9.5,true\ni2,Desk,,false\nzzz,Chair,3,true\n")
    with prepared_items([table]) as folder:
        client = Client(make_service(items=folder))
        client.post(event("i1"), event("i9", 5))
        ranked = client.ask("GET", "/v1/users/ann/recommendations?k=100").json()["ranked"]
        by_name = {one["name"]: one["item"] for one in ranked}
        assert by_name["i1"] == {"name": "Lamp", "price": "9.5", "in_stock": True}
        assert "i2" not in by_name
        assert by_name["i3"] == {"name": None, "price": None, "in_stock": None}
        assert client.ask("GET", "/v1/users/ann/explanation").json()["events"][0]["name"] == "Lamp"
        client.ask("PUT", "/v1/items", json={"items": [{"item": "i2", "in_stock": True}]})
        ranked = client.ask("GET", "/v1/users/ann/recommendations?k=100").json()["ranked"]
        assert {one["name"]: one["item"] for one in ranked}["i2"]["name"] == "Desk"


def test_a_table_of_items_that_does_not_read(tmp_path):
    with pytest.raises(HupError), prepared_items([tmp_path / "none.csv"]):
        pass


def test_the_log_names_no_user(client, capsys):
    from hup.serving.logs import log_to_stderr

    log_to_stderr(verbose=False)
    client.post(event(user="secret-ann"))
    client.ask("GET", "/v1/users/secret-ann/profile", headers={"x-request-id": "r-1"})
    client.ask("GET", "/v1/users/secret-bob/profile")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 404]
    assert lines[1]["request_id"] == "r-1"
    assert lines[1]["route"] == "/v1/users/{user}/profile"
    assert "secret" not in json.dumps(lines)
    log_to_stderr(verbose=True)
    client.ask("GET", "/v1/users/secret-ann/profile")
    assert "secret-ann" in capsys.readouterr().err
