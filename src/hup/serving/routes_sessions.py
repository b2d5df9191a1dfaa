"""Answers for a session in the request; nothing of it is kept."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from hup.errors import HupError
from hup.serving.answers import Question
from hup.serving.explanation import explanation
from hup.serving.json_answers import json_answer
from hup.serving.posted import checked_event
from hup.serving.problems import ServiceError
from hup.serving.requests import MOST_K, MOST_SESSION, answers_of, check_count, read_body
from hup.serving.schemas import (
    SESSION_EXPLAINED,
    SESSION_QUESTION,
    ExplanationAnswer,
    RecommendationsAnswer,
    answers,
    json_body,
)
from hup.sessions.events import Event, in_time_order

router = APIRouter(tags=["sessions"])


class _Explained(msgspec.Struct, forbid_unknown_fields=True):
    session: list[dict[str, Any]]
    now: float | None = None


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    session: list[dict[str, Any]]
    level: str = "item"
    k: Annotated[int, msgspec.Meta(ge=1, le=MOST_K)] = 20
    new_only: bool = False
    within: str = ""
    now: float | None = None


_asked = msgspec.json.Decoder(_Asked)
_explained = msgspec.json.Decoder(_Explained)


@router.post(
    "/v1/recommendations",
    responses=answers(RecommendationsAnswer, 400, 404, 413, 422, 503),
    response_model=None,
    openapi_extra=json_body(SESSION_QUESTION),
)
async def session_recommendations(request: Request) -> Response:
    """Rank items, or categories, for the session in the body; an empty one is answered with popularity."""
    body = await read_body(request, _asked)
    events = _events(body.session)
    model = await answers_of(request)
    asked, seen = model.of_session(events)
    answer = model.recommendations(asked, seen, Question(body.level, body.k, body.new_only, body.within, body.now))
    return json_answer({"model": model.served.digest, **answer})


@router.post(
    "/v1/explanation",
    responses=answers(ExplanationAnswer, 400, 413, 422, 503),
    response_model=None,
    openapi_extra=json_body(SESSION_EXPLAINED),
)
async def session_explanation(request: Request) -> Response:
    """Give the session in the body as the model sees it."""
    body = await read_body(request, _explained)
    events = _events(body.session)
    model = await answers_of(request)
    asked, _ = model.of_session(events)
    return json_answer({"model": model.served.digest, **explanation(model, asked, events, body.now)})


def _events(values: list[dict[str, Any]]) -> list[Event]:
    check_count(values, MOST_SESSION, "events")
    events = []
    for number, value in enumerate(values, 1):
        try:
            events.append(checked_event(value))
        except HupError as error:
            raise ServiceError(422, f"event {number}: {str(error).removeprefix('event: ')}") from None
    return in_time_order(events, "session")
