"""What every request passes: its id, who asks, how long it took, and a line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterable
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hup.serving.access import Access
from hup.serving.logs import LOGGER
from hup.serving.metrics import Metrics
from hup.serving.problems import MEDIA_TYPE, problem
from hup.serving.requests import SLASH

log = logging.getLogger(LOGGER)

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """Wraps the application.

    Parameters
    ----------
    app : ASGIApp
    access : Access
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app, self._access, self._metrics = app, access, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answer = time.perf_counter(), _Answer(send, _request_id(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = answer.request_id
        _part_names(scope)
        refused = self._access.refused(scope["path"], scope["headers"])
        try:
            if refused is not None:
                await answer.problem(*refused)
            else:
                await self._app(scope, receive, answer.send)
        except Exception:
            log.exception("a request failed", extra={"request_id": answer.request_id})
            if not answer.status:
                await answer.problem(500, "Something is wrong in the service; its log tells what, by the request's id.")
        finally:
            self._note(scope, answer, time.perf_counter() - began)

    def _note(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "none")
        self._metrics.answered(scope["method"], route, answer.status, seconds)
        if log.isEnabledFor(logging.INFO):
            told = {
                "request_id": answer.request_id,
                "method": scope["method"],
                "route": route,
                "status": answer.status,
                "ms": round(1e3 * seconds, 3),
            }
            log.info("request", extra=told)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("asked", extra={"request_id": answer.request_id, "path": scope["path"]})


def _part_names(scope: Scope) -> None:
    """Tell a slash within a name of the path from one between names."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw.lower() or b"%00" in raw:
        parts = raw.partition(b"?")[0].decode("ascii", "replace").replace("%00", "%EF%BF%BD").split("/")
        scope["path"] = "/".join(unquote(part).replace("/", SLASH) for part in parts)


class _Answer:
    """An answer on its way, which gets the request's id."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id, self.status = send, request_id, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(b"x-request-id", self.request_id.encode()), (b"cache-control", b"no-store")]
            message["headers"] = [*message.get("headers", ()), *own]
        await self._send(message)

    async def problem(self, status: int, detail: str) -> None:
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        body = problem(status, detail, self.request_id)
        headers.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Take the id that a request brings, if it is harmless in a log, or make one."""
    for name, value in headers:
        if name == b"x-request-id" and _HARMLESS.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)
