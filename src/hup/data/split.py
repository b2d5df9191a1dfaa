"""Which sessions are for training, validation and test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hup.data.manifest import SplitBounds, TrainVocabulary
from hup.errors import HupError


def check_shares(shares: Sequence[float]) -> tuple[float, float, float]:
    """Return `shares` as three floats.

    Raises
    ------
    HupError
        If they are not three shares of which the first is positive and that sum to 1.
    """
    numbers = [float(share) for share in shares]
    good = len(numbers) == 3 and min(numbers) >= 0 and numbers[0] > 0 and math.isclose(sum(numbers), 1, abs_tol=1e-6)
    if not good:
        found = ",".join(f"{number:g}" for number in numbers)
        raise HupError(
            f"Split shares are {found}; expected three numbers from 0 to 1 that sum to 1: train (more than 0), "
            "validation, test. For example 0.7,0.1,0.2."
        )
    return numbers[0], numbers[1], numbers[2]


def split_bounds(sessions: int, shares: tuple[float, float, float]) -> SplitBounds:
    """Divide `sessions` stored sessions; training gets one at least."""
    train_end = max(1, round(sessions * shares[0]))
    validation_end = max(train_end, round(sessions * (shares[0] + shares[1])))
    return SplitBounds(train=(0, train_end), validation=(train_end, validation_end), test=(validation_end, sessions))


def train_vocabulary(
    item: npt.NDArray[Any], offsets: npt.NDArray[np.int64], paths: npt.NDArray[np.int32], bounds: SplitBounds
) -> TrainVocabulary:
    """Count what training sees; as codes follow first appearance, its vocabulary is a prefix of all codes.

    Parameters
    ----------
    item : ndarray of int, shape (events,)
        Item codes.
    offsets : ndarray of int64, shape (sessions + 1,)
        Where sessions begin.
    paths : ndarray of int32, shape (items, K)
        Category codes of each item.
    bounds : SplitBounds
        The split.
    """
    items = int(item[: offsets[bounds.train[1]]].max()) + 1
    targets = item[offsets[bounds.test[0] + 1 : bounds.test[1] + 1] - 1]
    return TrainVocabulary(
        items=items,
        categories=[int(codes.max()) + 1 for codes in paths[:items].T],
        test_targets_known=float((targets < items).mean()) if len(targets) else None,
    )
