"""Something wrong with a whole file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileReject:
    """Something wrong with a file rather than a row.

    Attributes
    ----------
    file : str
        Name of the file.
    line : int or None
        1-based line at which reading ended, where there is one.
    reason : str
        What is wrong.
    """

    file: str
    line: int | None
    reason: str
