"""What a reader hands to the builder, whatever the log looked like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.behaviors import Behavior
from hup.data.manifest import Source


class Origins(Protocol):
    """Where sessions came from, by their keys."""

    def names(self, sessions: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Name each session for people, for example ``appliances.txt:17``."""
        ...

    def users(self, sessions: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Name the user of each session; null where the log does not say."""
        ...

    def times(self, sessions: npt.NDArray[np.int64]) -> tuple[pa.Int64Array, pa.Int64Array]:
        """Give the times of each session's first and last event, in ms since 1970; null where the log has no times."""
        ...

    def sources(self, sessions: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> list[Source]:
        """Describe the input files, given the used sessions and the number of events of each."""
        ...


class LinePlaces(Origins, Protocol):
    """Origins of logs with one session a line."""

    def places(self, sessions: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        """Give the file (string) and the 1-based line (int64) of each session."""
        ...


@dataclass(frozen=True)
class EventLog:
    """Validated events of any log, not yet ordered or numbered.

    Attributes
    ----------
    events : Table
        One row an event: ``session`` int64, ``position`` int64, ``item`` string, ``path`` string (K category names,
        coarsest first, joined by `separator`), ``behavior`` uint8 (index into `behaviors`), ``interval`` and ``dwell``
        float32 seconds. Sessions in order of their keys are the log; ``position`` is unique and rises along the log,
        within and across sessions.
    rejected : Table
        What cannot be used: ``session``, ``position``, ``token`` (null: the whole line), ``reason``.
    tokens : int
        Number of events and bad lines, good and bad together.
    levels : int
        K.
    token_text : callable
        Writes events the way the log has them, for people.
    """

    format: str
    events: ir.Table
    rejected: ir.Table
    tokens: int
    levels: int
    separator: str
    behaviors: tuple[Behavior, ...]
    origins: LinePlaces
    token_text: Callable[[ir.Table], ir.StringValue]
