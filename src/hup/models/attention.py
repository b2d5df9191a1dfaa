"""What a model with attention shows of it: one column of weights a level, beside a session's events (Figure 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from hup.data.batches import Histories


@dataclass(frozen=True)
class AttentionColumn:
    """Attention weights of one level over one history.

    Attributes
    ----------
    level : str
        ``"micro"``, ``"item"`` or ``"category_k"``.
    weights : Tensor
        ``(S,)`` float32, summing to 1; one weight for every step that the level looks at (an event, or a run).
    first, last : Tensor
        ``(S,)`` int64, first and last event of the history that each weight belongs to.
    trained : bool
        Whether training had a loss that reaches these weights; if not, they are random and say nothing.
    """

    level: str
    weights: Tensor
    first: Tensor
    last: Tensor
    trained: bool


@runtime_checkable
class HasAttention(Protocol):
    """A model that can show what it looked at."""

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention over a batch of exactly one history, bottom level first."""
        ...
