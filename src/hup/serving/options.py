"""What `hup serve` is told, as a plain value that goes to every worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServeOptions:
    """Options of the service.

    Attributes
    ----------
    model : Path
        Model folder; read again by SIGHUP and ``POST /v1/model``.
    store : str
        As :func:`hup.serving.stores.open_store.open_store` takes it.
    items : Path or None
        Folder with a table of items in place of the model's; see :func:`hup.serving.items_table.prepared_items`.
    keys : tuple of str
        API keys, any of which opens; none = no key is asked for.
    late_seconds : float
        How much older than the user's newest event an event may be.
    ahead_seconds : float
        How far ahead of the server's clock an event may be.
    ttl_days : float
        A user is forgotten so long after the last event was posted.
    idle_gap_minutes : float or None
        After which a session ends; None = as the model's log was cut.
    body_bytes : int
        Most bytes of a request's body.
    events : int
        Most events of a request.
    verbose : bool
        Whether log lines of level debug are written, which name users.
    """

    model: Path
    store: str
    items: Path | None = None
    keys: tuple[str, ...] = ()
    late_seconds: float = 3600.0
    ahead_seconds: float = 300.0
    ttl_days: float = 90.0
    idle_gap_minutes: float | None = None
    body_bytes: int = 10 * 2**20
    events: int = 10_000
    verbose: bool = False
