from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.models.boosted.counted import Counted, coarser
from hup.sessions.levels import ITEM, Level, ranked_levels
from hup.sessions.runs import training_runs


def test_levels_above(dataset):
    assert coarser(ITEM, 3) == ("category_3", "category_2", "category_1")
    assert coarser(Level("category_2"), 3) == ("category_1",)
    assert coarser(Level("category_1"), 3) == ()


def test_popularity_is_runs_of_training(counted, vocabulary):
    for level, counts in counted.levels.items():
        np.testing.assert_array_equal(counts.popularity, vocabulary.counts[level])
        ranked = counts.popularity[counts.by_popularity]
        assert (np.diff(ranked) <= 0).all()
        assert len(ranked) == (counts.popularity > 0).sum()


def test_sessions_that_are_left_out_count_for_nothing(dataset, vocabulary, quick):
    left_out = range(30, 60)
    counted = Counted.of(dataset, vocabulary, quick, ITEM, left_out)
    for level, counts in counted.levels.items():
        codes, offsets = training_runs(dataset, level)
        others = [codes[offsets[n] : offsets[n + 1]] for n in range(len(offsets) - 1) if n not in left_out]
        expected = np.zeros(counts.size)
        together: dict[tuple[int, int], int] = {}
        for session in others:
            np.add.at(expected, session, 1)
            for first in set(session.tolist()):
                for second in set(session.tolist()):
                    together[first, second] = together.get((first, second), 0) + 1
        np.testing.assert_array_equal(counts.popularity, expected)
        kept = counts.co_visits.counts[2].tocoo()
        row, column = kept.coords
        assert kept.data.tolist() == [together[pair] for pair in zip(row.tolist(), column.tolist(), strict=True)]
    seen = counted.levels[ITEM].popularity > 0
    assert not seen.all()
    np.testing.assert_allclose(np.linalg.norm(counted.vectors, axis=1), seen, atol=1e-5)


def test_only_levels_that_are_needed_are_counted(dataset, vocabulary, quick):
    coarsest = Level("category_1")
    counted = Counted.of(dataset, vocabulary, quick, coarsest)
    assert list(counted.levels) == [coarsest]
    assert len(counted.vectors) == 0


def test_what_is_restored_is_the_same(counted, vocabulary, quick):
    again = Counted.restored(vocabulary, counted.tensors(), quick.window)
    assert list(again.levels) == list(ranked_levels(vocabulary.levels))
    first, second = counted.tensors(), again.tensors()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for level, counts in counted.levels.items():
        np.testing.assert_array_equal(again.levels[level].popularity, counts.popularity)
        assert again.levels[level].co_visits.with_itself == counts.co_visits.with_itself
    with pytest.raises(KeyError):
        Counted.restored(vocabulary, {}, quick.window)


def test_ancestors(counted, vocabulary):
    items = np.arange(len(vocabulary.items))
    for k in range(1, vocabulary.levels + 1):
        np.testing.assert_array_equal(counted.ancestors(ITEM, items, k), vocabulary.paths[:, k - 1])
        finest = vocabulary.paths[:, -1]
        above = counted.ancestors(Level.category(vocabulary.levels), finest, k)
        np.testing.assert_array_equal(above, vocabulary.paths[:, k - 1])
