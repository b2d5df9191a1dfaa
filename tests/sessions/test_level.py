"""Levels are plain names that know what they are a level of."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hup.sessions.levels import ITEM, MICRO, Level, level_names, ranked_levels


def test_levels_are_their_names():
    assert level_names(2) == ("micro", "item", "category_2", "category_1")
    assert ranked_levels(2) == ("item", "category_2", "category_1")
    assert {Level("category_1"): 1} == {"category_1": 1}
    assert json.loads(json.dumps({Level.category(12): ITEM})) == {"category_12": "item"}
    assert f"{MICRO}" == "micro"


@pytest.mark.parametrize(("name", "k"), [("micro", 0), ("item", 0), ("category_1", 1), ("category_12", 12)])
def test_a_level_knows_its_number(name, k):
    level = Level(name)
    assert level.k == k
    assert level.is_category == (k > 0)
    assert level.pick("the item's", [str(number) for number in range(1, 13)]) == (str(k) if k else "the item's")


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_codes_of_a_level_are_a_column(of):
    item, categories = of([7, 8]), of([[1, 2, 3], [4, 5, 6]])
    for name, codes in {"micro": [7, 8], "item": [7, 8], "category_1": [1, 4], "category_3": [3, 6]}.items():
        assert Level(name).codes(item, categories).tolist() == codes
