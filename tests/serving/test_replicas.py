"""Two services on one Redis, as two machines: they write the same users, one is killed, and the Redis goes away."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

import httpx
import pytest

from hup.serving.posted import Posted
from hup.serving.stores.redis_store import RedisStore

from ..helpers.services import Running, serving
from .test_folding import assert_same, post
from .test_routes import event

USERS, CLIENTS = ("ann", "bob"), 4


class Load:
    """Clients that post to whichever replica answers, and note what was acknowledged and what was said."""

    def __init__(self, replicas: list[Running]) -> None:
        self.replicas, self.over = replicas, threading.Event()
        self.acknowledged: list[tuple[str, str]] = []
        self.said: set[int] = set()
        self.threads = [threading.Thread(target=self._post, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _post(self, number: int) -> None:
        choose, n = random.Random(number), 0
        with httpx.Client(timeout=30) as client:
            while not self.over.is_set():
                item, user = f"i{choose.randrange(33)}", choose.choice(USERS)
                body = event(item, 10.0 * n + number, user, event_id=f"{number}-{n}")
                # One whose answer is lost is sent again, as it was, to the other one or to the same.
                while not self.over.is_set() and not self._acknowledged(client, body, choose):
                    time.sleep(0.01)
                n += 1

    def _acknowledged(self, client: httpx.Client, body: dict[str, Any], choose: random.Random) -> bool:
        try:
            answer = client.post(f"{choose.choice(self.replicas).address}/v1/events", json=body)
        except httpx.HTTPError:
            return False
        self.said.add(answer.status_code)
        if answer.status_code != 200:
            return False
        [verdict] = answer.json()["verdicts"]
        assert verdict["status"] in ("accepted", "duplicate"), verdict
        self.acknowledged.append((body["user"], body["event_id"]))
        return True

    def wait_for(self, more: int) -> None:
        until, wanted = time.monotonic() + 60, len(self.acknowledged) + more
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.slow
def test_replicas_lose_nothing_of_each_other(model_folder, make_service, own_redis, tmp_path):
    with (
        serving(model_folder, tmp_path, store=own_redis.url) as one,
        serving(model_folder, tmp_path, "--workers", 2, store=own_redis.url) as other,
        Load([one, other]) as load,
    ):
        load.wait_for(40)
        one.kill_all()
        load.wait_for(40)
        own_redis.stop()
        time.sleep(1)
        own_redis.start()
        load.wait_for(40)
    assert load.said <= {200, 503}
    assert 503 in load.said
    assert not any("traceback" in line for line in other.lines())

    async def look() -> None:
        service = make_service(await RedisStore.open(own_redis.url))
        for user in USERS:
            record: Any = await service.record(user)
            mine = [event_id for of, event_id in load.acknowledged if of == user]
            assert record.now.folded >= len(set(mine)) == len(mine)
            ids = {kept.event_id for kept in record.events}
            assert len(ids) == len(record.events), "an event was folded twice"
            if not record.offset:
                assert set(mine) <= ids
                again = post(
                    service.served, [Posted(user, one.event, one.event_id, one.session) for one in record.events]
                )
                assert_same(service.served, record, again)
        await service.close()

    asyncio.run(look())
