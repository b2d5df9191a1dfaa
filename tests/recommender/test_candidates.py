from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.errors import HupError
from hup.recommender.candidates import Scores, target_ranks

INF = float("inf")


def scores(known, own=None, own_codes=None) -> Scores:
    known = torch.tensor(known, dtype=torch.float32)
    if own is None:
        return Scores(known, torch.zeros(len(known), 0), torch.zeros(len(known), 0, dtype=torch.int64))
    return Scores(known, torch.tensor(own, dtype=torch.float32), torch.tensor(own_codes))


def ranks(given: Scores, targets, **options) -> list[float]:
    options = {key: torch.tensor(value) if isinstance(value, list) else value for key, value in options.items()}
    return target_ranks(given, torch.tensor(targets), **options).tolist()


def test_best_and_worst():
    assert ranks(scores([[3, 2, 1], [3, 2, 1]]), [0, 2]) == [1, 3]


def test_ties_count_against_the_model():
    assert ranks(scores([[1, 1, 0, 1]]), [1]) == [3]


def test_all_equal_scores_rank_the_target_last():
    given = scores([[5] * 7] * 2, [[5, 5], [5, 0]], [[7, 9], [8, -1]])
    assert ranks(given, [3, 8]) == [9, 8]
    assert ranks(given, [3, 8], excluded=[0, 0]) == [8, 7]


def test_the_excluded_code_does_not_count_even_at_the_top():
    assert ranks(scores([[9, 2, 1]]), [1]) == [2]
    assert ranks(scores([[9, 2, 1]]), [1], excluded=[0]) == [1]


def test_an_own_code_can_be_excluded():
    given = scores([[2, 1]], [[9, 5]], [[2, 3]])
    assert ranks(given, [0], excluded=[2]) == [2]
    assert ranks(given, [3], excluded=[2]) == [1]


def test_an_excluded_target_is_no_candidate():
    assert ranks(scores([[9, 2, 1]]), [1], excluded=[1]) == [INF]


def test_minus_one_excludes_nothing():
    assert ranks(scores([[9, 2, 1]]), [1], excluded=[-1]) == [2]


def test_own_codes_compete_and_can_be_targets():
    given = scores([[2, 1], [2, 1]], [[3, 9], [0, 0]], [[5, 7], [6, -1]])
    assert ranks(given, [0, 6]) == [3, 3]
    assert ranks(given, [5, 1]) == [2, 2]


def test_a_target_that_nobody_scored_is_no_candidate():
    given = scores([[2, 1], [2, 1]], [[3], [9]], [[5], [-1]])
    assert ranks(given, [6, 5]) == [INF, INF]


def test_a_missing_target_never_matches_padding():
    assert ranks(scores([[2, 1]], [[9]], [[-1]]), [-1]) == [INF]


def test_only_candidates_count():
    candidates = torch.tensor([[True, False, True], [True, False, True]])
    given = scores([[1, 9, 2], [1, 9, 2]], [[5], [5]], [[3], [3]])
    assert target_ranks(given, torch.tensor([0, 3]), candidates=candidates).tolist() == [3, 1]
    assert target_ranks(given, torch.tensor([1, 1]), candidates=candidates).tolist() == [INF, INF]


def test_a_score_of_minus_infinity_is_a_score():
    """Excluded codes are left out by mask, not by score: a candidate at -inf has only candidates above it."""
    assert ranks(scores([[-INF, -INF, 1]]), [0], excluded=[2]) == [2]


def test_own_scores_of_higher_precision_are_not_rounded():
    own = torch.tensor([[2.0**24 + 1]], dtype=torch.float64)
    given = Scores(torch.tensor([[2.0**24]]), own, torch.tensor([[1]]))
    assert target_ranks(given, torch.tensor([1])).tolist() == [1]


def test_nan_is_an_error_that_names_the_model():
    with pytest.raises(HupError, match=r"deep thought gave scores that are not numbers .* for 1 of 2"):
        target_ranks(scores([[1, np.nan], [1, 1]]), torch.tensor([0, 0]), name="deep thought")
    with pytest.raises(HupError, match="NaN"):
        ranks(scores([[1, 1]], [[np.nan]], [[2]]), [0])


def test_nan_at_padding_is_nothing():
    assert ranks(scores([[1, 2]], [[np.nan]], [[-1]]), [0]) == [2]


def test_an_empty_vocabulary():
    assert ranks(scores(np.zeros((2, 0)), [[1, 2], [1, 0]], [[3, 4], [3, -1]]), [3, 4]) == [2, INF]


def test_both_infinities_are_not_nan():
    assert ranks(scores([[INF, -INF, 1]]), [2]) == [2]
