"""Shares near the visits, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from hup.models.boosted.counted import shares_of
from hup.models.hup.mixture.co_visits import RELATIONS
from hup.models.hup.mixture.neighbor_shares import WEIGHTS
from hup.sessions.levels import ITEM

PLAIN = {
    "current": lambda since: float(since == 0),
    "one before": lambda since: float(since == 1),
    "recent": lambda since: 1 / (1 + since),
    "all": lambda since: 1.0,
}


@pytest.mark.parametrize("latest", [3, 50])
def test_shares_are_sums_over_visits(counted, queries, latest):
    shares = shares_of(counted, queries, ITEM, latest)
    assert set(WEIGHTS) == set(PLAIN)
    for level, of_level in shares.items():
        co_visits = counted.levels[level].co_visits
        tables = [matrix.toarray().astype(np.float64) for matrix in co_visits.counts]
        for query in range(0, len(queries), 5):
            visited: list[int] = []
            low, high = queries.table.offsets[query : query + 2]
            for code in queries.table.codes(level)[low:high].tolist():
                visited = [*(other for other in visited if other != code), code]
            recent = visited[::-1][:latest]
            for place, relation in enumerate(RELATIONS):
                support = [tables[place][code].sum() if code < co_visits.size else 0 for code in recent]
                assert of_level.support[query, place] == pytest.approx(support[0], rel=1e-6)
                for weight, plain in PLAIN.items():
                    expected = np.zeros(co_visits.size)
                    for since, (code, total) in enumerate(zip(recent, support, strict=True)):
                        if total > 0:
                            expected += plain(since) * tables[place][code] / total
                    row = of_level.matrix(weight, relation)[[query]].toarray()[0]
                    np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-9)


def test_looking_up(counted, queries):
    shares = shares_of(counted, queries, ITEM, 20)[ITEM]
    rng = np.random.default_rng(0)
    query, code = rng.integers(0, len(queries), 200), rng.integers(0, counted.levels[ITEM].size, 200)
    table = shares.matrix("recent", "after").toarray()
    assert table[query, code].any()
    np.testing.assert_array_equal(shares.at("recent", "after", query, code), table[query, code])
    assert shares.at("recent", "after", query[:0], code[:0]).shape == (0,)


def test_only_the_level_and_those_above_it_are_looked_at(counted, queries):
    levels = list(counted.levels)
    for place, level in enumerate(levels):
        assert list(shares_of(counted, queries, level, 20)) == levels[place:]
