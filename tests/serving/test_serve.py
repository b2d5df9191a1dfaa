"""`hup serve` as a process: starts, answers, reads the model again, survives its workers, and stops."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from hup.cli import app
from hup.serving.posted import Posted
from hup.serving.stores.lmdb_store import LmdbStore

from ..helpers.services import Running, serving
from .test_folding import assert_same, post
from .test_routes import event


@pytest.mark.slow
def test_a_service_lives(model_folder, tmp_path):
    """Starts with two workers, answers, reads the model again, replaces a killed worker, stops, and has kept all."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    with serving(folder, tmp_path, "--workers", 2) as service:
        assert service.address.startswith("http://127.0.0.1:")
        for n in range(8):
            assert service.ask("POST", "/v1/events", json=event(at=n)).json()["accepted"] == 1
        profile = service.ask("GET", "/v1/users/ann/profile").json()
        assert profile["events"] == 8

        port = service.address.rsplit(":", 1)[1]
        second = CliRunner().invoke(app, ["serve", str(folder), "--port", port])
        assert (second.exit_code, "in use" in second.output) == (1, True), "it would take half of the connections"

        service.process.send_signal(signal.SIGHUP)
        service.wait_for("the model was loaded", 2)
        assert service.ask("POST", "/v1/model").status_code == 202
        service.wait_for("the model was loaded", 4)
        assert service.ask("GET", "/v1/users/ann/profile").json()["levels"] == profile["levels"]

        workers = service.workers()
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        service.wait_for("a worker ended, and another one takes its place")
        until = time.monotonic() + 60
        while len(service.workers()) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert service.ask("GET", "/v1/users/ann/profile").json()["events"] == 8
        assert "hup_events_total" in service.ask("GET", "/metrics").text
        assert service.stop() == 0
        assert not any("traceback" in line for line in service.lines())
    with serving(folder, tmp_path) as service:
        assert service.ask("GET", "/v1/users/ann/profile").json()["events"] == 8
        assert service.interrupt() == 130


@pytest.mark.slow
def test_what_was_asked_is_answered_before_it_stops(model_folder, tmp_path):
    with serving(model_folder, tmp_path) as service:
        body = {"events": [event("i1", n, f"u{n % 50}") for n in range(5_000)]}
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(service.ask("POST", "/v1/events", json=body)))
        asking.start()
        time.sleep(0.3)  # it takes longer than this; where it does not, the test is weaker, not wrong
        assert service.stop() == 0
        asking.join()
        assert answers[0].json()["accepted"] == 5_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], ["--api-key-file", "other machines"]),
        (["--workers", "2", "--store", "memory:"], ["--workers 1"]),
        (["--store", "mysql://x"], ["names no store"]),
        (["--items", "nothing.csv"], ["nothing.csv"]),
        (["--api-key-file", "empty"], ["no key"]),
        (["--api-key-file", "short"], ["16"]),
        (["--api-key-file", "missing"], ["missing"]),
    ],
)
def test_what_cannot_be_served_is_said(model_folder, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "short").write_text("abc\n")
    result = CliRunner().invoke(app, ["serve", str(model_folder), "--port", "0", *options])
    assert result.exit_code == 1, result.output
    said = " ".join(result.output.split())
    assert "Traceback" not in said
    for word in words:
        assert word in said


def test_no_model_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["serve", "nothing", "--port", "0"])
    assert result.exit_code == 1
    assert "is not a model folder" in result.output


