"""What is said to the person at the keyboard: the one exception that carries a message, and commands to copy."""

from __future__ import annotations

import shlex


class HupError(Exception):
    """Something the caller can mend; the message says what was found, what was expected and what to do next."""


class StoreError(HupError):
    """A store of the service is not to be reached, is full, or is damaged; what was to be written is not there."""


def command_line(*words: object) -> str:
    """Write a command that a shell takes as it stands: ``my dataset`` is one word of it."""
    return shlex.join(map(str, words))
