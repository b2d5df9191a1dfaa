#!/usr/bin/env python3
"""Play the test sessions of a log to a live service, as if their users were in the shop now.

    python scripts/play_sessions.py named.csv dataset --service http://127.0.0.1:8000

Some sessions have begun before, with the times between their events as they were; what follows comes live, with waits
of at most `--longest-wait` seconds. Ctrl-C ends it. With `--events N` it ends after N live events, reads a profile
back, and fails if the service has not all of it.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import itertools
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

Event = dict[str, Any]


def test_sessions(log: Path, dataset: Path) -> list[list[Event]]:
    """Read a session of each user of the test split, so that nobody is in the shop twice."""
    from hup import Dataset

    opened = Dataset.open(dataset)
    wanted = {opened.session_name(place) for place in opened.sessions("test")}
    sessions: dict[str, list[Event]] = {}
    with log.open(newline="") as lines:
        rows = csv.DictReader(lines)
        columns = [name for name in rows.fieldnames or () if name.startswith("category_")]
        for row in rows:
            if row["session"] in wanted:
                event = {key: row[key] for key in ("user", "session", "item", "behavior")}
                event |= {"timestamp": int(row["timestamp"]) / 1000, "categories": [row[name] for name in columns]}
                sessions.setdefault(row["session"], []).append(event)
    return list({session[0]["user"]: session for session in sessions.values()}.values())


def call(address: str, body: object = None) -> Any:
    """Ask the service; what it refuses is an error."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def wait_until_ready(service: str, seconds: float) -> None:
    """Wait for the model to be loaded."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{service}/readyz", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"{service} is not ready after {seconds:.0f} s: {error}")
            time.sleep(0.2)


def begun(session: list[Event], now: float) -> list[Event]:
    """Give the first half of a session, shifted so that it ends now."""
    half = session[: (len(session) + 1) // 2]
    late = now - 1 - half[-1]["timestamp"]
    return [event | {"session": f"{event['session']}-0", "timestamp": event["timestamp"] + late} for event in half]


def again_and_again(sessions: list[list[Event]]) -> Iterator[list[Event]]:
    """Give the sessions, and then the same as later ones of their users."""
    for visit in itertools.count():
        for session in sessions:
            yield [event | {"session": f"{event['session']}-{visit}"} for event in session]


def live(sessions: list[list[Event]], at_once: int, longest_wait: float) -> Iterator[tuple[float, Event]]:
    """Give seconds to wait and the event to post then, of so many sessions at once, over and over."""
    waiting: list[tuple[float, int, int, list[Event]]] = []
    rounds = again_and_again(sessions)
    for place, session in enumerate(itertools.islice(rounds, at_once)):
        heapq.heappush(waiting, (0.4 * (place + 1), place, (len(session) + 1) // 2, session))
    moment = 0.0
    for place in itertools.count(at_once):
        due, _, index, session = heapq.heappop(waiting)
        while index >= len(session):
            session, index = next(rounds), 0
        yield max(0.0, due - moment), session[index]
        moment = max(moment, due)
        following = session[index + 1 :]
        gap = following[0]["timestamp"] - session[index]["timestamp"] if following else longest_wait
        heapq.heappush(waiting, (moment + min(max(gap, 0.3), longest_wait), place, index + 1, session))


def post(service: str, events: list[Event]) -> None:
    """Post events; one that is not taken is an error."""
    verdicts = call(f"{service}/v1/events", {"events": events})["verdicts"]
    refused = [verdict for verdict in verdicts if verdict["status"] != "accepted"]
    if refused:
        sys.exit(f"The service did not take an event: {refused[0]}")


def play(service: str, sessions: list[list[Event]], at_once: int, longest_wait: float, most: int | None) -> None:
    """Post the sessions, and with `most` read one back."""
    now, posted = time.time(), []
    before = [event for session in sessions[:at_once] for event in begun(session, now)]
    post(service, before)
    users = len({event["user"] for event in before})
    print(f"\n  {service}/\n\n{users} users are in the shop, and more will come.", flush=True)
    for wait, event in itertools.islice(live(sessions, at_once, longest_wait), most):
        time.sleep(wait)
        posted.append(event | {"timestamp": time.time()})
        post(service, posted[-1:])
    last = posted[-1]
    told = call(f"{service}/v1/users/{quote(last['user'], safe='')}/explanation")
    newest = {key: told["events"][-1][key] for key in ("item", "behavior")}
    if newest != {key: last[key] for key in newest}:
        sys.exit(f"The newest event of {last['user']} is {newest}, expected {last}.")
    first = next(level for level in told["levels"] if level["level"] == "item")["recommended"][0]["name"]
    print(f"{len(before) + len(posted)} events are in. {last['user']} has {len(told['events'])}; next may be {first}.")


def main() -> None:
    """Read the log, wait for the service, and play."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--service", default="http://127.0.0.1:8000")
    parser.add_argument("--at-once", type=int, default=8, help="sessions at the same time (default: 8)")
    parser.add_argument("--longest-wait", type=float, default=4.0, help="seconds (default: 4)")
    parser.add_argument("--events", type=int, help="end after so many live events, and check them")
    asked = parser.parse_args()
    service = asked.service.rstrip("/")
    sessions = test_sessions(asked.log, asked.dataset)
    if not sessions:
        sys.exit(f"{asked.dataset} has no test session that is in {asked.log}.")
    wait_until_ready(service, 120)
    try:
        play(service, sessions, asked.at_once, asked.longest_wait, asked.events)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url}: {error.code} {error.read().decode(errors='replace')[:500]}")
    except OSError as error:
        sys.exit(f"{service} does not answer: {error}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
