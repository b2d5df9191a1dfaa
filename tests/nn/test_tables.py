"""Tables answer for codes they have never seen with the mean of known siblings."""

from __future__ import annotations

import pytest
import torch

from hup.nn.tables import TreeTable, VectorTable

# Five items; category_1 of 0..2 is 0, of 3..4 is 1; category_2: 0, 0, 1, 2, 2.
PATHS = torch.tensor([[0, 0], [0, 0], [0, 1], [1, 2], [1, 2]])


def table() -> VectorTable:
    made = VectorTable(PATHS, 3).eval()
    with torch.no_grad():
        made.weight.copy_(torch.arange(15.0).view(5, 3) ** 1.5)
    return made


def test_known_codes_have_their_own_vector():
    made = table()
    torch.testing.assert_close(made(torch.tensor([3, 0]), PATHS[[3, 0]]), made.weight[[3, 0]])


def test_vectors_begin_evenly_spread_about_0():
    weight = VectorTable(torch.zeros(400, 0, dtype=torch.long), 50).weight.detach()
    assert float(weight.abs().max()) <= 0.05
    assert float(weight.mean()) == pytest.approx(0, abs=0.001)
    assert float(weight.std()) == pytest.approx(0.05 / 3**0.5, rel=0.02)


def test_unknown_item_takes_its_finest_known_category():
    made = table()
    vectors = made(torch.tensor([7, 8, 9, -1]), torch.tensor([[0, 0], [0, 99], [50, 60], [-1, -1]]))
    torch.testing.assert_close(vectors[0], made.weight[:2].mean(0))
    torch.testing.assert_close(vectors[1], made.weight[:3].mean(0))
    torch.testing.assert_close(vectors[2], made.weight.mean(0))
    torch.testing.assert_close(vectors[3], made.weight.mean(0))


def test_means_follow_the_weights():
    made = table()
    before = made(torch.tensor([9]), torch.tensor([[0, 0]]))
    with torch.no_grad():
        made.weight.mul_(2)
    torch.testing.assert_close(made(torch.tensor([9]), torch.tensor([[0, 0]])), 2 * before)
    made.load_state_dict({"weight": torch.ones(5, 3)})
    torch.testing.assert_close(made(torch.tensor([9]), torch.tensor([[0, 0]])), torch.ones(1, 3))


def test_frozen_tables_do_not_learn():
    assert not VectorTable(PATHS, 3, trainable=False).weight.requires_grad


def test_categories_of_level_1_have_no_ancestors():
    made = VectorTable(torch.zeros(4, 0, dtype=torch.long), 2).eval()
    torch.testing.assert_close(made(torch.tensor([9]), torch.zeros(1, 0, dtype=torch.long))[0], made.weight.mean(0))


def test_sums_that_are_kept_follow_the_weights():
    table = TreeTable(torch.tensor([[0], [1], [0]]), 4)
    with torch.inference_mode():
        before = table.vectors()
        assert table.vectors() is before
    for parameter in (table.weight, table.families[0]):
        with torch.no_grad():
            parameter.add_(1)
            expected = table.weight + table.families[0][table.ancestors[:, 0]]
            assert torch.equal(table.vectors(), expected)
    assert table.vectors().requires_grad
