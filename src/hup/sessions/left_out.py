"""Training sessions described by what is counted in the others: fold by fold, so none tells what it has put in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hup.sessions.levels import ragged_arange

Ints = NDArray[np.int64]


def newest_first(n_sessions: int, n_folds: int) -> list[range]:
    """Cut sessions into folds, the newest first; into fewer where there are fewer sessions."""
    bounds = np.linspace(0, n_sessions, min(n_folds, n_sessions) + 1).astype(int).tolist()
    return [range(low, high) for low, high in pairwise(bounds)][::-1]


def without(codes: Ints, offsets: Ints, left_out: range) -> tuple[Ints, Ints]:
    """Take the runs of all sessions but some.

    Parameters
    ----------
    codes : ndarray
        ``(S,)`` int64 of every run.
    offsets : ndarray
        ``(n + 1,)`` int64 of the sessions.
    left_out : range
        Numbers of sessions.

    Returns
    -------
    codes, offsets : ndarray
        Of the others.
    """
    kept = np.setdiff1d(np.arange(len(offsets) - 1), np.asarray(left_out))
    lengths = np.diff(offsets)[kept]
    return codes[ragged_arange(offsets[:-1][kept], lengths)], np.concatenate([[0], np.cumsum(lengths)])
