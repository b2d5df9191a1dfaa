"""Rows that say again what an earlier row of the same history said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hup.data.changes import changes
from hup.data.tables.key_blocks import Block, Bools, Ints


def repeated_ids(block: Block, piece: Ints) -> Bools:
    """Tell the rows whose event id an earlier row of their piece has.

    Parameters
    ----------
    block : Block
        Rows with event ids; a row whose id is null repeats nothing.
    piece : ndarray of int64, shape (rows,)
        Number of the piece that each row belongs to, ascending.
    """
    repeats = np.zeros(len(block), bool)
    if block.event_id is None:
        return repeats
    distinct = block.event_id.dictionary_encode()
    codes = distinct.indices.fill_null(-1).to_numpy()
    n_codes = len(distinct.dictionary)
    if n_codes + block.event_id.null_count == len(codes):
        return repeats
    times = np.bincount(codes + 1, minlength=n_codes + 1)
    times[0] = 0
    rows = np.flatnonzero(times[codes + 1] > 1)
    repeats[rows] = _seen_before(piece[rows] * n_codes + codes[rows])
    return repeats


def repeated_rows(block: Block, piece: Ints) -> Bools:
    """Tell the rows whose time, item and behavior an earlier row of their piece has.

    Parameters
    ----------
    block : Block
        Rows in order of time within each piece.
    piece : ndarray of int64, shape (rows,)
        Number of the piece that each row belongs to, ascending.
    """
    begins = changes(block.time_ms) | changes(piece)
    tied = ~begins
    tied[:-1] |= ~begins[1:]
    rows = np.flatnonzero(tied)
    repeats = np.zeros(len(block), bool)
    moment = np.cumsum(begins)[rows]
    what = block.item_id[rows].astype(np.int64) << 8 | block.behavior[rows]
    order = np.lexsort((what, moment))
    same = ~(changes(what[order]) | changes(moment[order]))
    repeats[rows[order]] = same
    return repeats


def _seen_before(values: npt.NDArray[Any]) -> Bools:
    """Tell the values that stand further in front, too."""
    order = np.argsort(values, kind="stable")
    seen = np.empty(len(values), bool)
    seen[order] = ~changes(values[order])
    return seen
