"""Whether probabilities mean what they say: of what was given 20 %, a fifth should come true."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.recommender.base import Recommender
from hup.recommender.candidates import excluded_codes
from hup.sessions.batches import LastInterval, histories_and_targets
from hup.sessions.levels import Level

LISTED = 5  # recommendations of every session whose probabilities are looked at
BINS = 10
_BATCH = 128


@dataclass(frozen=True)
class Bin:
    """Recommendations of like probability.

    Attributes
    ----------
    count : int
    probability : float
        Their mean probability.
    came_true : float
        Share of them that were the target.
    """

    count: int
    probability: float
    came_true: float


@dataclass(frozen=True)
class Calibration:
    """Reliability of one level.

    Attributes
    ----------
    bins : tuple of Bin
        Equally many recommendations each, of rising probability.
    error : float
        Expected calibration error: mean over recommendations of the difference between a bin's two figures.
    """

    bins: tuple[Bin, ...]
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def reliability(probability: NDArray[np.float64], hit: NDArray[np.bool_]) -> Calibration | None:
    """Sort predictions into bins of equal size; None without any.

    Parameters
    ----------
    probability : ndarray
        ``(n,)``.
    hit : ndarray
        ``(n,)``, whether each came true.
    """
    if not len(probability):
        return None
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    bins = tuple(Bin(len(part), float(probability[part].mean()), float(hit[part].mean())) for part in parts)
    error = sum(one.count * abs(one.probability - one.came_true) for one in bins) / len(order)
    return Calibration(bins, float(error))


def calibration(
    model: Recommender, dataset: Dataset, sessions: NDArray[np.int64], last_interval: LastInterval = "mask"
) -> dict[str, Calibration]:
    """Hold the probabilities of every session's first five candidates against what came.

    "No category" is no candidate; where it is what came, none of them came true.

    Parameters
    ----------
    model : Recommender
        Whose scores are probabilities.
    dataset : Dataset
    sessions : ndarray
        Session indices.
    last_interval : {"mask", "keep"}

    Returns
    -------
    dict of str to Calibration
        By level.
    """
    seen: dict[Level, list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = {level: [] for level in model.levels}
    for start in range(0, len(sessions), _BATCH):
        histories, targets = histories_and_targets(dataset, sessions[start : start + _BATCH], last_interval)
        answer = model.scores(histories)
        for level in model.levels:
            scores = answer[level].known.clone()
            excluded = excluded_codes(histories, level, model.vocabulary.no_category)
            row = ((excluded >= 0) & (excluded < scores.shape[1])).nonzero().squeeze(1)
            scores[row, excluded[row]] = -torch.inf
            best = scores.topk(min(LISTED, scores.shape[1]), dim=1)
            listed = best.values > -torch.inf
            hit = best.indices == targets.codes(level).unsqueeze(1)
            seen[level].append((best.values[listed].double().numpy(), hit[listed].numpy()))
    out: dict[str, Calibration] = {}
    for level, parts in seen.items():
        probabilities, hits = zip(*parts, strict=True)
        made = reliability(np.concatenate(probabilities), np.concatenate(hits))
        if made is not None:
            out[level] = made
    return out
