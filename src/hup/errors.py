"""The one exception that carries a message for the person at the keyboard."""

from __future__ import annotations


class HupError(Exception):
    """Something the caller can mend; the message says what was found, what was expected and what to do next."""
