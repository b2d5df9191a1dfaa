"""Answers as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder(enc_hook=str).encode


def json_answer(content: Any, status: int = 200) -> Response:
    """Give an answer; what is not finite becomes null."""
    return Response(_encode(content), status, media_type="application/json")
