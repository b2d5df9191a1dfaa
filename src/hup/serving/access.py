"""Who may ask: those who have the key, or, where there is none, programs of this machine."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hup.errors import HupError

_SHORTEST_KEY: Final = 16
#: What is open without a key: whether the process is alive, and the page, which asks for the key itself.
_OPEN: Final = frozenset({"/", "/healthz", "/favicon.ico"})
_OPEN_FOLDER: Final = "/page/"


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine reach an address or name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_keys(path: Path) -> tuple[str, ...]:
    """Read API keys, one a line; any of them opens, so that a new one can be given out before the old one goes.

    Raises
    ------
    HupError
        The file does not read, has no key, or one that is too short to be a secret.
    """
    try:
        keys = tuple(line.strip() for line in path.read_text(encoding="ascii").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise HupError(f"Cannot read keys from {path}: {error}. Expected a line of ASCII for each key.") from None
    if not keys:
        raise HupError(f"{path} holds no key. Make one: openssl rand -hex 32 > {path}")
    if any(len(key) < _SHORTEST_KEY for key in keys):
        raise HupError(f"{path} holds a key of less than {_SHORTEST_KEY} letters. Make one: openssl rand -hex 32")
    return keys


class Access:
    """Decides by the head of a request.

    Parameters
    ----------
    keys : sequence of str
        None: no key is asked for, but the request must name this machine as the one it is for. A browser that was led
        here by a page of somebody else names another one.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def refused(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """Give status and reason where a request may not pass."""
        if not self._keys:
            return _other_host(headers)
        if path in _OPEN or path.startswith(_OPEN_FOLDER):
            return None
        given = _given_key(headers)
        # All are compared, so that the time tells nothing of which one, or of how far.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if any(matches):
            return None
        what = "The key is another one" if given else "A key is missing"
        return 401, f"{what}. Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."


def _given_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return b""


def _other_host(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1")
            name_alone = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.split(":")[0]
            if not is_loopback(name_alone):
                return 403, "Without an API key the service answers this machine alone: ask for http://127.0.0.1 …"
        if name == b"sec-fetch-site" and value == b"cross-site":
            return 403, "A page of another site asks; without an API key it gets no answer."
    return None
