"""`make serve-demo` as one command: made, served, played, seen in a browser, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "live"


@pytest.fixture(scope="module")
def environment():
    return os.environ | {"SESSIONS": "300", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def checked(root, folder, environment):
    """The demo as a check, from nothing."""
    command = ["bash", str(root / "scripts" / "serve-demo.sh"), "--check", str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_it_checks_itself(checked):
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "8 users are in the shop" in checked.stdout
    assert "events are in." in checked.stdout


def test_it_is_live_in_a_browser_and_ends_whole(checked, root, folder, environment, browser):
    assert checked.returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = ["bash", str(root / "scripts" / "serve-demo.sh"), str(folder)]
    running = subprocess.Popen(
        command,
        env=environment | {"PORT": address.rsplit(":", 1)[1]},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said = iter(running.stdout.readline, "")
        assert any("users are in the shop" in line for line in said), "it ended"
        users = httpx.get(f"{address}/v1/users").json()["users"]
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}/#user={users[0]}")
        page.wait_for_selector("#lanes .block")
        assert page.locator(".lane").count() == 5
        page.wait_for_selector(".entry img")  # pictures come with the names
        events = page.locator("#log tr").count()
        page.wait_for_function("n => document.querySelectorAll('#log tr').length > n", arg=events, timeout=60_000)
        item = page.locator("section[aria-labelledby='list-item'] button.name").first
        item.click()
        page.click("#event-form button")
        page.wait_for_selector("text=Accepted.")
        page.click("#sample-fill")
        page.select_option("#pace", "600")
        page.click("text=Replay")
        page.wait_for_selector("#replay:not([hidden])")
        page.wait_for_selector("#lanes .block")
        assert not wrong
        page.close()
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
        running.stdout.close()
    assert running.returncode == 130
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            httpx.get(f"{address}/healthz")
        except httpx.ConnectError:
            return
        time.sleep(0.2)
    raise AssertionError("the service is still there")


def test_a_port_that_is_taken_ends_it_all(checked, root, folder, environment):
    assert checked.returncode == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = ["bash", str(root / "scripts" / "serve-demo.sh"), str(folder)]
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command, env=environment | {"PORT": port}, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert "One part has ended, with code 1" in done.stderr
    assert port in done.stderr.split("What the service said last")[1]
