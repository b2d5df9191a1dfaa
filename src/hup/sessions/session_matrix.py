"""Sessions as sparse rows over the codes of a level."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


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
