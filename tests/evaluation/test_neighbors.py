from __future__ import annotations

import pytest
import torch

from hup.evaluation.neighbors import NeighborLists, nearest_neighbors


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(57, 6, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.1, 9, 57)[:, None]


@pytest.mark.parametrize("block_bytes", [1, 57 * 4 * 10, 2**20])
def test_agrees_with_all_pairs(vectors, block_bytes):
    queries = torch.tensor([3, 3, 56, 0, 17])
    found = nearest_neighbors(vectors, queries, 8, block_bytes=block_bytes)
    double = vectors.double()
    cosine = torch.nn.functional.cosine_similarity(double[queries][:, None], double[None], dim=2)
    assert found.tolist() == cosine.argsort(dim=1, descending=True)[:, :8].tolist()
    assert found[:, 0].tolist() == queries.tolist()


def test_an_item_is_its_own_neighbour_whatever_its_vector():
    vectors = torch.ones(9, 2)
    vectors[4] = 0
    assert nearest_neighbors(vectors, torch.arange(9), 1)[:, 0].tolist() == list(range(9))


def test_no_more_neighbours_than_items(vectors):
    assert nearest_neighbors(vectors, torch.tensor([1]), 1_000).shape == (1, 57)


def test_the_union_over_a_session(vectors):
    session = torch.tensor([0, 0, 0, 2, 2])
    item = torch.tensor([5, 9, 5, 90, -1])
    lists = NeighborLists(vectors, torch.tensor([9, 5, 5, 90, -1, 20]), 4)
    found = lists.union(session, item, 3)
    expected = set(nearest_neighbors(vectors, torch.tensor([5, 9]), 4).flatten().tolist())
    assert set(found[0].nonzero().flatten().tolist()) == expected
    assert not found[1:].any()  # nothing browsed; nothing known browsed


def test_the_union_does_not_depend_on_blocks(vectors, monkeypatch):
    session, item = torch.arange(40) % 7, torch.arange(40)
    lists = NeighborLists(vectors, item, 5)
    whole = lists.union(session, item, 7)
    monkeypatch.setattr("hup.evaluation.neighbors.PAIRS_PER_BLOCK", 3)
    assert torch.equal(lists.union(session, item, 7), whole)
