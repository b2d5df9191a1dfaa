"""What users did in sessions before: further visits of the mixture, with how long ago they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hup.models.hup.mixture.visit_signals import EARLIER
from hup.models.hup.mixture.visits import RunTable, run_table
from hup.sessions.batches import Histories
from hup.sessions.earlier import earlier_sessions


def with_earlier(table: RunTable, histories: Histories, *, most: int, n_known: int) -> RunTable:
    """Put the runs of earlier sessions of the same users before the sessions of a table.

    Parameters
    ----------
    table : RunTable
        Of the histories.
    histories : Histories
    most : int
        Most runs of a user that are put there, the newest ones; 0 = do not look at them.
    n_known : int
        Known items; others are left out.
    """
    if not most:
        return table
    found = None
    if histories.dataset is not None and histories.index is not None:
        found = earlier_sessions(histories.dataset, histories.index.numpy(), most)
    if found is None:
        return replace(table, earlier=np.zeros((len(table.item), len(EARLIER)), dtype=np.float32))
    past = run_table(found.events, table.behaviors.shape[1])
    row = found.row[past.session]
    from_end = np.cumsum(np.bincount(row, minlength=len(histories)))[row] - np.arange(len(row))
    kept = np.flatnonzero((from_end <= most) & (past.item < n_known))
    earlier = np.stack([found.ago, found.age], axis=1)[past.session[kept]]
    return before_sessions(table, past.of_runs(kept), row[kept], earlier)


def before_sessions(
    table: RunTable, past: RunTable, session: NDArray[np.int64], earlier: NDArray[np.floating]
) -> RunTable:
    """Put runs before the sessions of a table.

    Parameters
    ----------
    table, past : RunTable
    session : ndarray
        ``(E,)`` int64, ascending: the session of the table that each run of ``past`` belongs to.
    earlier : ndarray
        ``(E, 2)``, as :attr:`RunTable.earlier`.
    """
    order = np.argsort(np.concatenate([session, table.session]), kind="stable")
    both = {
        name: np.concatenate([getattr(past, name), getattr(table, name)])[order]
        for name in ("item", "categories", "events", "dwell", "behaviors")
    }
    now = np.zeros((len(table.item), len(EARLIER)))
    counts = np.bincount(session, minlength=len(table.offsets) - 1)
    return RunTable(
        offsets=table.offsets + np.concatenate([[0], np.cumsum(counts)]),
        earlier=np.concatenate([earlier, now]).astype(np.float32)[order],
        **both,
    )
