"""What a model with attention shows of it: one column of weights a level, beside a session's events (Figure 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from hup.nn.pyramid_level import LevelProfile
from hup.sessions.batches import Histories
from hup.sessions.levels import PyramidSteps


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


def pyramid_columns(
    steps: PyramidSteps,
    names: Sequence[str],
    layout: Sequence[int],
    profiles: Mapping[str, LevelProfile],
    trained: Set[str],
) -> tuple[AttentionColumn, ...]:
    """Put the attention of a pyramid over one history beside its events.

    Parameters
    ----------
    steps : PyramidSteps
    names, layout
        Of the pyramid's levels, as in :class:`hup.nn.pyramid.Pyramid`.
    profiles : mapping of str to LevelProfile
        By level.
    trained : set of str
        Levels that have a loss.
    """
    columns = []
    for level, number in zip(names, layout, strict=True):
        last = torch.cat([steps.levels[number].events, steps.open_events if number == 0 else steps.queries])
        first = torch.cat([last[:1] * 0, last[:-1] + 1])
        columns.append(AttentionColumn(level, profiles[level].weights, first, last, level in trained))
    return tuple(columns)


@runtime_checkable
class HasAttention(Protocol):
    """A model that can show what it looked at."""

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention over a batch of exactly one history, bottom level first."""
        ...
