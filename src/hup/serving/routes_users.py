"""Users out: who there is, their profiles, recommendations and explanations; and forgetting them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from hup.errors import HupError
from hup.serving.answers import Answer, Answers, Question
from hup.serving.explanation import explanation
from hup.serving.json_answers import json_answer
from hup.serving.names import USER_BYTES, checked_name
from hup.serving.problems import ServiceError
from hup.serving.record import Record
from hup.serving.requests import MOST_K, MOST_USERS, service_of, user_in_path
from hup.serving.schemas import ExplanationAnswer, ProfileAnswer, RecommendationsAnswer, UsersAnswer, answers
from hup.sessions.events import MOST_SECONDS

router = APIRouter(tags=["users"])

User = Annotated[str, Path(min_length=1, description="Name of the user, percent-encoded.")]
Now = Annotated[
    float | None,
    Query(
        allow_inf_nan=False,
        ge=-MOST_SECONDS,
        le=MOST_SECONDS,
        description="Seconds on the events' clock: how late it is. Without it, answers are those of the batch file.",
    ),
]
LevelName = Annotated[str, Query(description="item, category_1 … category_K, or all.")]
K = Annotated[int, Query(ge=1, le=MOST_K, description="How many of each level.")]
NewOnly = Annotated[bool, Query(description="Nothing that the user has been on.")]
Within = Annotated[str, Query(description="Category that what comes lies in: a > b.")]


@router.get(
    "/v1/users/{user}/recommendations",
    responses=answers(RecommendationsAnswer, 404, 422, 503),
    response_model=None,
)
async def user_recommendations(
    request: Request,
    user: User,
    level: LevelName = "item",
    k: K = 20,
    new_only: NewOnly = False,
    within: Within = "",
    now: Now = None,
) -> Response:
    """Rank items, or categories, for a user."""
    name, record, model = await _asked(request, user)
    asked, seen = model.of_user(record)
    answer = model.recommendations(asked, seen, Question(level, k, new_only, within, now))
    return json_answer({"user": name, "model": model.served.digest, **answer})


@router.get("/v1/users/{user}/profile", responses=answers(ProfileAnswer, 404, 409, 422, 503), response_model=None)
async def user_profile(
    request: Request,
    user: User,
    now: Now = None,
    vectors: Annotated[bool, Query(description="Whether the vectors are given, too.")] = True,
) -> Response:
    """Give a user's profile: vector and best recommendations of every level."""
    name, record, model = await _asked(request, user)
    asked, _ = model.of_user(record)
    answer = {
        "user": name,
        "model": model.served.digest,
        "session": _session(record),
        "events": record.now.folded,
        "levels": model.profile(asked, now, vectors=vectors),
    }
    return json_answer(answer)


@router.get("/v1/users/{user}/explanation", responses=answers(ExplanationAnswer, 404, 422, 503), response_model=None)
async def user_explanation(request: Request, user: User, now: Now = None) -> Response:
    """Give the user's session as the model sees it."""
    name, record, model = await _asked(request, user)
    asked, _ = model.of_user(record)
    answer = explanation(model, asked, record.session_events, now)
    return json_answer({"user": name, "model": model.served.digest, **answer})


@router.get("/v1/users", responses=answers(UsersAnswer, 422, 503), response_model=None)
async def users(
    request: Request,
    prefix: Annotated[str, Query(description="What the names begin with.")] = "",
    after: Annotated[str, Query(description="The name before the first one; `next` of the answer before.")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_USERS)] = 100,
) -> Response:
    """List users by name."""
    for value, what in ((prefix, "prefix"), (after, "after")):
        if value:
            _check_query(value, what)
    found = await service_of(request).store.users(prefix, after, limit)
    return json_answer({"users": found, "next": found[-1] if len(found) == limit else None})


@router.delete(
    "/v1/users/{user}",
    status_code=204,
    responses={code: told for code, told in answers(UsersAnswer, 404, 503).items() if code != 200},
    response_model=None,
)
async def forget(request: Request, user: User) -> Response:
    """Forget a user: all that is kept, durably; also right where nothing is."""
    await service_of(request).forget(user_in_path(user))
    return Response(status_code=204)


def _check_query(value: str, what: str) -> None:
    try:
        checked_name(value, what, USER_BYTES)
    except HupError as error:
        raise ServiceError(422, str(error)) from None


async def _asked(request: Request, part: str) -> tuple[str, Record, Answers]:
    """Look up a user, and what answers now."""
    service, user = service_of(request), user_in_path(part)
    record = await service.record(user)
    await service.catalog.renew(service.store)
    if record is None:
        raise ServiceError(404, f"Nothing is kept of the user {user!r}. POST an event first.")
    if record.model != service.served.state_digest:  # the model was swapped between two lines of this
        return await _asked(request, part)
    return user, record, Answers(service.served, service.catalog)


def _session(record: Record) -> Answer:
    events: list[Any] = record.session_events
    return {
        "number": record.now.session.number,
        "name": record.now.session.name,
        "began": events[0].timestamp if events else None,
        "latest": record.now.latest,
        "events": record.now.folded - record.now.session.first,
    }
