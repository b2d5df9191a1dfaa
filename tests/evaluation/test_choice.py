"""Which metrics are given, and at which cut-offs."""

from __future__ import annotations

import numpy as np
import pytest

from hup.errors import HupError
from hup.evaluation.choice import DEFAULT, METRICS, Choice


def test_recall_and_mrr_at_the_levels_own_cutoff_come_first():
    assert Choice.of() == DEFAULT
    assert DEFAULT.figures("item") == [("recall", 20), ("mrr", 20)]
    assert DEFAULT.figures("category_2") == [("recall", 5), ("mrr", 5)]
    assert not DEFAULT.goes_further("item")
    choice = Choice.of(["coverage", "ndcg"], at=(10, 5))
    assert choice.figures("item") == [
        *(("recall", 20), ("mrr", 20)),
        *(("ndcg", 20), ("coverage", 20), ("ndcg", 5), ("coverage", 5), ("ndcg", 10), ("coverage", 10)),
    ]
    assert choice.cutoffs("category_1") == (5, 10)


def test_order_doubles_and_synonyms_do_not_matter():
    assert Choice.of(["hit_rate", "map", "recall"], [20, np.int64(5), 20]) == Choice(("recall", "mrr"), (5, 20))
    assert Choice.of(reversed(METRICS)).metrics == METRICS


def test_a_levels_own_cutoff_is_nothing_further():
    choice = Choice.of(at=[20])
    assert not choice.goes_further("item")
    assert choice.goes_further("category_1")


@pytest.mark.parametrize("metric", METRICS)
def test_only_metrics_of_lists_need_lists(metric):
    assert Choice.of([metric]).needs_lists == (metric not in ("recall", "mrr", "ndcg"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metrics": ["ndgc"]}, r"no metric 'ndgc'. Metrics: recall, mrr, ndcg.*hit_rate \(the same as recall\)"),
        ({"metrics": [3]}, "no metric 3"),
        ({"metrics": "ndcg"}, r"metrics is 'ndcg', expected names such as"),
        ({"metrics": []}, "No metric is named"),
        ({"at": 5}, r"at is 5, expected cut-offs such as \(5, 20\)"),
        ({"at": [0]}, "A cut-off is 0, expected a whole number from 1 to 1,000"),
        ({"at": [1001]}, "A cut-off is 1001"),
        ({"at": [2.0]}, r"A cut-off is 2\.0"),
        ({"at": [True]}, "A cut-off is True"),
        ({"at": "5"}, "A cut-off is '5'"),
    ],
)
def test_what_is_wrong_is_told(asked, message):
    with pytest.raises(HupError, match=message):
        Choice.of(**asked)
