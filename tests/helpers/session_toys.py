"""A few training sessions over a dozen codes, and histories of them, for models that count."""

from __future__ import annotations

import numpy as np

from hup.sessions.batches import Histories

from .toy_log import toy_histories

SESSIONS = [[0, 1, 2], [1, 2, 3, 1], [0, 2, 4], [5, 1, 0], [3, 4, 3, 5], [6, 0, 1], [2, 3, 7]]
N_KNOWN = 8
PATHS = np.zeros((12, 1), dtype=np.int32)


def histories(*rows: list[int]) -> Histories:
    """Histories of one event a code, all of one category; codes from 8 on are unknown."""
    return toy_histories(rows, np.zeros((1 + max(map(max, rows)), 1)))


HISTORIES = ([0, 1], [2, 3, 2], [9], [4, 9, 0, 10, 1], [7, 6, 5, 4, 3, 2, 1, 0])


def last_places(row: list[int], known: int = N_KNOWN) -> dict[int, int]:
    """Runs between each known code's last run and the history's last run."""
    collapsed = [code for place, code in enumerate(row) if place == 0 or row[place - 1] != code]
    return {code: len(collapsed) - 1 - place for place, code in enumerate(collapsed) if code < known}
