"""The consumer of docs/serving.md, with a broker that is made up."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import Client


class Topic:
    """As `kafka.KafkaConsumer`: gives what was not committed again."""

    def __init__(self, values: list[dict[str, Any]]) -> None:
        self.values, self.committed, self.at = values, 0, 0

    def poll(self, timeout_ms: int, max_records: int) -> dict[str, list[SimpleNamespace]]:
        part = range(self.at, min(self.at + 2, len(self.values)))
        self.at = part.stop
        return {"views-0": [self._message(n) for n in part]} if part else {}

    def commit(self) -> None:
        self.committed = self.at

    def _message(self, n: int) -> SimpleNamespace:
        return SimpleNamespace(topic="views", partition=0, offset=n, value=json.dumps(self.values[n]).encode())


def test_events_of_a_topic_are_taken_once(client: Client, root) -> None:
    path = root / "scripts" / "kafka_events.py"
    spec = importlib.util.spec_from_file_location("kafka_events", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    topic = Topic([{"user": "ann", "item": f"i{n}", "behavior": "view", "timestamp": float(n)} for n in range(5)])
    gone = SimpleNamespace(post=lambda *_, **__: (_ for _ in ()).throw(ConnectionError))
    with pytest.raises(ConnectionError):
        module.forward(topic, gone)
    assert topic.committed == 0
    asked = SimpleNamespace(post=lambda path, json: client.ask("POST", path, json=json))
    for _ in range(2):
        topic.at = 0  # as after a restart before the commit
        module.forward(topic, asked)
    assert topic.committed == 5
    assert client.ask("GET", "/v1/users/ann/profile").json()["events"] == 5
