"""A worker process: model, store and HTTP server."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Final

import torch
import uvicorn
import uvloop

from hup.errors import StoreError
from hup.serving.app import make_app
from hup.serving.heap import spare_what_stays
from hup.serving.logs import LOGGER, log_to_stderr
from hup.serving.options import ServeOptions
from hup.serving.served import Served
from hup.serving.service import Service
from hup.serving.stores.open_store import open_store
from hup.serving.workers import GRACE, READY, RELOAD

log = logging.getLogger(LOGGER)

_SWEEP_SECONDS: Final = 60.0
_SWEPT_AT_ONCE: Final = 1_000
_COLLECTED_SECONDS: Final = 3600.0


class _Server(uvicorn.Server):
    """A server that leaves signals to its worker, and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_worker(options: ServeOptions, sock: socket.socket, pipe: Connection) -> None:
    """Serve until SIGTERM, or until the supervisor is gone.

    Raises
    ------
    HupError
        Model or store cannot be opened.
    """
    log_to_stderr(verbose=options.verbose)
    torch.set_num_threads(1)  # requests are answered one after the other; more threads would wait for each other
    served = Served(options.model, options.idle_gap_minutes)
    uvloop.run(_serve(options, served, sock, pipe))


async def _serve(options: ServeOptions, served: Served, sock: socket.socket, pipe: Connection) -> None:
    service = Service(await open_store(options.store), served, options, loaded=spare_what_stays)
    app = make_app(service, reload=lambda: pipe.send((RELOAD, "")))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=int(GRACE),
    )
    server = _Server(config, ready=lambda: pipe.send((READY, "")))
    spare_what_stays()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    def gone() -> None:
        """Stop, since the supervisor has closed its end: no one would replace this worker, or end it."""
        loop.remove_reader(pipe.fileno())
        stop()

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGHUP, service.begin_reload)
    loop.add_reader(pipe.fileno(), gone)
    now_and_then = [loop.create_task(_sweep(service)), loop.create_task(_collect())]
    try:
        await server.serve([sock])
    finally:
        for task in now_and_then:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await service.close()


async def _collect() -> None:
    """Free what was spared and is of no use any more, once an hour: it takes some tenths of a second."""
    while True:
        await asyncio.sleep(_COLLECTED_SECONDS)
        spare_what_stays()


async def _sweep(service: Service) -> None:
    """Remove users whose time is over, now and then."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        try:
            while await service.store.sweep(time.time(), _SWEPT_AT_ONCE) == _SWEPT_AT_ONCE:
                await asyncio.sleep(0)
        except StoreError as error:
            log.warning("users whose time is over could not be removed", extra={"detail": str(error)})
