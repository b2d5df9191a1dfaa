"""Every route: what it gives, and what it says when it is asked for something else."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from hup.errors import StoreError
from hup.serving.problems import MEDIA_TYPE
from hup.serving.record import Record, record_bytes
from hup.serving.stores.memory_store import MemoryStore
from hup.serving.stores.store import Change

from .conftest import Client

T = 1_700_000_000.0
HOSTILE = [
    "a/b",
    "../..",
    "..",
    "ä ö",
    "100%",
    "%2F",
    "a?b=c#d",
    "'; DROP TABLE",
    "x" * 256,
    "🛒",
    "profile",
    "a\\b",
    " ",
]


def event(item: str = "i1", at: float = 0.0, user: str = "ann", **keys: Any) -> dict[str, Any]:
    return {"user": user, "item": item, "behavior": "view", "timestamp": T + at, **keys}


def assert_problem(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "instance"}
    assert told["status"] == status
    assert told["instance"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    assert "Error(" not in answer.text
    for word in words:
        assert word in told["detail"]


@pytest.fixture
def ann(client) -> Client:
    client.post(event("i1", 0), event("i2", 10), event("i5", 25))
    return client


# ---------------------------------------------------------------------- events


def test_one_event_and_many_are_taken(client):
    answer = client.ask("POST", "/v1/events", json=event(event_id="e1"))
    assert answer.json() == {"accepted": 1, "verdicts": [{"status": "accepted", "event_id": "e1"}]}
    verdicts = client.post(event(event_id="e1"), event("i2", 5, event_id="e2"), {"user": "ann"}, event("i2", -9999))
    assert [one["status"] for one in verdicts] == ["duplicate", "accepted", "refused", "late"]
    assert "item" in verdicts[2]["reason"]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"item": None}, "item"),
        ({"item": ""}, "item"),
        ({"item": 7.5}, "item"),
        ({"item": "x" * 600}, "item"),
        ({"behavior": []}, "behavior"),
        ({"user": ""}, "user"),
        ({"user": None}, "user"),
        ({"user": "x" * 300}, "user"),
        ({"user": "a\nb"}, "control"),
        ({"user": True}, "user"),
        ({"timestamp": "now"}, "timestamp"),
        ({"timestamp": 1e300}, "timestamp"),
        ({"timestamp": 2e9}, "ahead"),
        ({"interval": -1}, "interval"),
        ({"categories": [["a"]]}, "category_1"),
        ({"categories": ["a"] * 40}, "categories"),
        ({"event_id": {}}, "event_id"),
        ({"session": "a\0b"}, "session"),
        ({"price": 3}, "price"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(client, wrong, word):
    refused, taken = client.post({**event(), **wrong}, event(user="bob"))
    assert refused["status"] == "refused"
    assert word in refused["reason"]
    assert taken["status"] == "accepted"


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b"\xff\xfe", b'{"events": [NaN]}', b'{"user": "\\ud800"}'])
def test_what_is_no_json_is_a_problem(client, body):
    assert_problem(client.ask("POST", "/v1/events", content=body), 400, "JSON")


@pytest.mark.parametrize("body", [[], 5, "x", None, {"events": 5}, {"events": [], "user": "ann"}])
def test_other_json_is_a_problem(client, body):
    assert_problem(client.ask("POST", "/v1/events", content=json.dumps(body)), 422)


def test_what_stands_in_a_list_is_judged_one_by_one(client):
    assert [one["status"] for one in client.post(5, None, [], event())] == ["refused"] * 3 + ["accepted"]  # type: ignore[arg-type]


def test_bodies_and_requests_have_limits(client):
    large = b'{"events": [' + b" " * 11_000_000 + b"]}"
    assert_problem(client.ask("POST", "/v1/events", content=large), 413, "bytes")

    async def parts() -> Any:
        for _ in range(200):
            yield b" " * 100_000

    async def streamed() -> httpx.Response:
        return await client.asked("POST", "/v1/events", content=parts())

    assert_problem(asyncio.run(streamed()), 413, "bytes")
    many = json.dumps({"events": [1] * 100_000})
    assert_problem(client.ask("POST", "/v1/events", content=many), 413, "100,000 events", "10,000")
    nested = b'{"events": ' + b"[" * 100_000
    assert_problem(client.ask("POST", "/v1/events", content=nested), 400)


# ---------------------------------------------------------------------- users


def test_recommendations(ann, served):
    answer = ann.ask("GET", "/v1/users/ann/recommendations?k=3").json()
    assert (answer["user"], answer["model"], answer["level"]) == ("ann", served.digest, "item")
    assert len(answer["ranked"]) == 3
    assert set(answer["ranked"][0]) == {"name", "path", "score", "seen", "origin", "item"}
    every = ann.ask("GET", "/v1/users/ann/recommendations?level=all&k=2").json()
    assert list(every["levels"]) == ["item", "category_2", "category_1"]
    new = ann.ask("GET", "/v1/users/ann/recommendations?k=100&new_only=true").json()
    assert not {"i1", "i2", "i5"} & {one["name"] for one in new["ranked"]}
    within = ann.ask("GET", "/v1/users/ann/recommendations", params={"within": "c1 > c4", "k": 50}).json()
    assert {tuple(one["path"]) for one in within["ranked"]} == {("c1", "c4")}
    later = ann.ask("GET", f"/v1/users/ann/recommendations?k=3&now={T + 900}").json()
    assert [one["score"] for one in later["ranked"]] != [one["score"] for one in answer["ranked"]]


def test_new_only_knows_earlier_sessions(client):
    client.post(event("i7"), event("i1", 9_000), event("i2", 9_010))
    new = client.ask("GET", "/v1/users/ann/recommendations?k=100&new_only=true").json()
    assert not {"i7", "i1", "i2"} & {one["name"] for one in new["ranked"]}
    assert "i7" in {one["name"] for one in client.ask("GET", "/v1/users/ann/recommendations?k=100").json()["ranked"]}


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("k=0", 422, "k"),
        ("k=1001", 422, "1000"),
        ("k=x", 422, "k"),
        ("now=nan", 422, "now"),
        ("now=1e300", 422, "now"),
        (f"now={T - 5}", 422, "before"),
        ("level=category_9", 404, "category_1"),
        ("level=", 404, "level"),
        ("level=micro", 404, "level"),
        ("within=nothing", 404, "within"),
        ("new_only=perhaps", 422, "new_only"),
    ],
)
def test_questions_that_do_not_fit(ann, query, status, word):
    assert_problem(ann.ask("GET", f"/v1/users/ann/recommendations?{query}"), status)


def test_a_profile(ann, served):
    answer = ann.ask("GET", "/v1/users/ann/profile").json()
    assert list(answer["levels"]) == ["micro", "item", "category_2", "category_1"]
    assert answer["session"] == {"number": 1, "name": None, "began": T, "latest": T + 25, "events": 3}
    assert answer["events"] == 3
    state = served.hup.state([{k: v for k, v in event(*one).items() if k != "user"} for one in _ANN])
    for level, vector in served.hup.profile(state).items():
        assert answer["levels"][level]["vector"] == pytest.approx(vector.tolist(), abs=1e-5)
    assert answer["levels"]["micro"]["top"] == []
    assert len(answer["levels"]["category_1"]["top"]) == 3
    without = ann.ask("GET", "/v1/users/ann/profile?vectors=false").json()
    assert "vector" not in without["levels"]["item"]


_ANN = [("i1", 0), ("i2", 10), ("i5", 25)]


def test_an_explanation(ann):
    ann.post(event("i5", 30), event("i2", 40))
    answer = ann.ask("GET", "/v1/users/ann/explanation").json()
    assert [one["item"] for one in answer["events"]] == ["i1", "i2", "i5", "i5", "i2"]
    levels = {one["level"]: one for one in answer["levels"]}
    assert list(levels) == ["micro", "item", "category_2", "category_1"]
    assert [(run["name"], run["first"], run["last"]) for run in levels["item"]["runs"]] == [
        *(("i1", 0, 0), ("i2", 1, 1), ("i5", 2, 3), ("i2", 4, 4)),
    ]
    assert [(run["path"], run["last"]) for run in levels["category_1"]["runs"]] == [(["c1"], 0), (["c2"], 4)]
    assert levels["item"]["runs"][2]["ended"] == T + 30
    for level in ("item", "category_2", "category_1"):
        assert sum(run["share"] for run in levels[level]["runs"]) == pytest.approx(1, abs=1e-4)
        assert levels[level]["recommended"]
    assert len(levels["micro"]["runs"]) == 5


def test_users_are_listed(client):
    client.post(*(event(user=name) for name in ("ann", "anton", "bea", "bob")))
    assert client.ask("GET", "/v1/users").json() == {"users": ["ann", "anton", "bea", "bob"], "next": None}
    first = client.ask("GET", "/v1/users?limit=3").json()
    assert first == {"users": ["ann", "anton", "bea"], "next": "bea"}
    assert client.ask("GET", "/v1/users?limit=3&after=bea").json() == {"users": ["bob"], "next": None}
    assert client.ask("GET", "/v1/users?prefix=an").json()["users"] == ["ann", "anton"]
    for query in ("limit=0", "limit=1001", "prefix=%00", "after=" + "x" * 300):
        assert_problem(client.ask("GET", f"/v1/users?{query}"), 422)


@pytest.mark.parametrize("user", HOSTILE)
def test_any_name_of_a_user_does(client, user):
    assert client.post(event(user=user))[0]["status"] == "accepted"
    client.post(event("i9", user="someone else"))
    path = f"/v1/users/{quote(user, safe='') if user != '..' else '%2E%2E'}"
    for what in ("recommendations", "profile", "explanation"):
        answer = client.ask("GET", f"{path}/{what}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"] == user
    assert client.ask("DELETE", path).status_code == 204
    assert_problem(client.ask("GET", f"{path}/profile"), 404)
    assert client.ask("GET", "/v1/users").json()["users"] == ["someone else"]


@pytest.mark.parametrize("user", ["nobody", "%00", "%0A", "%FF", "x" * 300, "a%2Fb"])
def test_unknown_users(ann, user):
    for what in ("recommendations", "profile", "explanation"):
        assert_problem(ann.ask("GET", f"/v1/users/{user}/{what}"), 404)


def test_forgetting(ann):
    assert ann.ask("DELETE", "/v1/users/ann").status_code == 204
    assert_problem(ann.ask("GET", "/v1/users/ann/profile"), 404)
    assert ann.ask("DELETE", "/v1/users/ann").status_code == 204, "there is nothing left to do"
    assert_problem(ann.ask("DELETE", "/v1/users/%0A"), 404)
    assert ann.post(event(event_id="e1"))[0]["status"] == "accepted"


# ---------------------------------------------------------------------- sessions in the body


def test_a_session_in_the_body(ann, served):
    session = [{k: v for k, v in event(*one).items() if k != "user"} for one in _ANN]
    asked = {"session": session, "k": 5, "level": "category_2"}
    given = ann.ask("POST", "/v1/recommendations", json=asked).json()
    kept = ann.ask("GET", "/v1/users/ann/recommendations?k=5&level=category_2").json()
    assert {**given, "user": "ann"} == kept
    explained = ann.ask("POST", "/v1/explanation", json={"session": session}).json()
    assert {**explained, "user": "ann"} == ann.ask("GET", "/v1/users/ann/explanation").json()
    empty = ann.ask("POST", "/v1/recommendations", json={"session": []}).json()
    assert empty["basis"] == "popularity"
    assert ann.ask("POST", "/v1/explanation", json={"session": []}).json()["events"] == []
    assert ann.ask("GET", "/v1/users").json()["users"] == ["ann"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"session": 5}, 422),
        ({"session": [5]}, 422),
        ({"session": [{"item": "i1"}]}, 422),
        ({"session": [{"item": "i1", "behavior": "view", "timestamp": t} for t in (5, 1)]}, 422),
        ({"session": [], "k": 0}, 422),
        ({"session": [], "k": 1001}, 422),
        ({"session": [], "path": "secret"}, 422),
        ({"session": [], "level": "category_7"}, 404),
        ({"session": [], "within": "nothing"}, 404),
        ({"session": [{}] * 10_001}, 413),
    ],
)
def test_sessions_that_do_not_fit(client, body, status):
    assert_problem(client.ask("POST", "/v1/recommendations", json=body), status)
    if not {"k", "level", "within"} & body.keys():
        assert_problem(client.ask("POST", "/v1/explanation", json=body), status)


# ---------------------------------------------------------------------- items


def test_similar(client):
    answer = client.ask("GET", "/v1/items/i1/similar?k=4").json()
    assert len(answer["ranked"]) == 4
    assert client.ask("GET", "/v1/items/c1%20%3E%20c4/similar?level=category_2").status_code == 200
    for path in ("nothing", "a%2Fb", "%00", "i1/similar"):
        assert_problem(client.ask("GET", f"/v1/items/{path}/similar"), 404)
    assert_problem(client.ask("GET", "/v1/items/i1/similar?k=0"), 422)
    assert_problem(client.ask("GET", "/v1/items/i1/similar?level=x"), 404)


def names(client: Client) -> list[str]:
    return [one["name"] for one in client.ask("GET", "/v1/users/ann/recommendations?k=100").json()["ranked"]]


def test_what_is_out_of_stock_never_comes(ann):
    best = names(ann)[0]
    put = ann.ask("PUT", "/v1/items", json={"items": [{"item": best, "in_stock": False, "name": "Lamp"}]})
    assert put.json() == {"items": 1, "known": 1, "out_of_stock": 1}
    assert best not in names(ann)
    similar = ann.ask("GET", "/v1/items/i29/similar?k=100").json()["ranked"]
    assert best not in [one["name"] for one in similar]
    ann.ask("PUT", "/v1/items", json={"items": [{"item": best, "in_stock": True}]})
    first = ann.ask("GET", "/v1/users/ann/recommendations?k=1").json()["ranked"][0]
    assert (first["name"], first["item"]) == (best, {"in_stock": True, "name": "Lamp"}), "the name stays"


def test_an_item_of_the_session_that_the_model_lacks_can_be_out_of_stock(ann):
    ann.post(event("strange", 30), event("i1", 40))
    assert "strange" in names(ann)
    ann.ask("PUT", "/v1/items", json={"items": [{"item": "strange", "in_stock": False}]})
    assert "strange" not in names(ann)


@pytest.mark.parametrize(
    "items",
    [
        5,
        [5],
        [{}],
        [{"item": ""}],
        [{"item": "x" * 600}],
        [{"item": "a", "in_stock": "no"}],
        [{"item": "a", "price": [1]}],
        [{"item": "a", "text": "x" * 5000}],
        [{"item": "a", **{f"c{n}": n for n in range(70)}}],
        [{"item": "a"}, {"name": "b"}],
    ],
)
def test_items_that_do_not_fit(client, items):
    assert_problem(client.ask("PUT", "/v1/items", json={"items": items}), 422)
    assert client.ask("GET", "/v1/items/i1/similar?k=1").json()["ranked"][0]["item"] == {}


def test_too_many_items(client):
    assert_problem(client.ask("PUT", "/v1/items", json={"items": [{}] * 10_001}), 413)


# ---------------------------------------------------------------------- the service


def test_the_model_and_health(client, served):
    told = client.ask("GET", "/v1/model").json()
    assert told["model"] == served.digest
    assert {one["name"] for one in told["behaviors"]} == {"view", "cart"}
    assert (told["items"], told["failed"], told["has_profiles"]) == (30, None, True)
    assert client.ask("GET", "/healthz").json() == {"status": "alive"}
    assert client.ask("GET", "/readyz").json() == {"status": "ready"}
    figures = client.ask("GET", "/metrics")
    assert figures.headers["content-type"].startswith("text/plain")
    assert 'hup_requests_total{method="GET",route="/v1/model",status="200"} 1.0' in figures.text


def test_paths_and_methods_that_are_none(client):
    for path in ("/v2/users", "/v1", "/v1/users/", "/v1/users//profile", "/v1/events/", "/docs", "/..%2f..%2fetc"):
        assert_problem(client.ask("GET", path), 405 if path == "/v1/users/x" else 404)
    for method, path in (("GET", "/v1/events"), ("DELETE", "/v1/model"), ("PATCH", "/v1/items"), ("POST", "/healthz")):
        answer = client.ask(method, path)
        assert_problem(answer, 405)
        assert answer.headers["allow"]


def test_the_request_s_id(client):
    assert client.ask("GET", "/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for harmful in ("a b", "x" * 65, '"}{', "ä".encode()):
        made = client.ask("GET", "/healthz", headers={"x-request-id": harmful}).headers["x-request-id"]
        assert made != harmful
        assert len(made) == 16


# ---------------------------------------------------------------------- the store


class Broken(MemoryStore):
    """A store that can be gone."""

    gone = False

    async def read(self, user: str) -> Any:
        self._look()
        return await super().read(user)

    async def write(self, changes: Any) -> Any:
        self._look()
        return await super().write(changes)

    async def check(self) -> None:
        self._look()

    async def users(self, prefix: str, after: str, limit: int) -> list[str]:
        self._look()
        return await super().users(prefix, after, limit)

    def _look(self) -> None:
        if self.gone:
            raise StoreError("The store is not to be reached.")


def test_a_store_that_is_gone_and_back(make_service):
    store = Broken()
    client = Client(make_service(store))
    client.post(event())
    store.gone = True
    for method, path in (("GET", "/v1/users/ann/profile"), ("GET", "/readyz"), ("GET", "/v1/users")):
        assert_problem(client.ask(method, path), 503, "not to be reached")
    answer = client.ask("POST", "/v1/events", json=event("i2", 5))
    assert_problem(answer, 503)
    assert answer.headers["retry-after"]
    assert client.ask("GET", "/healthz").status_code == 200
    store.gone = False
    assert client.post(event("i2", 5))[0]["status"] == "accepted"
    assert client.ask("GET", "/v1/users/ann/profile").json()["events"] == 2


def test_a_damaged_record_stops_nobody_else(make_service):
    store = MemoryStore()
    client = Client(make_service(store))
    whole = record_bytes(Record("x"), (b"", b"", b""))
    asyncio.run(store.write([Change("ann", None, whole[:-1] + b"?", 1e11)]))
    refused, taken = client.post(event(), event(user="bob"))
    assert refused["status"] == "refused"
    assert "damaged" in refused["reason"]
    assert taken["status"] == "accepted"
    assert_problem(client.ask("GET", "/v1/users/ann/profile"), 500, "damaged", "DELETE")
    assert client.ask("DELETE", "/v1/users/ann").status_code == 204
    assert client.post(event())[0]["status"] == "accepted"


def test_what_nobody_has_thought_of_has_no_traceback(make_service, monkeypatch):
    service = make_service()
    client = Client(service)

    async def fail(user: str) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(service, "record", fail)
    answer = client.ask("GET", "/v1/users/ann/profile")
    assert_problem(answer, 500, "log")
    assert "secret" not in answer.text


# ---------------------------------------------------------------------- who may ask


def test_a_key_is_asked_for(make_service):
    key = "k" * 32
    client = Client(make_service(keys=("o" * 32, key)))
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": f"Basic {key}"}, {"authorization": "Bearer"}):
        answer = client.ask("GET", "/v1/model", headers=headers)
        assert_problem(answer, 401, "Authorization")
        assert answer.headers["www-authenticate"] == "Bearer"
    for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}, {"x-api-key": "o" * 32}):
        assert client.ask("GET", "/v1/model", headers={**headers, "host": "shop.example"}).status_code == 200
    assert client.ask("GET", "/healthz").status_code == 200
    for path in ("/readyz", "/metrics", "/openapi.json", "/nothing"):
        assert client.ask("GET", path).status_code == 401


def test_without_a_key_only_this_machine_is_answered(client):
    for host in ("127.0.0.1", "localhost:8000", "[::1]:8000"):
        assert client.ask("GET", "/v1/model", headers={"host": host}).status_code == 200
    assert_problem(client.ask("GET", "/v1/model", headers={"host": "evil.example"}), 403)
    assert_problem(client.ask("POST", "/v1/model", headers={"sec-fetch-site": "cross-site"}), 403)
