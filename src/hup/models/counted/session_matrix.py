"""Sessions as sparse rows over the codes of a level."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hup.models.counted.session_index import visits_of
from hup.sessions.batches import Histories


def session_matrix(codes: NDArray[np.int64], offsets: NDArray[np.int64], n_known: int) -> sp.csr_array:
    """Mark which codes each session has, ``(S, n_known)`` float32 of 0 and 1.

    Parameters
    ----------
    codes, offsets : ndarray
        Runs of the sessions, as :func:`hup.sessions.runs.training_runs` gives them.
    n_known : int
    """
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    known = (codes >= 0) & (codes < n_known)
    pairs = np.unique(row[known] * n_known + codes[known])
    ones = np.ones(len(pairs), dtype=np.float32)
    return sp.csr_array((ones, (pairs // max(n_known, 1), pairs % max(n_known, 1))), shape=(len(offsets) - 1, n_known))


def history_matrix(histories: Histories, level: str, n_known: int, decay: float) -> sp.csr_array:
    """Weigh the known codes of every history by how late their last run is, ``(B, n_known)`` float32.

    The last run of a history weighs 1, the one before it ``decay``, then ``decay**2``; a code has the weight of its
    last run.
    """
    visits = visits_of(histories, level, n_known)
    weight = np.power(decay, visits.back).astype(np.float32)
    return sp.csr_array((weight, (visits.row, visits.code)), shape=(len(histories), n_known))


def event_count_matrix(histories: Histories, level: str, n_known: int) -> sp.csr_array:
    """Count the events that every history has of each known code, ``(B, n_known)`` float32."""
    row, codes = histories.session().numpy(), histories.codes(level).numpy()
    known = (codes >= 0) & (codes < n_known)
    ones = np.ones(int(known.sum()), dtype=np.float32)
    return sp.csr_array((ones, (row[known], codes[known])), shape=(len(histories), n_known))
