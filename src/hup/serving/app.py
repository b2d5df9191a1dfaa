"""The HTTP application: routes, what is said when something is wrong, and the edge that every request passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from hup.errors import HupError, StoreError
from hup.serving import page_files, routes_events, routes_items, routes_model, routes_sessions, routes_users
from hup.serving.access import Access
from hup.serving.edge import Edge
from hup.serving.metrics import Metrics
from hup.serving.problems import MEDIA_TYPE, ServiceError, problem
from hup.serving.record import DamagedRecordError
from hup.serving.schemas import Problem
from hup.serving.service import Service

_WORDS = {404: "There is nothing at this path; /openapi.json lists what there is."}


def make_app(service: Service, reload: Callable[[], None] | None = None) -> ASGIApp:
    """Make the application of a service.

    Parameters
    ----------
    service : Service
    reload : callable, optional
        Has the model read again in all workers; by default in this process.
    """
    app = FastAPI(
        title="HUP",
        description="Live hierarchical user profiles: events in, profiles and recommendations out.",
        version="1",
        docs_url=None,  # they bring scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics()
    app.state.service, app.state.metrics = service, metrics
    app.state.reload = reload or service.begin_reload
    for part in (routes_events, routes_users, routes_sessions, routes_items, routes_model, page_files):
        app.include_router(part.router)
    for kind in (HupError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _problem)
    _document(app, keys=bool(service.options.keys))
    return Edge(app, Access(service.options.keys), metrics)


async def _problem(request: Request, error: Exception) -> Response:
    """Say what is wrong."""
    headers: dict[str, str] = {}
    status, detail = 500, "Something is wrong in the service; its log tells what, by the request's id."
    if isinstance(error, ServiceError):
        status, detail, headers = error.status, str(error), error.headers
    elif isinstance(error, StoreError):
        status, detail, headers = 503, str(error), {"retry-after": "1"}
    elif isinstance(error, DamagedRecordError):
        detail = str(error)
    elif isinstance(error, HupError):
        status, detail = 422, str(error)
    elif isinstance(error, RequestValidationError):
        status, detail = 422, "; ".join(map(_invalid, error.errors()))
    elif isinstance(error, HTTPException):
        status, headers = error.status_code, dict(error.headers or {})
        detail = _WORDS.get(status, f"{error.detail}.")
    body = problem(status, detail, request.state.request_id)
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def _invalid(error: Any) -> str:
    where = " ".join(map(str, error["loc"]))
    return f"{where} is {error.get('input')!r:.100}: {error['msg']}."


def _document(app: FastAPI, *, keys: bool) -> None:
    """Complete the OpenAPI document: what problems look like, and how a key is sent."""
    made = app.openapi()
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    for operations in made["paths"].values():
        for operation in operations.values():
            told = operation["responses"].get("422")
            if told is not None and "application/json" in told.get("content", {}):  # FastAPI's own words for it
                told["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        made["security"] = [{"bearer": []}, {"key": []}]
        made["paths"]["/healthz"]["get"]["security"] = []
