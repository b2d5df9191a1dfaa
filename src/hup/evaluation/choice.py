"""Which metrics are given, at which lengths of the list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Final, Self

from hup.errors import HupError
from hup.evaluation.metrics import MAIN, RANK_METRICS, cutoff

#: Metrics that need the whole list, not the target's rank alone.
LIST_METRICS: Final = ("coverage", "gini", "novelty", "popularity_bias")
METRICS: Final = (*RANK_METRICS, *LIST_METRICS)
#: With one target a session these are the same numbers.
SYNONYMS: Final = {"hit_rate": "recall", "map": "mrr"}
#: Longest list. Nobody looks further, and intervals and lists would take memory in proportion.
MOST: Final = 1_000


@dataclass(frozen=True)
class Choice:
    """What is told of a ranking besides Recall and MRR at a level's own cut-off, which come first, always.

    Attributes
    ----------
    metrics : tuple of str
        Of :data:`METRICS`, in that order, each given at all cut-offs.
    at : tuple of int
        Further cut-offs for every level, ascending.
    """

    metrics: tuple[str, ...] = MAIN
    at: tuple[int, ...] = ()

    @classmethod
    def of(cls, metrics: Sequence[str] | None = None, at: Sequence[int] = ()) -> Self:
        """Take a choice as a person makes it: in any order, with doubles and synonyms.

        Raises
        ------
        HupError
            For a metric that is not there, or a cut-off that is no whole number from 1 to 1,000.
        """
        return cls(_metrics(MAIN if metrics is None else metrics), _cutoffs(at))

    @property
    def needs_lists(self) -> bool:
        """Whether ranks of targets are not enough."""
        return bool(self.of_lists)

    @property
    def of_lists(self) -> tuple[str, ...]:
        """Metrics that are made from lists."""
        return tuple(metric for metric in self.metrics if metric in LIST_METRICS)

    def cutoffs(self, level: str) -> tuple[int, ...]:
        """Cut-offs of a level: its own first, then the further ones, ascending."""
        own = cutoff(level)
        return (own, *(k for k in self.at if k != own))

    def figures(self, level: str) -> list[tuple[str, int]]:
        """Metrics and cut-offs of a level: Recall and MRR at its own, then all that was chosen."""
        own, *_ = cutoffs = self.cutoffs(level)
        chosen = [(metric, k) for k in cutoffs for metric in self.metrics]
        return list(dict.fromkeys([*((metric, own) for metric in MAIN), *chosen]))

    def goes_further(self, level: str) -> bool:
        """Whether there is more to tell of a level than Recall and MRR at its own cut-off."""
        return len(self.figures(level)) > len(MAIN)


#: Recall and MRR at each level's own cut-off, and nothing else.
DEFAULT: Final = Choice()


def _metrics(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise HupError(f"metrics is {names!r}, expected names such as ('recall', 'ndcg').")
    known = {SYNONYMS.get(name, name) for name in names if isinstance(name, str)}
    wrong = [name for name in names if not isinstance(name, str) or SYNONYMS.get(name, name) not in METRICS]
    if wrong:
        synonyms = ", ".join(f"{name} (the same as {same})" for name, same in SYNONYMS.items())
        raise HupError(f"There is no metric {wrong[0]!r}. Metrics: {', '.join(METRICS)}; {synonyms}.")
    if not known:
        raise HupError(f"No metric is named. Metrics: {', '.join(METRICS)}.")
    return tuple(metric for metric in METRICS if metric in known)


def _cutoffs(at: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(at, Iterable):
        raise HupError(f"at is {at!r}, expected cut-offs such as (5, 20).")
    for k in at:
        if isinstance(k, bool) or not hasattr(type(k), "__index__") or not 1 <= index(k) <= MOST:
            raise HupError(f"A cut-off is {k!r}, expected a whole number from 1 to {MOST:,}.")
    return tuple(sorted({index(k) for k in at}))
