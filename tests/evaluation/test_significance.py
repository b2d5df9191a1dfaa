"""t-test, Holm's correction and bootstrap, against scipy and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hup.evaluation import significance
from hup.evaluation.significance import bootstrap_mean, holm, paired_t_test


def test_the_t_test_is_scipys_and_does_not_mind_the_order():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 50), rng.normal(0, 1, 50)
    assert paired_t_test(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert paired_t_test(second, first) == pytest.approx(paired_t_test(first, second))


def test_a_t_test_worked_out_by_hand():
    # Differences 1, 1, 0, 0: mean 1/2, standard error sqrt(1/3 / 4), t = sqrt(3), 3 degrees of freedom.
    found = paired_t_test(np.array([1.0, 1, 1, 0]), np.array([0.0, 0, 1, 0]))
    assert found == pytest.approx(2 * stats.t.sf(np.sqrt(3), 3))


@pytest.mark.parametrize(
    ("first", "second", "p"), [([1, 0], [1, 0], 1.0), ([1], [0], 1.0), ([1, 1, 1], [0, 0, 0], 0.0)]
)
def test_no_spread(first, second, p):
    assert paired_t_test(np.array(first, dtype=float), np.array(second, dtype=float)) == p


def test_holm_by_hand():
    # 0.01 · 4, then 0.02 · 3, then the larger of that and 0.022 · 2, then 0.5.
    assert holm([0.02, 0.5, 0.01, 0.022]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_rule_rejects(p_values):
    for level in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for place, index in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[index] * (len(p_values) - place) > level:
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_the_bootstrap_agrees_with_drawing_sessions():
    rng = np.random.default_rng(1)
    values = rng.choice([0.0, 0.25, 0.5, 1.0], 200)
    low, high = bootstrap_mean(values, resamples=4000)
    means = values[rng.integers(0, 200, (4000, 200))].mean(axis=1)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)
    assert low < values.mean() < high


def test_the_bootstrap_is_seeded_and_of_one_value_a_point():
    values = np.array([0.0, 1.0, 1.0, 0.5])
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(np.full(5, 0.4)) == pytest.approx((0.4, 0.4))


@pytest.mark.parametrize("at_once", [1, 9, 50])
def test_drawing_some_at_a_time_changes_nothing(monkeypatch, at_once):
    values = np.random.default_rng(1).choice([0.0, 0.25, 0.5, 1.0], 30)
    whole = bootstrap_mean(values, resamples=11)
    monkeypatch.setattr(significance, "_DRAWS_AT_ONCE", at_once)
    assert bootstrap_mean(values, resamples=11) == whole


def test_there_are_as_many_draws_as_asked_for():
    values = np.array([0.0, 1.0, 1.0, 0.5])
    low, high = bootstrap_mean(values, resamples=1)
    assert low == high
    # Of two draws the whole interval spans exactly these.
    first, second = (np.random.default_rng(0).multinomial(4, [0.25, 0.25, 0.5], size=2) @ [0.0, 0.5, 1.0]) / 4
    assert bootstrap_mean(values, resamples=2, confidence=1.0) == pytest.approx(sorted((first, second)))
