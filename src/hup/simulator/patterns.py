"""Micro-behaviors inside an item run: a bank of ready patterns, drawn once from a Markov chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST_RUN = 12
ENTRIES = 5
"""The first five behaviors of Table 1 bring the user to an item; a run starts with one of them."""
CART = 8
ORDER = 9
INTEREST_EDGES = np.array([-0.674, 0.0, 0.674])
"""Quartiles of a standard normal: interest falls into four equally likely classes."""
INTEREST_CLASSES = len(INTEREST_EDGES) + 1
_CLASS_MIDDLES = np.array([-1.27, -0.325, 0.325, 1.27])
_BANK_SIZE = 4096

# Rows: present behavior 1..10; columns: next behavior 1..10.  Rounded pooled shares of the JD samples, entries pooled.
_ENTRY_ROW = [0.0, 0.0, 0.0, 0.005, 0.005, 0.29, 0.41, 0.145, 0.14, 0.005]
_NEXT = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.01, 0.39, 0.28, 0.12, 0.20, 0.0],
        [0.0, 0.0, 0.0, 0.01, 0.01, 0.24, 0.39, 0.17, 0.18, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.54, 0.25, 0.07, 0.14, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.02, 0.27, 0.46, 0.18, 0.04, 0.03],
        _ENTRY_ROW,
        [0.0, 0.02, 0.0, 0.065, 0.205, 0.0, 0.24, 0.28, 0.188, 0.002],
        [0.005, 0.02, 0.005, 0.11, 0.22, 0.23, 0.0, 0.095, 0.305, 0.01],
        [0.005, 0.05, 0.005, 0.11, 0.325, 0.145, 0.115, 0.0, 0.24, 0.005],
        [0.0, 0.02, 0.0, 0.31, 0.17, 0.165, 0.20, 0.057, 0.0, 0.078],
        [0.0, 0.025, 0.0, 0.0, 0.14, 0.075, 0.285, 0.05, 0.425, 0.0],
    ]
)
# Log-odds that the run goes on: after the entry that opened it, and later after each behavior.
_GO_ON_FIRST = np.array([-0.5, -0.6, -0.35, -0.2, -0.15])
_GO_ON_LATER = np.array([0.5, 0.5, 0.5, 0.5, 0.5, -1.1, -1.5, -1.0, -1.35, -0.6])
_GO_ON_BY_INTEREST = 0.5


@dataclass(frozen=True)
class PatternBank:
    """Behaviors of an item run, ready to be picked by entry behavior and interest class.

    Attributes
    ----------
    behavior : (P, 12) uint8
        Behavior codes 0..9; only the first ``length`` of a row count.
    length : (P,) int64
    carted, ordered : (P,) bool
    """

    behavior: NDArray[np.uint8]
    length: NDArray[np.int64]
    carted: NDArray[np.bool_]
    ordered: NDArray[np.bool_]

    def pick(
        self, entry: NDArray[np.int64], interest: NDArray[np.floating], uniform: NDArray[np.floating]
    ) -> NDArray[np.int64]:
        """Return one pattern number for each entry behavior (0..4) and interest (standard normal scale)."""
        group = entry * INTEREST_CLASSES + np.searchsorted(INTEREST_EDGES, interest)
        chosen: NDArray[np.int64] = group * _BANK_SIZE + (uniform * _BANK_SIZE).astype(np.int64)
        return chosen


def build_patterns() -> PatternBank:
    """Draw the bank; it is the same for every shop."""
    rng = np.random.default_rng(np.random.SeedSequence(20200203))
    groups = ENTRIES * INTEREST_CLASSES
    entry = np.repeat(np.repeat(np.arange(ENTRIES), INTEREST_CLASSES), _BANK_SIZE)
    lift = np.repeat(np.tile(_CLASS_MIDDLES, ENTRIES), _BANK_SIZE) * _GO_ON_BY_INTEREST
    behavior = np.zeros((groups * _BANK_SIZE, LONGEST_RUN), np.uint8)
    behavior[:, 0] = entry
    length = np.ones(len(entry), np.int64)
    cumulative = np.cumsum(_NEXT / _NEXT.sum(1, keepdims=True), axis=1)
    going = np.arange(len(entry))
    for position in range(1, LONGEST_RUN):
        present = behavior[going, position - 1]
        odds = _GO_ON_FIRST[present] if position == 1 else _GO_ON_LATER[present]
        go_on = rng.random(len(going)) < 1.0 / (1.0 + np.exp(-odds - lift[going]))
        going, present = going[go_on], present[go_on]
        following = (cumulative[present] < rng.random(len(going))[:, None]).sum(1)
        behavior[going, position] = np.minimum(following, len(_NEXT) - 1)
        length[going] = position + 1
    counted = np.arange(LONGEST_RUN) < length[:, None]
    return PatternBank(
        behavior=behavior,
        length=length,
        carted=((behavior == CART) & counted).any(1),
        ordered=((behavior == ORDER) & counted).any(1),
    )
