"""Events in."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from hup.errors import HupError
from hup.serving.json_answers import json_answer
from hup.serving.metrics import Metrics
from hup.serving.posted import Posted, Verdict
from hup.serving.problems import ServiceError
from hup.serving.requests import check_count, read_body, service_of
from hup.serving.schemas import EVENTS, EventsAnswer, answers, json_body

router = APIRouter()
_any = msgspec.json.Decoder()


@router.post(
    "/v1/events",
    tags=["events"],
    responses=answers(EventsAnswer, 400, 413, 422, 503),
    response_model=None,
    openapi_extra=json_body(EVENTS),
)
async def post_events(request: Request) -> Response:
    """Post one event, or many; answered when they are durable.

    Every event gets a verdict. One whose id was accepted before is a duplicate, so that a request whose answer was lost
    can be sent again.
    """
    service = service_of(request)
    values = _events(await read_body(request, _any))
    check_count(values, service.options.events, "events")
    verdicts: list[Verdict] = []
    posted: list[Posted] = []
    places: list[int] = []
    for place, value in enumerate(values):
        try:
            posted.append(Posted.of(value))
            places.append(place)
            verdicts.append(Verdict("accepted"))
        except HupError as error:
            verdicts.append(Verdict("refused", _id(value), str(error)))
    for place, verdict in zip(places, await service.post(posted), strict=True):
        verdicts[place] = verdict
    metrics: Metrics = request.app.state.metrics
    counts = Counter(verdict.status for verdict in verdicts)
    for status, n in counts.items():
        metrics.judged(status, n)
    return json_answer({"accepted": counts["accepted"], "verdicts": [_told(verdict) for verdict in verdicts]})


def _events(body: Any) -> list[Any]:
    if not isinstance(body, dict):
        raise ServiceError(422, 'The body is no object; expected {"events": [ … ]} or one event.')
    if "events" not in body:
        return [body]
    events = body["events"]
    if len(body) > 1 or not isinstance(events, list):
        raise ServiceError(422, 'Expected {"events": [ … ]} with a list of events and no other key.')
    return events


def _id(value: Any) -> str | None:
    event_id = value.get("event_id") if isinstance(value, dict) else None
    return event_id if isinstance(event_id, str) else None


def _told(verdict: Verdict) -> dict[str, str]:
    told: dict[str, str] = {"status": verdict.status}
    if verdict.event_id is not None:
        told["event_id"] = verdict.event_id
    if verdict.reason is not None:
        told["reason"] = verdict.reason
    return told
