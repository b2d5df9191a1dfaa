"""One distribution of all levels: its marginals, and the steps to it against plain loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.models.hup.mixture.agreement import Distribution, agreed, by_items, moved, pooled, shared_out, without_current
from hup.sessions.levels import ITEM, Level

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


FINE, COARSE = Level.category(2), Level.category(1)
LEVELS = (ITEM, FINE, COARSE)
SIZES = {ITEM: 7, FINE: 4, COARSE: 2}
PARENTS = {ITEM: torch.tensor([0, 0, 1, 2, 2, 3, 3]), FINE: torch.tensor([0, 0, 1, 1])}


def levels(seed: int) -> dict[Level, Distribution]:
    """What three levels say of two queries, the second of which has been on codes that the vocabulary lacks."""
    generator = torch.Generator().manual_seed(seed)
    # Item 7 is in category 4 of category 2, neither of them known; item 8 in category 3.
    beyond = {ITEM: ([7, 8], [4, 3]), FINE: ([4], [2]), COARSE: ([2], [-1])}
    made = {}
    for level in LEVELS:
        codes, parents = map(torch.tensor, beyond[level])
        known, outside = torch.rand(2, SIZES[level], generator=generator), torch.rand(len(codes), generator=generator)
        total = (known.sum(dim=1) + torch.tensor([0, float(outside.sum())])) * 1.25  # a fifth is of something unseen
        made[level] = Distribution(known / total[:, None], codes * 0 + 1, codes, outside / total[1], parents)
    return made


def children(of: Level, said: Distribution, query: int) -> dict[int, float]:
    """Sum what each category's children have, one by one."""
    total: dict[int, float] = {}
    for code, value in enumerate(said.known[query]):
        parent = int(PARENTS[of][code])
        total[parent] = total.get(parent, 0) + float(value)
    for asked, parent, value in zip(said.query, said.parent, said.probability, strict=True):
        if asked == query:
            total[int(parent)] = total.get(int(parent), 0) + float(value)
    return total


def every(said: Distribution, query: int) -> dict[int, float]:
    """Probability of every code, known or not."""
    mine = said.query == query
    own = zip(said.code[mine].tolist(), said.probability[mine].tolist(), strict=True)
    return {**dict(enumerate(said.known[query].tolist())), **dict(own)}


@given(seed=st.integers(0, 999), fine=st.floats(0, 1), coarse=st.floats(0, 1))
def test_all_levels_are_marginals_of_one_distribution(seed, fine, coarse):
    alone = levels(seed)
    made = agreed(alone, PARENTS, {FINE: fine, COARSE: coarse})
    for level in LEVELS:
        assert made[level].mass.tolist() == pytest.approx(alone[level].mass.tolist(), abs=1e-5), "of something unseen"
    for level, above in ((ITEM, FINE), (FINE, COARSE)):
        for query in range(2):
            share = float(made[above].mass[query] / made[level].mass[query])
            sums = {code: value * share for code, value in children(level, made[level], query).items()}
            assert sums == pytest.approx(every(made[above], query), abs=1e-5)


@given(seed=st.integers(0, 999))
def test_where_a_level_moves_all_are_still_marginals_of_one_distribution(seed):
    said = agreed(levels(seed), PARENTS, {FINE: 0.3, COARSE: 0.6})
    other = levels(seed + 1)[FINE]
    to = other.times(said[FINE].mass / other.mass)
    made = moved(said, PARENTS, FINE, to)
    assert made[FINE] is to
    for level in LEVELS:
        assert made[level].mass.tolist() == pytest.approx(said[level].mass.tolist(), abs=1e-5)
    for level, above in ((ITEM, FINE), (FINE, COARSE)):
        for query in range(2):
            share = float(made[above].mass[query] / made[level].mass[query])
            sums = {code: value * share for code, value in children(level, made[level], query).items()}
            assert sums == pytest.approx(every(made[above], query), abs=1e-5)
    # Children of a category keep their shares of it.
    for query in range(2):
        before, after = (every(of[ITEM], query) for of in (said, made))
        ratio = {code: after[code] / before[code] for code in before}
        parent = dict(enumerate(PARENTS[ITEM].tolist()))
        for code in parent:
            same = next(one for one in parent if parent[one] == parent[code])
            assert ratio[code] == pytest.approx(ratio[same], rel=1e-4)


@given(seed=st.integers(0, 999))
def test_with_all_trust_in_items_they_stay(seed):
    alone = levels(seed)
    made = agreed(alone, PARENTS, {FINE: 1.0, COARSE: 1.0})
    assert made[ITEM].known.tolist() == [pytest.approx(row, abs=1e-5) for row in alone[ITEM].known.tolist()]
    assert made[ITEM].probability.tolist() == pytest.approx(alone[ITEM].probability.tolist(), abs=1e-5)


@given(seed=st.integers(0, 999))
def test_with_no_trust_in_items_the_coarsest_level_stays(seed):
    alone = levels(seed)
    made = agreed(alone, PARENTS, {FINE: 0.0, COARSE: 0.0})
    for query in range(2):
        assert every(made[COARSE], query) == pytest.approx(every(alone[COARSE], query), abs=1e-5)


@given(seed=st.integers(0, 999))
def test_items_are_summed_by_every_category_level(seed):
    alone = levels(seed)
    said = by_items(alone, PARENTS)
    assert list(said) == [FINE, COARSE]
    for query in range(2):
        assert every(said[FINE], query) == pytest.approx(children(ITEM, alone[ITEM], query), abs=1e-5)
        assert every(said[COARSE], query) == pytest.approx(children(FINE, said[FINE], query), abs=1e-5)


@given(seed=st.integers(0, 999), trust=st.floats(0, 1))
def test_pooling_is_a_weighed_geometric_mean(seed, trust):
    own, said = levels(seed)[FINE], levels(seed + 1)[FINE]
    both = pooled(own, said, trust)
    for query in range(2):
        mean = {code: p ** (1 - trust) * every(said, query)[code] ** trust for code, p in every(own, query).items()}
        factor = sum(every(own, query).values()) / sum(mean.values())
        assert every(both, query) == pytest.approx({code: p * factor for code, p in mean.items()}, abs=1e-5)


def test_a_log_without_categories_has_items_alone():
    alone = {ITEM: levels(0)[ITEM]}
    assert agreed(alone, {}, {})[ITEM] is alone[ITEM]
