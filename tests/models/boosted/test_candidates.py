"""Candidates against a plain search, query by query."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from hup.models.boosted.candidates import candidates_of
from hup.models.boosted.counted import shares_of
from hup.sessions.levels import Level


def in_order(*sources: list[int]):
    yield from dict.fromkeys(code for source in sources for code in source)


@pytest.mark.parametrize(("most", "popular"), [(12, 3), (1, 2), (6, 0), (10_000, 10_000)])
def test_visits_then_what_is_popular_then_what_is_near(counted, queries, vocabulary, most, popular):
    for level, counts in counted.levels.items():
        shares = shares_of(counted, queries, level, 20)[level]
        none = tuple(0 for _ in vocabulary.no_category)
        found = candidates_of(counted, queries, shares, level, most=most, popular=popular, no_category=none)
        assert (np.diff(found.query * 10**6 + found.code) > 0).all()
        near = sum(
            shares.matrix(weight, relation).toarray()
            for weight in ("current", "recent")
            for relation in ("after", "before", "together")
        )
        for query in range(len(queries)):
            mine = queries.visits[level].query == query
            visited = queries.visits[level].code[mine][::-1][: max(1, most // 2)].tolist()
            ranked = counts.by_popularity.tolist()
            in_category: list[int] = []
            if level != "category_1":
                above = Level.category(level.k - 1 if level.is_category else vocabulary.levels)
                parents = counted.ancestors(level, np.arange(counts.size), above.k)
                current = queries.current(above)[query]
                in_category = [code for code in ranked if parents[code] == current][:popular]
            nearest = [code for code in np.argsort(-near[query], kind="stable").tolist() if near[query, code] > 0]
            barred = 0 if level.is_category else queries.current(level)[query]
            wanted = in_order(visited, ranked[:popular], in_category, nearest)
            expected = sorted(islice((code for code in wanted if code != barred), most))
            assert found.code[found.query == query].tolist() == expected


def test_the_visit_of_a_candidate(counted, queries, vocabulary):
    for level in counted.levels:
        shares = shares_of(counted, queries, level, 20)[level]
        found = candidates_of(counted, queries, shares, level, most=60, popular=20, no_category=vocabulary.no_category)
        visits = queries.visits[level]
        place = {(q, c): n for n, (q, c) in enumerate(zip(visits.query.tolist(), visits.code.tolist(), strict=True))}
        pairs = zip(found.query.tolist(), found.code.tolist(), strict=True)
        assert found.visit.tolist() == [place.get(pair, -1) for pair in pairs]
        assert (found.visit >= 0).any()
        assert level.is_category or (found.code >= counted.levels[level].size).any(), "items that training never saw"


def test_some_queries_can_be_left_out(counted, queries, vocabulary):
    level = next(iter(counted.levels))
    shares = shares_of(counted, queries, level, 20)[level]
    found = candidates_of(counted, queries, shares, level, most=9, popular=3, no_category=vocabulary.no_category)
    kept = np.arange(len(queries)) % 3 == 1
    some = found.of_queries(kept)
    assert set(some.query.tolist()) == set(np.flatnonzero(kept).tolist())
    assert some.code.tolist() == found.code[kept[found.query]].tolist()
    assert len(some) == len(some.code)
