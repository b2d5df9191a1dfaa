"""The table of chosen settings: one for all levels, one for each, and rows that came to nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hup.evaluation.figures import NOTHING
from hup.report.detail_tables import settings_table

TRIALS = [
    {"overrides": [], "failed": None, "selection": 0.45, "gains": {"item": 0.3, "category_1": 0.6}},
    {"overrides": ["span=3", "idf=false"], "failed": None, "selection": 0.4, "gains": {"item": 0.4, "category_1": 0.4}},
    {"overrides": ["span=5"], "failed": "it broke", "selection": None},
]
DEFAULTS = {"item": (), "category_1": ()}
OTHER = {"item": ("span=3", "idf=false"), "category_1": ("span=3", "idf=false")}


def shown(results_of, overrides, trials=TRIALS) -> list[str]:
    results = results_of({"hup": np.array([1.0, 2.0])})
    row = replace(results.rows[0], overrides=overrides, trials=trials)
    (group,) = settings_table(replace(results, rows=[row])).groups
    return [cell.text for cell in group.rows[0]]


@pytest.mark.parametrize(
    ("overrides", "text", "gained"), [(DEFAULTS, "the defaults", "45.0"), (OTHER, "span=3, idf=false", "40.0")]
)
def test_one_setting_for_all_levels(results_of, overrides, text, gained):
    assert shown(results_of, overrides) == ["HUP", text, "45.0", gained, "3"]


def test_a_setting_for_each_level_gains_what_each_level_gains_by_it(results_of):
    mixed = {"item": OTHER["item"], "category_1": ()}
    text = "Items: span=3, idf=false; Categories: the defaults"
    assert shown(results_of, mixed) == ["HUP", text, "45.0", "50.0", "3"]


def test_a_row_that_failed(results_of):
    assert shown(results_of, {}, TRIALS[2:]) == ["HUP", NOTHING, NOTHING, NOTHING, "1"]
