"""``hup serve``: live profiles and recommendations over HTTP."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from hup.errors import HupError

_NEEDED = ("fastapi", "uvicorn", "uvloop", "httptools", "lmdb", "redis", "prometheus_client")


def serve(
    model: Annotated[Path, typer.Argument(help="Model folder, from `hup train`; any kind will do.")],
    store: Annotated[
        str,
        typer.Option(help="Where users are kept: lmdb:FOLDER, redis://HOST:PORT/0, or memory: (gone at the end)."),
    ] = "lmdb:hup-users",
    host: Annotated[str, typer.Option(help="Address to listen on; another one than this machine's needs a key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that answer, each with its model.")] = 1,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File of keys, one a line: requests must bring one of them.", dir_okay=False)
    ] = None,
    items: Annotated[
        list[Path] | None, typer.Option(help="Table of items, in place of what the model knows of them.")
    ] = None,
    late_seconds: Annotated[
        float, typer.Option(min=0, help="How much older than the user's newest event an event may be.")
    ] = 3600,
    ahead_seconds: Annotated[
        float, typer.Option(min=0, help="How far ahead of the server's clock an event may be.")
    ] = 300,
    ttl_days: Annotated[float, typer.Option(min=0.001, help="So long after the last event a user is forgotten.")] = 90,
    idle_gap: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="MINUTES", help="A pause that ends a session.", show_default="as the log's"),
    ] = None,
    body_mb: Annotated[float, typer.Option(min=0.001, help="Most megabytes of a request.")] = 10,
    events: Annotated[int, typer.Option(min=1, help="Most events of a request.")] = 10_000,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log lines that name users, too.")] = False,
) -> None:
    """Serve live profiles and recommendations over HTTP: events in, answers milliseconds later.

    What is acknowledged is kept, also where the machine dies. GET /openapi.json lists all calls, and the page at /
    shows users live. SIGHUP, or POST /v1/model, reads the model folder again without a pause; SIGTERM and Ctrl-C answer
    what was asked, then stop.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise HupError(
            f"hup serve needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'hup-recsys[serve]'"
        )
    from hup.serving.access import is_loopback, read_keys
    from hup.serving.logs import log_to_stderr
    from hup.serving.options import ServeOptions
    from hup.serving.workers import Supervisor, take_port

    keys = () if api_key_file is None else read_keys(api_key_file)
    if not keys and not is_loopback(host):
        raise HupError(
            f"--host {host} can be reached from other machines: add --api-key-file FILE. Make one: openssl rand -hex 32"
        )
    if workers > 1 and store == "memory:":
        raise HupError("Each worker would have a memory of its own: --store memory: goes with --workers 1 alone.")
    log_to_stderr(verbose=verbose)
    with ExitStack() as stack:
        table = None
        if items:
            from hup.serving.items_table import prepared_items

            table = stack.enter_context(prepared_items(items))
        options = ServeOptions(
            model=model.absolute(),
            store=store,
            items=table,
            keys=keys,
            late_seconds=late_seconds,
            ahead_seconds=ahead_seconds,
            ttl_days=ttl_days,
            idle_gap_minutes=idle_gap,
            body_bytes=int(body_mb * 2**20),
            events=events,
            verbose=verbose,
        )
        Supervisor(options, take_port(host, port), workers).run()
