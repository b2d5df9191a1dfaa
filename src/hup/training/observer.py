"""What the training loop tells whoever watches it."""

from __future__ import annotations

from typing import Any


class Observer:
    """Does nothing at each event of a training run; override what is of interest."""

    def note(self, message: str) -> None:
        """Say something that a person should know."""

    def epoch_begins(self, epoch: int, epochs: int, sessions: int) -> None:
        """Begin epoch ``epoch`` (from 1) of at most ``epochs``, over ``sessions`` sessions."""

    def batch_done(self, sessions: int, loss: float) -> None:
        """Finish a batch of ``sessions`` with a loss."""

    def epoch_done(self, record: dict[str, Any]) -> None:
        """Finish an epoch; the record is the line of the log."""
