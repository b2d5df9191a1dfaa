"""How sure a difference is: paired t-test, Holm's correction, bootstrap intervals over sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hup.evaluation.metrics import CONFIDENCE, RESAMPLES, Interval

Floats = NDArray[np.float64]
_DRAWS_AT_ONCE = 4_000_000


def paired_t_test(first: Floats, second: Floats) -> float:
    """p-value of the two-sided paired t-test that both have the same mean; 1 where they are equal throughout.

    Parameters
    ----------
    first, second : ndarray
        ``(n,)``, values of the same sessions. Fewer than two sessions can show nothing: p = 1.
    """
    from scipy.stats import ttest_rel

    difference = first - second
    if len(difference) < 2 or not difference.any():
        return 1.0
    if np.ptp(difference) == 0:
        return 0.0  # the same difference in every session: no spread, which the test divides by
    return float(ttest_rel(first, second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for being several (Holm 1979): compare each with the level itself.

    The smallest of m is multiplied by m, the next by m - 1 and so on, and none is below the one before it or above 1.

    Examples
    --------
    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    out = [1.0] * len(order)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(order) - place)))
        out[index] = highest
    return out


def bootstrap_mean(
    values: Floats, *, seed: int = 0, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Interval:
    """Percentile bootstrap interval of a mean over sessions.

    Parameters
    ----------
    values : ndarray
        ``(n,)``, n >= 1.
    seed : int
        Seed of the resampling.
    resamples : int
        Number of resamples.
    confidence : float
        Share of the resamples that the interval holds.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    # Values repeat (a reciprocal rank has few), so counts of distinct values are drawn instead of sessions.
    distinct, counts = np.unique(values, return_counts=True)
    means = []
    step = max(1, _DRAWS_AT_ONCE // len(distinct))
    for start in range(0, resamples, step):
        drawn = rng.multinomial(n, counts / n, size=min(step, resamples - start))
        means.append(drawn @ distinct / n)
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
