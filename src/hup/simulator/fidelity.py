"""Figures that tell how near a simulated log comes to a real one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hup.behaviors import JD_BEHAVIORS

Ints = NDArray[Any]


def measure_log(
    offsets: Ints, item: Ints, category: Ints, behavior: Ints, interval: Ints, dwell: Ints
) -> dict[str, float]:
    """Measure sessions, runs, repeats, behaviors and times of a log of S sessions and N events.

    Parameters
    ----------
    offsets : (S + 1,) int
        First event of each session.
    item, category : (N,) int
        Codes of items and finest categories.
    behavior : (N,) int
        0..9, an index into ``hup.behaviors.JD_BEHAVIORS``.
    interval, dwell : (N,) int
        Seconds.

    Returns
    -------
    dict
        Name of a figure to its value, in the order in which a table should show them; NaN where a log has nothing
        to measure (no session of more than 20 runs, say).
    """
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    starts = np.r_[True, (item[1:] != item[:-1]) | (session[1:] != session[:-1])]
    first = np.flatnonzero(starts)
    run_session, run_item, run_category = session[first], item[first], category[first]
    run_length = np.diff(np.r_[first, len(item)])
    runs = np.bincount(run_session)
    run_offsets = np.r_[0, np.cumsum(runs)]
    last = run_offsets[1:] - 1
    repeat, lag = _repeats(run_session, run_item)
    follows = run_session[1:] == run_session[:-1]
    popularity = np.sort(np.bincount(np.unique(run_item, return_inverse=True)[1]))[::-1]
    place = np.arange(len(run_item)) - run_offsets[run_session]
    figures = {
        **_quantiles("events per session", np.diff(offsets), (0.1, 0.5, 0.9, 0.99)),
        **_quantiles("item runs per session", runs, (0.1, 0.5, 0.9, 0.99)),
        "events per item run, mean": float(run_length.mean()),
        **_quantiles("events per item run", run_length, (0.5, 0.9, 0.99)),
        "item runs that return, share": float(repeat.mean()),
        "sessions whose target is in the history, share": float(repeat[last].mean()),
        "runs 6-10 of a session that return, share": _share(repeat[(place >= 5) & (place < 10)]),
        "runs 21-30 of a session that return, share": _share(repeat[(place >= 20) & (place < 30)]),
        "returns after one other run, share": _share(lag[repeat] == 2),
        "returns after more than 10 runs, share": _share(lag[repeat] > 10),
        "run in the category of the run before, share": _share((run_category[1:] == run_category[:-1])[follows]),
        **_quantiles("categories per session", _distinct(run_session, run_category), (0.5, 0.9)),
        **_quantiles("items per session", _distinct(run_session, run_item), (0.1, 0.5, 0.9)),
        "runs on the most popular 1 % of the items seen, share": float(
            popularity[: max(1, len(popularity) // 100)].sum() / popularity.sum()
        ),
    }
    for code, name in enumerate(JD_BEHAVIORS):
        figures[f"{name.code} {name.name}, share"] = float((behavior == code).mean())
    figures["entry behavior as in the run before, share"] = _share(
        (behavior[first][1:] == behavior[first][:-1])[follows]
    )
    times = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
    figures |= _quantiles("interval, s", interval, times)
    figures |= _quantiles("dwell, s", dwell, times)
    detailed = np.logical_or.reduceat((behavior >= 5) & (behavior <= 7), first)
    figures["median dwell of runs with details, s"] = float(np.median(dwell[first][detailed]))
    figures["median dwell of runs without, s"] = float(np.median(dwell[first][~detailed]))
    return figures


def _share(holds: NDArray[np.bool_]) -> float:
    return float(holds.mean()) if len(holds) else float("nan")


def _quantiles(name: str, values: Ints, shares: tuple[float, ...]) -> dict[str, float]:
    quantiles = np.quantile(values, shares, method="lower")
    return {
        f"{name}, median" if share == 0.5 else f"{name}, p{round(100 * share)}": float(value)
        for share, value in zip(shares, quantiles, strict=True)
    }


def _distinct(run_session: Ints, codes: Ints) -> Ints:
    pairs = np.unique(np.stack([run_session, codes]), axis=1)
    return np.bincount(pairs[0].astype(np.int64))


def _repeats(run_session: Ints, run_item: Ints) -> tuple[NDArray[np.bool_], Ints]:
    """Say of each run whether its item was seen before in the session, and how many runs ago."""
    order = np.lexsort((np.arange(len(run_item)), run_item, run_session))
    again = (run_item[order][1:] == run_item[order][:-1]) & (run_session[order][1:] == run_session[order][:-1])
    repeat = np.zeros(len(run_item), bool)
    lag = np.zeros(len(run_item), np.int64)
    repeat[order[1:]] = again
    lag[order[1:]] = np.where(again, order[1:] - order[:-1], 0)
    return repeat, lag