def test_a_port_that_is_taken_is_said(model_folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", str(model_folder), "--port", str(port)])
    assert result.exit_code == 1
    assert f"port {port}" in result.output
    assert "--port" in result.output


def test_without_its_libraries_it_says_how_to_get_them(model_folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "fastapi" else sys)
    result = CliRunner().invoke(app, ["serve", str(model_folder)])
    assert result.exit_code == 1
    assert "pip install 'hup-recsys[serve]'" in result.output


# ---------------------------------------------------------------------- kill -9


def killed_and_restarted(model: Path, folder: Path, times: int) -> list[tuple[str, dict[str, Any]]]:
    """Kill the service under load again and again; give what was acknowledged, by event id."""
    acknowledged: list[tuple[str, dict[str, Any]]] = []
    for turn in range(times):
        with serving(model, folder, "--workers", 2) as service:
            gone = threading.Event()

            def load(number: int, turn: int = turn, service: Running = service, gone: threading.Event = gone) -> None:
                with httpx.Client(base_url=service.address, timeout=30) as client:
                    n = 0
                    while not gone.is_set():
                        at = 1000.0 * turn + 3 * n + number
                        body = event(f"i{(n * 7 + number) % 33}", at, f"u{n % 3}", event_id=f"{turn}-{number}-{n}")
                        try:
                            answer = client.post("/v1/events", json=body)
                        except httpx.HTTPError:
                            return
                        if answer.status_code == 200:
                            assert answer.json()["accepted"] == 1, answer.text
                            acknowledged.append((body["user"], body))
                        n += 1

            threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(0.3, 0.8))
            service.kill_all()
            gone.set()
            for thread in threads:
                thread.join()
    return acknowledged


def assert_nothing_is_lost(make_service, folder: Path, acknowledged: list[tuple[str, dict[str, Any]]]) -> None:
    async def look() -> None:
        service = make_service(LmdbStore(folder / "users"))
        for user in {user for user, _ in acknowledged}:
            record = await service.record(user)
            ids = [one["event_id"] for of, one in acknowledged if of == user]
            assert record.now.folded >= len(ids)
            kept = {one.event_id for one in record.events}
            oldest = record.events[0].timestamp
            due = {one["event_id"] for of, one in acknowledged if of == user and one["timestamp"] > oldest}
            assert due <= kept
            # What was not acknowledged may be there, too: the answer was lost, not the event.
            first = record.now.session.first - record.offset
            if first >= 0:
                log = [Posted(user, one.event, one.event_id, one.session) for one in record.events[first:]]
                again = post(service.served, log)
                assert_same(service.served, record, service.served.opened(again.now.state))
        await service.close()

    asyncio.run(look())


@pytest.mark.slow
def test_what_was_acknowledged_outlives_twenty_kills(model_folder, make_service, tmp_path):
    acknowledged = killed_and_restarted(model_folder, tmp_path, 20)
    assert len(acknowledged) > 200
    assert_nothing_is_lost(make_service, tmp_path, acknowledged)


@pytest.mark.slow
def test_a_full_disk_is_said_and_nothing_is_lost(model_folder, make_service, tmp_path):
    """Files of the worker may not grow, as with a quota that is used up, until there is room again."""
    acknowledged: list[tuple[str, dict[str, Any]]] = []

    def post_one(service: Running, n: int) -> httpx.Response:
        body = event(f"i{n % 33}", n, f"u{n}", event_id=f"e{n}")
        answer = service.ask("POST", "/v1/events", json=body)
        if answer.status_code == 200:
            assert answer.json()["accepted"] == 1
            acknowledged.append((body["user"], body))
        return answer

    with serving(model_folder, tmp_path) as service:
        assert post_one(service, 0).status_code == 200
        (worker,) = service.workers()
        room = (tmp_path / "users" / "data.mdb").stat().st_size + 40_000
        before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        answer = next(one for one in (post_one(service, n) for n in range(1, 200)) if one.status_code != 200)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Make room on its disk" in answer.json()["detail"]
        assert service.ask("GET", "/v1/users/u0/recommendations").status_code == 200, "what is kept is answered"
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
        assert post_one(service, 500).status_code == 200
        assert service.stop() == 0
        assert not any("traceback" in line for line in service.lines())
    assert len(acknowledged) > 2
    assert_nothing_is_lost(make_service, tmp_path, acknowledged)


@pytest.mark.slow
def test_workers_do_not_outlive_their_supervisor(model_folder, tmp_path):
    with serving(model_folder, tmp_path) as service:
        (worker,) = service.workers()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait(30)
        until = time.monotonic() + 30
        while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
            assert time.monotonic() < until, "the worker goes on and holds the port"
            time.sleep(0.05)
