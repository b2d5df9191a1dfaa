"""The model that answers, and whether the service is well."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from hup.serving.json_answers import json_answer
from hup.serving.metrics import CONTENT_TYPE, Metrics
from hup.serving.requests import service_of
from hup.serving.schemas import ModelAnswer, StatusAnswer, answers

router = APIRouter(tags=["service"])


@router.get("/v1/model", responses=answers(ModelAnswer), response_model=None)
async def model(request: Request) -> Response:
    """Tell which model answers, its levels, and the behaviors that it knows."""
    service = service_of(request)
    served, known = service.served, service.served.model.vocabulary
    told = {
        "model": served.digest,
        "kind": served.model.kind,
        "name": served.model.name,
        "levels": served.model.levels,
        "behaviors": [{"code": one.code, "name": one.name} for one in known.behaviors],
        "items": len(known.items),
        "categories": [len(names) for names in known.categories],
        "has_profiles": served.has_profiles,
        "loaded": datetime.fromtimestamp(served.loaded, UTC).isoformat(timespec="milliseconds"),
        "failed": service.failed or None,
    }
    return json_answer(told)


@router.post("/v1/model", status_code=202, responses=answers(StatusAnswer, status=202), response_model=None)
async def reload_model(request: Request) -> Response:
    """Read the model folder again, in all workers; until a new one is there the old one answers."""
    request.app.state.reload()
    return json_answer({"status": "loading"}, 202)


@router.get("/healthz", responses=answers(StatusAnswer), response_model=None)
async def healthz() -> Response:
    """Tell that the process is alive."""
    return json_answer({"status": "alive"})


@router.get("/readyz", responses=answers(StatusAnswer, 503), response_model=None)
async def readyz(request: Request) -> Response:
    """Tell whether model and store are there."""
    await service_of(request).store.check()
    return json_answer({"status": "ready"})


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "For Prometheus."}},
    response_model=None,
)
async def metrics(request: Request) -> Response:
    """Give figures for Prometheus, of all workers together."""
    figures: Metrics = request.app.state.metrics
    return Response(figures.text(), headers={"content-type": CONTENT_TYPE})
