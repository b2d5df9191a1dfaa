"""How long work tells what it is doing: a silent base that a caller may override."""

from __future__ import annotations

from typing import Literal

Unit = Literal["bytes", "events"]


class Progress:
    """Receiver of progress; this one ignores everything.

    Subclass it and pass it to `hup.prepare` to show bars or write logs. Methods may be called from another thread
    than the caller's.
    """

    def phase(self, name: str, total: int | None = None, unit: Unit | None = None) -> None:
        """Begin the phase `name`; the one before is over. `total` is in `unit`, None if not known."""

    def advance(self, amount: int) -> None:
        """Move the current phase on by `amount` of its unit."""

    def note(self, message: str) -> None:
        """Tell the caller something that is no error."""
