"""When a new session begins: by the name that the shop gives it, or where the user was idle for long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hup.data.manifest import Preparation

#: Minutes that a user may be idle within a session, where neither model nor option says so; as `hup prepare` has it.
IDLE_GAP_MINUTES: Final = 30.0


@dataclass(frozen=True)
class SessionRule:
    """Cuts a user's events into sessions as the log was cut that the model has learned from.

    Attributes
    ----------
    idle_gap : float or None
        Seconds after which an event without a session's name begins a new one; None = never.
    by_name : bool
        Whether another name begins a new session. A model of whole histories (`hup prepare --sequence user`) knows no
        sessions of its users.
    """

    idle_gap: float | None = IDLE_GAP_MINUTES * 60
    by_name: bool = True

    @classmethod
    def of(cls, preparation: Preparation | None, idle_gap_minutes: float | None = None) -> SessionRule:
        """Give the rule of a model's log; minutes that are given take the place of the log's."""
        made = (preparation and preparation.sequence) or {}
        by = made.get("by")
        if idle_gap_minutes is not None:
            return cls(idle_gap_minutes * 60)
        if by == "user":
            return cls(None, by_name=False)
        return cls(60 * float(made.get("idle_gap_minutes") or IDLE_GAP_MINUTES) if by == "gap" else cls.idle_gap)

    def begins(self, name: str | None, current: str | None, pause: float) -> bool:
        """Tell whether an event begins a new session.

        Parameters
        ----------
        name : str or None
            Session that the event names.
        current : str or None
            Name of the session so far.
        pause : float
            Seconds since the event before.
        """
        if name is not None and self.by_name:
            return name != current
        return self.idle_gap is not None and pause > self.idle_gap
