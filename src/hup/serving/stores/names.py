"""Names of users and items as bytes, whose order is that of their code points."""

from __future__ import annotations

from hup.errors import HupError

#: Bytes of a name in UTF-8. A key of LMDB holds 511, eight of which may be a moment or a revision.
LONGEST_NAME = 500


def name_bytes(name: str) -> bytes:
    """Give a name as bytes.

    Raises
    ------
    HupError
        It is empty, longer than a store keeps, or no text.
    """
    data = text_bytes(name)
    if not 1 <= len(data) <= LONGEST_NAME:
        raise HupError(f"A name of {len(data)} bytes cannot be kept; expected 1 to {LONGEST_NAME} bytes of UTF-8.")
    return data


def text_bytes(text: str) -> bytes:
    """Give text, which need not be a whole name, as bytes.

    Raises
    ------
    HupError
        It holds half a character (a lone surrogate).
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise HupError(f"{text!a} is not text: it holds half a character. Send names as proper UTF-8.") from None
