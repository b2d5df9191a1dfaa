"""Bring events from Kafka to the service: ``python scripts/kafka_events.py TOPIC http://127.0.0.1:8000 [KEY]``."""

from __future__ import annotations

import json
import sys

import httpx


def forward(consumer, client: httpx.Client) -> None:
    """Post what comes; an offset is committed once its events are durable, and what is read twice is a duplicate."""
    while batch := consumer.poll(timeout_ms=1000, max_records=1000):
        messages = [message for part in batch.values() for message in part]
        events = [{"event_id": f"{m.topic}-{m.partition}-{m.offset}", **json.loads(m.value)} for m in messages]
        client.post("/v1/events", json={"events": events}).raise_for_status()
        consumer.commit()


if __name__ == "__main__":
    from kafka import KafkaConsumer  # pip install kafka-python

    topic, url, *key = sys.argv[1:]
    consumer = KafkaConsumer(topic, group_id="hup", enable_auto_commit=False)
    with httpx.Client(base_url=url, headers={"X-API-Key": key[0]} if key else {}) as client:
        while True:
            forward(consumer, client)
