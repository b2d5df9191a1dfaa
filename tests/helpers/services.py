"""`hup serve` as a process of its own, on a port that is free."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


class Running:
    """A service that was started; its log lines are in a file."""

    def __init__(self, model: Path, *options: object, log: Path) -> None:
        self.log = log
        command = [sys.executable, "-m", "hup", "serve", str(model), "--port", "0", *map(str, options)]
        with log.open("wb") as file:
            # A group of its own, so that Ctrl-C can reach all of it, and the tests' process not.
            self.process = subprocess.Popen(command, stderr=file, stdout=file, start_new_session=True)
        self.address = str(self.wait_for("ready")["address"])

    def lines(self) -> list[dict[str, Any]]:
        """What is in the log that is JSON."""
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def wait_for(self, message: str, n: int = 1) -> dict[str, Any]:
        """Wait for the n-th line of the log with a message."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = [line for line in self.lines() if line.get("message") == message]
            if len(found) >= n:
                return found[n - 1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(f"no {message!r}: {self.log.read_text()}")

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return httpx.request(method, self.address + path, timeout=30, **request)

    def workers(self) -> list[int]:
        """Process ids of the workers: children that have the model."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                command = (stat.parent / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if parent == self.process.pid and b"spawn_main" in command:
                found.append(int(stat.parent.name))
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def interrupt(self) -> int:
        """Press Ctrl-C in the terminal that it would run in."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)

    def kill_all(self) -> None:
        """As when the machine dies: nothing gets to clear up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def serving(model: Path, folder: Path, *options: object, store: str = "") -> Iterator[Running]:
    """Start a service whose users are in a folder, or in another store, and end it whatever happens."""
    log = folder / f"serve-{len(list(folder.glob('serve-*')))}.log"
    service = Running(model, "--store", store or f"lmdb:{folder / 'users'}", *options, log=log)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.kill_all()
