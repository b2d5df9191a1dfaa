"""The page at ``/``: files of the package as they are, and what a browser may do with them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, HTTPException, Response

# Scripts, styles and calls are this service's alone; pictures may be where the shop has them.
POLICY = (
    "default-src 'self'; img-src 'self' https: http: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"

# Read once: no request names a file, only one of these.
_FILES = {
    found.name: found.read_bytes()
    for found in files("hup.serving").joinpath("page").iterdir()
    if PurePath(found.name).suffix in CONTENT_TYPES
}

router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> Response:
    """Give the page itself."""
    return _answer(INDEX)


@router.get("/page/{name}")
def part(name: str) -> Response:
    """Give a file that the page needs."""
    if name not in _FILES:
        raise HTTPException(404, f"The page has no file {name!r}.")
    return _answer(name)


def _answer(name: str) -> Response:
    return Response(_FILES[name], media_type=CONTENT_TYPES[PurePath(name).suffix], headers=HEADERS)
