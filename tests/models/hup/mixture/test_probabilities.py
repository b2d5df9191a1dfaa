"""Leaving out the current item and sharing out a category's probability, against plain loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.models.hup.mixture.probabilities import Distribution, shared_out, without_current

N, N_ABOVE, N_QUERIES = 6, 3, 4  # known codes, known codes of the level above, queries


def distribution(n: int, n_parents: int, seed: int) -> Distribution:
    """Probabilities that sum to 1, with up to three codes beyond the vocabulary for each query."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.repeat_interleave(torch.arange(N_QUERIES), torch.randint(4, (N_QUERIES,), generator=generator))
    code = n + torch.arange(len(query))
    known, outside = torch.rand(N_QUERIES, n, generator=generator), torch.rand(len(query), generator=generator)
    total = known.sum(dim=1).index_add(0, query, outside)
    parent = torch.randint(-1, n_parents + 2, (len(query),), generator=generator)
    return Distribution(known / total[:, None], query, code, outside / total[query], parent)


def sums(said: Distribution) -> torch.Tensor:
    return said.known.sum(dim=1).index_add(0, said.query, said.probability)


@given(current=st.lists(st.integers(0, N + 1), min_size=N_QUERIES, max_size=N_QUERIES), seed=st.integers(0, 99))
def test_without_the_current_item_the_others_share_what_it_had(current, seed):
    """Every probability is the one given that the current item does not come: they sum to 1 again."""
    before = distribution(N, 0, seed)
    after = without_current(before, torch.tensor(current))
    assert sums(after).tolist() == pytest.approx([1.0] * N_QUERIES, abs=1e-5)
    for query, item in enumerate(current):
        left = 1 - (float(before.known[query, item]) if item < N else 0)
        expected = [0 if code == item else float(p) / left for code, p in enumerate(before.known[query])]
        assert after.known[query].tolist() == pytest.approx(expected, abs=1e-5)
        mine = before.query == query
        assert after.probability[mine].tolist() == pytest.approx((before.probability[mine] / left).tolist(), abs=1e-5)


def test_what_is_missing_to_one_is_shared_by_nobody_else():
    """The rest is of something unseen; it grows in the same proportion."""
    none = torch.zeros(0, dtype=torch.long)
    before = Distribution(torch.tensor([[0.5, 0.2, 0.1]]), none, none, torch.zeros(0), none)
    after = without_current(before, torch.tensor([0]))
    assert after.known[0].tolist() == pytest.approx([0, 0.4, 0.2])
    certain = Distribution(torch.tensor([[1.0, 0.0]]), none, none, torch.zeros(0), none)
    assert without_current(certain, torch.tensor([0])).known.tolist() == [[0, 0]], "nothing is left to share"


@given(seed=st.integers(0, 999))
def test_children_share_what_their_parent_has(seed):
    generator = torch.Generator().manual_seed(seed)
    below, above = distribution(N, N_ABOVE, seed), distribution(N_ABOVE, 0, seed + 1)
    parents = torch.randint(N_ABOVE, (N,), generator=generator)
    # A category beyond the vocabulary may have children, known to the level above as one of its session or not at all.
    after = shared_out(below, parents, above)
    for query in range(N_QUERIES):
        has = {code: float(p) for code, p in enumerate(above.known[query])}
        has |= {
            int(c): float(p) for q, c, p in zip(above.query, above.code, above.probability, strict=True) if q == query
        }
        own = [(int(parent), float(p)) for parent, p in zip(parents, below.known[query], strict=True)]
        mine = below.query == query
        own += [(int(parent), float(p)) for parent, p in zip(below.parent[mine], below.probability[mine], strict=True)]
        children = {parent: sum(p for of, p in own if of == parent) for parent, _ in own}
        expected = [p * has[parent] / children[parent] if has.get(parent, 0) > 0 else p for parent, p in own]
        assert [*after.known[query].tolist(), *after.probability[mine].tolist()] == pytest.approx(expected, abs=1e-5)


def test_a_category_of_which_no_child_is_likely_shares_nothing_out():
    none = torch.zeros(0, dtype=torch.long)
    below = Distribution(torch.tensor([[0.0, 0.0, 1.0]]), none, none, torch.zeros(0), none)
    above = Distribution(torch.tensor([[0.7, 0.3]]), none, none, torch.zeros(0), none)
    after = shared_out(below, torch.tensor([0, 0, 1]), above)
    assert after.known[0].tolist() == pytest.approx([0, 0, 0.3])
