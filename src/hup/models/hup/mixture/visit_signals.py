"""What is known of a visit, and of a query, as numbers of about one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

#: What is known of a visit besides its behaviors and categories; logarithms, scaled to about one.
SIGNALS = (
    "distinct codes since",
    "runs since",
    "runs on it",
    "events on it",
    "seconds on it",
    "seconds at its last run",
    "followed the current code the last time",
    "came before the current code the last time",
    "is current",
    "is the one before",
    "is the second before",
    "events of its last run",
    "runs of the session",
    "distinct codes of the session",
)
#: Of a query, besides behaviors.
CONTEXT = ("runs", "distinct codes", "share of new ones", "events of the open run", "constant")
#: Of a visit in an earlier session, where such are looked at; 0 in the session itself.
EARLIER = ("sessions ago", "age")
_MOST = 3.0  # events of one behavior that are told apart


def visit_sizes(n_behaviors: int, levels: int, *, earlier: bool) -> tuple[int, int]:
    """Columns of what :meth:`VisitFacts.signals` gives, with earlier sessions or without, and :func:`context_of`."""
    return len(SIGNALS) + n_behaviors + levels + earlier * len(EARLIER), len(CONTEXT) + n_behaviors


@dataclass(frozen=True)
class VisitFacts:
    """What is counted of ``P`` visits.

    Attributes
    ----------
    since : ndarray
        ``(P,)``, distinct codes since it.
    runs_since, runs : ndarray
        ``(P,)``, runs since its last run, and runs on it.
    events, dwell : ndarray
        ``(P,)``, on it: events, and seconds but for those of a run that is still open.
    last_events, last_dwell : ndarray
        ``(P,)``, the same of its last run; no seconds of an open one.
    followed, preceded : ndarray
        ``(P,)`` bool: what came after the current code, or before it, the last time.
    session_runs, session_codes : ndarray
        ``(P,)``, or one for all: runs and distinct codes of the session itself by then.
    behaviors : ndarray
        ``(P, n_behaviors)``, events on it by behavior.
    alike : ndarray
        ``(P, K)`` bool, for every category level whether it is the current one's.
    earlier : ndarray or None
        ``(P, 2)``, as :attr:`~hup.models.hup.mixture.visits.RunTable.earlier`.
    """

    since: Ints
    runs_since: Ints
    runs: Ints
    events: Floats
    dwell: Floats
    last_events: Floats
    last_dwell: Floats
    followed: NDArray[np.bool_]
    preceded: NDArray[np.bool_]
    session_runs: Ints | int
    session_codes: Ints | int
    behaviors: Floats
    alike: NDArray[np.bool_]
    earlier: Floats | None

    def signals(self) -> Floats:
        """Give :data:`SIGNALS`, events by behavior, likeness of categories and :data:`EARLIER`, ``(P, F)``."""
        columns = (
            np.log1p(self.since),
            np.log1p(self.runs_since),
            np.log1p(self.runs - 1),
            np.log1p(self.events),
            np.log1p(np.maximum(self.dwell, 0)) / 5,
            np.log1p(self.last_dwell) / 5,
            self.followed,
            self.preceded,
            self.since == 0,
            self.since == 1,
            self.since == 2,
            np.log1p(self.last_events),
            np.log(self.session_runs) / 3,
            np.log(self.session_codes) / 3,
        )
        behaviors = np.minimum(self.behaviors, _MOST) / 2
        earlier = () if self.earlier is None else (np.log1p(self.earlier) / (1, 10)).T
        width = len(columns) + behaviors.shape[1] + self.alike.shape[1] + len(earlier)
        signals = np.empty((len(self.since), width), dtype=np.float32)
        for place, column in enumerate((*columns, *behaviors.T, *self.alike.T, *earlier)):
            signals[:, place] = column
        return signals


def context_of(runs: Ints, codes: Ints, events: Floats, behaviors: Floats) -> Floats:
    """Give :data:`CONTEXT` and the behaviors of the open run, ``(Q, G)``.

    Parameters
    ----------
    runs, codes : ndarray
        ``(Q,)``, runs and distinct codes of the session by then.
    events, behaviors : ndarray
        ``(Q,)`` and ``(Q, n_behaviors)``, events of the open run.
    """
    context = np.empty((len(runs), len(CONTEXT) + behaviors.shape[1]), dtype=np.float32)
    columns = (np.log(runs), np.log(codes), np.log(codes / runs), np.log(events), 1)
    for place, column in enumerate(columns):
        context[:, place] = column
    context[:, len(columns) :] = np.minimum(behaviors, _MOST) / 2
    return context
