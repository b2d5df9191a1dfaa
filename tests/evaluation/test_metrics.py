from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hup.evaluation.metrics import (
    MAIN,
    RANK_METRICS,
    bootstrap_intervals,
    gain,
    level_summary,
    mean_gains,
    ndcg,
    recall,
    reciprocal_rank,
    summary,
)

RANKS = np.array([1.0, 2.0, 4.0, 20.0, 21.0, np.inf])


def test_toy_table():
    assert recall(RANKS, 20).tolist() == [1, 1, 1, 1, 0, 0]
    assert recall(RANKS, 5).tolist() == [1, 1, 1, 0, 0, 0]
    assert reciprocal_rank(RANKS, 20).tolist() == [1, 0.5, 0.25, 0.05, 0, 0]
    assert ndcg(np.array([1, 3, 7, 20, 21, np.inf]), 20).tolist() == pytest.approx([1, 1 / 2, 1 / 3, 0.2276702, 0, 0])
    figures = summary(RANKS, 20)
    assert figures["recall@20"] == pytest.approx(4 / 6)
    assert figures["mrr@20"] == pytest.approx((1 + 0.5 + 0.25 + 0.05) / 6)
    assert summary(RANKS, 5)["mrr@5"] == pytest.approx((1 + 0.5 + 0.25) / 6)


def test_repeat_and_explore_are_the_two_parts_of_the_whole():
    repeat = np.array([True, False, True, False, False, False])
    figures = level_summary(RANKS, repeat, {20: MAIN})
    assert figures["repeat"]["sessions"] == 2
    assert figures["explore"]["sessions"] == 4
    assert figures["repeat"]["recall@20"] == 1.0
    assert figures["explore"]["recall@20"] == 0.5
    assert figures["repeat"]["mrr@20"] == pytest.approx(0.625)
    assert figures["ceiling"] == pytest.approx(5 / 6)
    parts = sum(figures[part]["sessions"] * figures[part]["mrr@20"] for part in ("repeat", "explore"))
    assert parts / 6 == pytest.approx(figures["mrr@20"])


def test_a_part_without_sessions_has_no_figures():
    figures = level_summary(RANKS, np.ones(6, dtype=bool), {20: MAIN})
    assert figures["explore"]["sessions"] == 0
    assert figures["explore"]["recall@20"] is None
    assert figures["explore"]["mrr@20_interval"] is None


@pytest.mark.parametrize("metric", RANK_METRICS)
def test_intervals_agree_with_scipy(metric):
    ranks = np.random.default_rng(1).geometric(0.05, size=300).astype(float)
    ranks[:20] = np.inf
    values = RANK_METRICS[metric](ranks, 20)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    (ours,) = bootstrap_intervals(ranks, 20, [metric], seed=3, resamples=4_000)
    # The ends of a percentile interval of 4,000 resamples wander by a few hundredths of its width.
    width = theirs.high - theirs.low
    assert ours[0] == pytest.approx(theirs.low, abs=0.08 * width)
    assert ours[1] == pytest.approx(theirs.high, abs=0.08 * width)


def test_intervals_depend_on_the_seed_alone():
    assert bootstrap_intervals(RANKS, 20, seed=1) == bootstrap_intervals(RANKS, 20, seed=1)
    assert bootstrap_intervals(RANKS, 20, seed=1) == bootstrap_intervals(RANKS[::-1], 20, seed=1)
    many = np.random.default_rng(0).geometric(0.05, size=100).astype(float)
    assert bootstrap_intervals(many, 20, seed=1) != bootstrap_intervals(many, 20, seed=2)


@pytest.mark.parametrize(("rank", "value"), [(1.0, 1.0), (21.0, 0.0), (np.inf, 0.0)])
def test_certain_outcomes_have_no_width(rank, value):
    assert bootstrap_intervals(np.full(50, rank), 20) == ((value, value), (value, value))


def test_the_gain_that_is_chosen_by_falls_with_every_rank_and_has_no_cut():
    assert gain(RANKS).tolist() == pytest.approx([1, 2**-0.5, 0.5, 20**-0.5, 21**-0.5, 0])
    assert (np.diff(gain(np.arange(1.0, 5_000.0))) < 0).all()


def test_mean_gains_leave_out_who_does_not_count():
    gains = mean_gains({"item": np.array([1.0, np.nan, np.inf]), "category_1": np.array([np.nan, np.nan])})
    assert gains == {"item": 0.5}
