"""A real browser, and a service in a thread of its own."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import Browser, Page


@contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")  # not longer: while the driver runs, other tests' asyncio.run() is refused
def browser() -> Iterator[Browser]:
    """The system's Chromium; nothing is downloaded."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium: the command chromium is not there")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``opened(app, path, **context)``: the page of a service. At the end nothing may have gone wrong in it."""
    contexts, wrong, hosts, servers = [], [], {}, []

    def note_failure(message: Any) -> None:
        if message.type in ("error", "warning"):
            wrong.append(message.text)

    def open_page(app: FastAPI, path: str = "/", *, may_log: str | None = None, **context: Any) -> Page:
        server = _served(app)
        address = server.__enter__()
        servers.append(server)
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)  # on a busy machine; what is right comes in a moment
        page.on("console", lambda message: None if may_log and may_log in message.text else note_failure(message))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: hosts.setdefault(request.url, address))
        page.goto(address + path)
        page.wait_for_selector('#connection[data-state="live"], #key-dialog[open]')
        return page

    yield open_page
    for context in contexts:
        context.close()
    for server in servers:
        server.__exit__(None, None, None)
    assert not wrong, wrong
    foreign = [url for url, address in hosts.items() if not url.startswith((address, "data:"))]
    assert not foreign, foreign
