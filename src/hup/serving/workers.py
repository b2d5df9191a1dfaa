"""Worker processes around one port: started by spawn, replaced when they die, stopped when they are done.

A forked child of a process that has used torch hangs in it, so each is started anew. The supervisor itself imports
neither torch nor a web framework. Each worker listens on a socket of its own, between which the system deals out
connections: of one that all share, the first to wake would take most of them, and keep them. A worker listens once it
is ready, and when it dies its socket goes with it, so no connection waits for one that is not there.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from hup.errors import HupError
from hup.serving.logs import LOGGER
from hup.serving.metrics_folder import FOLDER
from hup.serving.options import ServeOptions

log = logging.getLogger(LOGGER)

#: Seconds that requests have to be answered, once the service is to stop.
GRACE: Final = 10.0
_LOOK_AGAIN: Final = 0.2  # seconds between two looks at signals
_BACKOFF: Final = 0.5  # seconds before a worker that was never ready is started again, doubled up to a minute

READY, FAILED, RELOAD = "ready", "failed", "reload"


def take_port(host: str, port: int) -> socket.socket:
    """Take an address that nobody listens on yet; it is kept as long as the socket, which does not listen itself.

    Raises
    ------
    HupError
        The address cannot be taken.
    """
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with _bound(address[0], address[4], shared=False) as alone:  # a shared one would join a service that runs there
            alone.listen()
            taken = alone.getsockname()
        return _bound(address[0], taken, shared=True)
    except OSError as error:
        why = error.strerror or error
        raise HupError(f"Cannot listen on {host} port {port}: {why}. Choose another --port.") from None


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


@dataclass
class _Worker:
    """A process and the pipe to it.

    Attributes
    ----------
    process : BaseProcess
    pipe : Connection
        It says when it is ready; when this end closes, it stops.
    is_ready : bool
    """

    process: BaseProcess
    pipe: Connection
    is_ready: bool = False


@dataclass
class Supervisor:
    """Keeps so many workers running.

    Parameters
    ----------
    options : ServeOptions
    sock : socket
        From :func:`take_port`.
    workers : int
    """

    options: ServeOptions
    sock: socket.socket
    workers: int
    _running: list[_Worker] = field(default_factory=list)
    _stop: int = 0
    _reload: bool = False
    _failures: int = 0
    _not_before: float = 0.0
    _told: bool = False

    def run(self) -> None:
        """Run until SIGTERM, or SIGINT, which ends in a KeyboardInterrupt.

        Raises
        ------
        HupError
            A worker could not begin, when the service was started.
        """
        with _figures_folder(), self._signals():
            try:
                while not self._stop:
                    self._start_missing()
                    self._listen()
                    self._reap()
                    if self._reload:
                        self._reload = False
                        self._send(signal.SIGHUP)
            finally:
                self._end()
        if self._stop == signal.SIGINT:
            raise KeyboardInterrupt

    # ------------------------------------------------------------------ workers

    def _start_missing(self) -> None:
        while len(self._running) < self.workers and time.monotonic() >= self._not_before:
            ours, theirs = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            with _bound(self.sock.family, self.sock.getsockname(), shared=True) as sock:
                process = context.Process(target=_begin, args=(self.options, sock, theirs), name="hup-serve-worker")
                process.start()
            theirs.close()
            self._running.append(_Worker(process, ours))

    def _listen(self) -> None:
        """Take what workers say, until there is something to do."""
        pipes = {worker.pipe: worker for worker in self._running}
        sentinels = [worker.process.sentinel for worker in self._running]
        for found in wait([*pipes, *sentinels], _LOOK_AGAIN):
            worker = pipes.get(found)  # type: ignore[call-overload]  # a sentinel is in none
            if worker is not None:
                self._hear(worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            what, message = worker.pipe.recv()
        except (EOFError, OSError):
            return  # it is dying, and reaped in a moment
        if what == READY:
            worker.is_ready, self._failures = True, 0
            self._tell()
        elif what == RELOAD:
            self._reload = True
        elif what == FAILED:
            if not self._told:
                raise HupError(message)
            log.error("a worker could not begin", extra={"detail": message})

    def _tell(self) -> None:
        """Say once that all are there."""
        if not self._told and sum(worker.is_ready for worker in self._running) == self.workers:
            self._told = True
            log.info("ready", extra={"address": address_of(self.sock), "workers": self.workers})

    def _reap(self) -> None:
        for worker in [one for one in self._running if one.process.exitcode is not None]:
            if worker.pipe.poll():
                self._hear(worker)
            self._running.remove(worker)
            worker.pipe.close()
            code = worker.process.exitcode
            if not self._told:
                raise HupError(f"A worker ended with {code} while it began; the lines above say why.")
            log.error(
                "a worker ended, and another one takes its place", extra={"exit": code, "pid": worker.process.pid}
            )
            _forget_figures(worker.process.pid)
            if not worker.is_ready:
                self._failures += 1
                self._not_before = time.monotonic() + min(_BACKOFF * 2**self._failures, 60.0)

    # ------------------------------------------------------------------ signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Take signals for the length of the block."""
        before = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._stop_by),
            signal.SIGINT: signal.signal(signal.SIGINT, self._stop_by),
            signal.SIGHUP: signal.signal(signal.SIGHUP, self._reload_by),
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_by(self, number: int, _: Any) -> None:
        self._stop = self._stop or number

    def _reload_by(self, *_: Any) -> None:
        self._reload = True

    def _send(self, number: int) -> None:
        for worker in self._running:
            if worker.is_ready and worker.process.pid is not None and worker.process.exitcode is None:
                os.kill(worker.process.pid, number)

    def _end(self) -> None:
        """Let workers answer what they have begun to, and end them."""
        for worker in self._running:
            if worker.process.exitcode is None:
                worker.process.terminate()
        until = time.monotonic() + GRACE + 2
        for worker in self._running:
            worker.process.join(max(until - time.monotonic(), 0))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self.sock.close()


def address_of(sock: socket.socket) -> str:
    """Give the address of a listening socket as a browser takes it."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def _figures_folder() -> Iterator[None]:
    """Name a folder, which workers inherit, for the figures of all of them."""
    with tempfile.TemporaryDirectory(prefix="hup-figures-") as folder:
        before = os.environ.get(FOLDER)
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            os.environ.pop(FOLDER)
            if before is not None:
                os.environ[FOLDER] = before


def _forget_figures(pid: int | None) -> None:
    """Drop a dead worker's gauges; what it has counted counts on."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it has none


def _begin(options: ServeOptions, sock: socket.socket, pipe: Connection) -> None:
    """Run a worker; this is where a new process begins."""
    # Ctrl-C reaches all processes of a terminal; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a model to read again
    from hup.serving.worker import run_worker

    try:
        run_worker(options, sock, pipe)
    except HupError as error:
        pipe.send((FAILED, str(error)))
        sys.exit(1)
