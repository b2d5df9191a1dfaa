"""Which names the service takes: text of a bounded length that can be stored, listed and logged."""

from __future__ import annotations

import re
from typing import Final

from hup.errors import HupError
from hup.serving.stores.names import LONGEST_NAME

#: Most bytes, in UTF-8, of the name of a user.
USER_BYTES: Final = 256
#: Most bytes of any other name: item, behavior, category, session, event id.
NAME_BYTES: Final = LONGEST_NAME

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def checked_name(value: object, what: str, most: int = NAME_BYTES) -> str:
    """Check a name.

    Parameters
    ----------
    value : object
    what : str
        The message begins with it.
    most : int
        Bytes in UTF-8.

    Raises
    ------
    HupError
        It is no text, empty, too long, or has characters that no name has.
    """
    if not isinstance(value, str) or not value:
        raise HupError(f"{what} is {value!r:.80}, expected text that is not empty.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise HupError(f"{what} is {value!r:.80}, which has half a character (a lone surrogate).") from None
    if size > most:
        raise HupError(f"{what} has {size:,} bytes, expected {most} at most.")
    if _CONTROL.search(value):
        raise HupError(f"{what} is {value!r:.80}, which has control characters.")
    return value


def checked_id(value: object, what: str, most: int = NAME_BYTES) -> str:
    """Check a name that may come as a whole number, too; as :func:`checked_name`."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return checked_name(value, what, most)


def checked_user(value: object) -> str:
    """Check the name of a user."""
    return checked_id(value, "key 'user'", USER_BYTES)
