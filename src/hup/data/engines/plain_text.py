"""Text of any encoding, and delimiters of several characters, as UTF-8 with one between fields."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence

from hup.data.engines.reader import Dialect
from hup.errors import HupError

UTF8 = "utf-8"
#: Stands for a delimiter of several characters; what is read as text has no such character of its own.
UNIT_SEPARATOR = b"\x1f"
_LONGEST_DELIMITER = 8


def check_encoding(name: str) -> str:
    """Give the usual name of an encoding in which a newline is one byte.

    Raises
    ------
    HupError
        If it is none.
    """
    try:
        newline = "\n".encode(name)
    except (LookupError, UnicodeError, AttributeError):
        newline = b""
    if newline != b"\n":
        raise HupError(
            f"Encoding {name!r} cannot be read; expected one in which a newline is one byte, such as utf-8, cp1252, "
            "gb18030 or shift_jis. Convert others: iconv -f UTF-16 -t UTF-8 OLD > NEW."
        )
    return codecs.lookup(name).name


def check_delimiter(delimiter: str) -> str:
    """Give a delimiter back.

    Raises
    ------
    HupError
        If it is none.
    """
    good = delimiter.isascii() and not set(delimiter) & set('"\r\n\0')
    if not good or not 1 <= len(delimiter) <= _LONGEST_DELIMITER:
        raise HupError(
            f"Delimiter {delimiter!r} cannot separate fields. Expected one ASCII character, or a few such as '::'."
        )
    return delimiter


def plain_delimiter(dialect: Dialect) -> str:
    """Give the character that stands between fields of `plain_blocks`."""
    return dialect.delimiter if len(dialect.delimiter) == 1 else UNIT_SEPARATOR.decode()


def plain_lines(lines: Sequence[bytes], dialect: Dialect) -> list[bytes]:
    """Give lines in UTF-8, with one character between fields."""
    return [_plain(line, dialect) for line in lines]


def plain_blocks(blocks: Iterator[bytes | None], dialect: Dialect) -> Iterator[bytes | None]:
    """Give blocks of lines, as from `whole_lines`, in UTF-8, with one character between fields."""
    if dialect.encoding == UTF8 and len(dialect.delimiter) == 1:
        return blocks
    return (None if block is None else _plain(block, dialect) for block in blocks)


def _plain(text: bytes, dialect: Dialect) -> bytes:
    if dialect.encoding != UTF8:
        # Bytes that are no text stay as they are, so that they are told as such.
        text = text.decode(dialect.encoding, errors="surrogateescape").encode(errors="surrogateescape")
    return text if len(dialect.delimiter) == 1 else text.replace(dialect.delimiter.encode(), UNIT_SEPARATOR)
