"""Long sequences in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Value = TypeVar("Value")


def in_parts(values: Sequence[Value], most: int) -> Iterator[Sequence[Value]]:
    """Cut a sequence into parts of at most so many values."""
    return (values[low : low + most] for low in range(0, len(values), most))
