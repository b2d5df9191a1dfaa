"""Names and text inside SQL."""

from __future__ import annotations


def quoted_name(name: str) -> str:
    """Write `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Write `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
