"""Histories as sparse rows over the codes of a level."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hup.models.counted.session_index import last_visits
from hup.sessions.batches import Histories


def history_matrix(histories: Histories, level: str, n_known: int, decay: float, of: str | None = None) -> sp.csr_array:
    """Weigh the known codes of every history by how late their last run is, ``(B, n_known)`` float32.

    The last run of a history weighs 1, the one before it ``decay``, then ``decay**2``; a code has the weight of its
    last run. Runs are those of the level ``of``, by default of ``level`` itself.
    """
    visits = last_visits(histories, level, n_known, of)
    weight = np.power(decay, visits.back).astype(np.float32)
    return sp.csr_array((weight, (visits.row, visits.code)), shape=(len(histories), n_known))


def event_count_matrix(histories: Histories, level: str, n_known: int) -> sp.csr_array:
    """Count the events that every history has of each known code, ``(B, n_known)`` float32."""
    row, codes = histories.session().numpy(), histories.codes(level).numpy()
    known = (codes >= 0) & (codes < n_known)
    ones = np.ones(int(known.sum()), dtype=np.float32)
    return sp.csr_array((ones, (row[known], codes[known])), shape=(len(histories), n_known))
