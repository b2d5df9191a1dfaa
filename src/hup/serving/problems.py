"""What goes wrong, as the service says it: a status, a title, and what to do (RFC 9457, problem+json)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from hup.errors import HupError

MEDIA_TYPE: Final = "application/problem+json"


class ServiceError(HupError):
    """A request that cannot be answered as it is.

    Parameters
    ----------
    status : int
        Of HTTP.
    detail : str
        What was found, what was expected, and what to do.
    headers : mapping of str to str
        Of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


def problem(status: int, detail: str, request_id: str) -> bytes:
    """Give the body of an answer."""
    told = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request_id,
    }
    return msgspec.json.encode(told)
