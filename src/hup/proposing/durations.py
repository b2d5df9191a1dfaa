"""Whether a column of durations tells of events, or of the session that they are in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_LEAST_CHANGES = 0.5


def varies(values: Iterable[Any], owners: Iterable[Any]) -> bool:
    """Tell whether a value is mostly another one than that of the event before.

    A duration that is the same all over a session is that of the session: known only when it ends, it would tell a
    model how long it goes on.

    Parameters
    ----------
    values : iterable
        Of each row; None where missing.
    owners : iterable
        Session of each row, or its user where the table has no sessions.
    """
    last: dict[Any, Any] = {}
    pairs = changes = 0
    for value, owner in zip(values, owners, strict=True):
        if value is None or owner is None:
            continue
        if owner in last:
            pairs += 1
            changes += value != last[owner]
        last[owner] = value
    return changes > 0 and changes >= _LEAST_CHANGES * pairs
