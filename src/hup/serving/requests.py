"""Requests as they come in: names in paths, bodies within their limits, values in bodies."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from hup.errors import HupError
from hup.serving.answers import Answers
from hup.serving.names import checked_name, checked_user
from hup.serving.problems import ServiceError
from hup.serving.service import Service

#: Stands for a slash within a name of a path, where a slash parts names; no name has it.
SLASH: Final = "\0"

MOST_K: Final = 1_000
MOST_USERS: Final = 1_000
MOST_SESSION: Final = 10_000
MOST_ITEMS: Final = 10_000

Body = TypeVar("Body")


def service_of(request: Request) -> Service:
    """Give the service that a request is for."""
    service: Service = request.app.state.service
    return service


async def answers_of(request: Request) -> Answers:
    """Give the model that answers now, with what the shop says of its items now."""
    service = service_of(request)
    await service.catalog.renew(service.store)
    return Answers(service.served, service.catalog)


def user_in_path(part: str) -> str:
    """Read the name of a user.

    Raises
    ------
    ServiceError
        No user has such a name.
    """
    try:
        return checked_user(part.replace(SLASH, "/"))
    except HupError as error:
        raise ServiceError(404, f"There is no such user: {error}") from None


def item_in_path(part: str) -> str:
    """Read the name of an item, or the path of a category."""
    try:
        return checked_name(part.replace(SLASH, "/"), "item")
    except HupError as error:
        raise ServiceError(404, f"There is no such item: {error}") from None


async def read_body(request: Request, decoder: msgspec.json.Decoder[Body]) -> Body:
    """Read a body of JSON.

    Raises
    ------
    ServiceError
        It is too large, no JSON, or has other keys and types than expected.
    """
    data = await _bytes(request, service_of(request).options.body_bytes)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise ServiceError(422, f"The body is not what is expected: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError(400, f"The body is no JSON: {error}.") from None


async def _bytes(request: Request, most: int) -> bytes:
    told = request.headers.get("content-length", "")
    too_large = ServiceError(413, f"The body has more than {most:,} bytes. Send less at once.")
    if told.isdigit() and int(told) > most:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def check_count(values: list[Any], most: int, what: str) -> None:
    """Check how many there are of something in a request.

    Raises
    ------
    ServiceError
        Too many.
    """
    if len(values) > most:
        raise ServiceError(413, f"{len(values):,} {what} in one request; send {most:,} at a time at most.")
