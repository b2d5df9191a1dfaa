"""Columns that trees see, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from hup.models.boosted.candidates import Candidates, candidates_of
from hup.models.boosted.counted import shares_of
from hup.models.boosted.features import features
from hup.models.hup.mixture.visit_signals import SIGNALS
from hup.sessions.levels import ITEM


@pytest.fixture(scope="module")
def described(counted, queries, vocabulary) -> dict:
    """By level: candidates, and their columns by name."""
    out = {}
    for level in counted.levels:
        shares = shares_of(counted, queries, level, 20)
        found = candidates_of(
            counted, queries, shares[level], level, most=30, popular=5, no_category=vocabulary.no_category
        )
        names, values = features(counted, queries, shares, level, found)
        assert values.shape == (len(found), len(names))
        assert values.dtype == np.float32
        assert len(set(names)) == len(names)
        assert not {",", ":", '"', "[", "{"} & set("".join(names)), "LightGBM does not take these in names"
        out[level] = (found, dict(zip(names, values.T, strict=True)), shares)
    return out


def path_of(counted, queries, level, found: Candidates, row: int) -> list[int] | None:
    """Categories above a candidate's level, finest first; of what training never saw those of its run."""
    code, k = int(found.code[row]), level.k if level.is_category else len(counted.parents) + 1
    if code < counted.levels[level].size:
        return [int(counted.ancestors(level, np.asarray([code]), above)[0]) for above in range(k - 1, 0, -1)]
    run = queries.visits[level].run[found.visit[row]]
    return [int(queries.table.categories[run, above - 1]) for above in range(k - 1, 0, -1)]


def test_signals_are_those_of_the_visit(described, queries):
    for level, (found, columns, _) in described.items():
        signals = queries.visits[level].signals
        for place, name in enumerate(SIGNALS):
            expected = [signals[visit, place] if visit >= 0 else np.nan for visit in found.visit.tolist()]
            np.testing.assert_array_equal(columns[name], np.asarray(expected, dtype=np.float32))
        last = signals[:, len(SIGNALS) : len(SIGNALS) + queries.table.behaviors.shape[1]]
        there = found.visit >= 0
        for behavior in range(last.shape[1]):
            np.testing.assert_array_equal(
                columns[f"events of behavior {behavior}"][there], last[found.visit[there], behavior]
            )


def test_popularity_and_shares_of_it(described, counted, queries):
    for level, (found, columns, shares) in described.items():
        size = counted.levels[level].size
        for row in range(0, len(found), 7):
            if found.code[row] >= size:
                assert np.isnan(columns[f"{level} runs"][row])
                assert np.isnan(columns[f"{level} after current"][row])
                continue
            code, query = int(found.code[row]), int(found.query[row])
            here, runs = level, float(counted.levels[level].popularity[code])
            assert columns[f"{level} runs"][row] == pytest.approx(np.log1p(runs))
            for above, parent in zip(list(shares)[1:], path_of(counted, queries, level, found, row), strict=True):
                total = float(counted.levels[above].popularity[parent])
                assert columns[f"{above} runs"][row] == pytest.approx(np.log1p(total))
                assert columns[f"{above} share of it"][row] == pytest.approx(runs / total if total else 0)
                near = shares[above].matrix("recent", "before")[[query]].toarray()[0, parent]
                assert columns[f"{above} before recent"][row] == pytest.approx(near)
                runs = total
            near = shares[here].matrix("current", "after")[[query]].toarray()[0, code]
            assert columns[f"{here} after current"][row] == pytest.approx(near)
            support = shares[here].support[query, 0]
            assert columns["counts after current"][row] == pytest.approx(np.log1p(near * support), rel=1e-5)
            assert columns["counts after current of all"][row] == pytest.approx(np.log1p(support), rel=1e-5)


def test_categories_are_compared_with_those_of_the_session(described, counted, queries):
    for level, (found, columns, shares) in described.items():
        visits = queries.visits[level]
        for row in range(0, len(found), 11):
            query = int(found.query[row])
            mine = np.flatnonzero(visits.query == query)
            for above, category in zip(list(shares)[1:], path_of(counted, queries, level, found, row), strict=True):
                of_visits = queries.table.codes(above)[visits.run[mine]]
                weight = 1 / (1 + visits.since[mine])
                assert columns[f"{above} is current"][row] == (category == queries.current(above)[query])
                expected = weight[of_visits == category].sum() / weight.sum()
                assert columns[f"{above} share of visits"][row] == pytest.approx(expected, rel=1e-5)


def test_cosines_are_with_the_weighed_mean(described, counted, queries):
    found, columns, _ = described[ITEM]
    visits, vectors = queries.visits[ITEM], counted.vectors
    empty = 0
    for row in range(0, len(found), 9):
        mine = np.flatnonzero((visits.query == found.query[row]) & (visits.code < len(vectors)))
        for name, weigh in (("current", lambda n: float(n == 0)), ("recent", lambda n: 1 / (1 + n))):
            mean = sum((weigh(visits.since[n]) * vectors[visits.code[n]] for n in mine), np.zeros(vectors.shape[1]))
            value = columns[f"cosine {name}"][row]
            if found.code[row] >= len(vectors) or not np.linalg.norm(mean):
                assert np.isnan(value)
                empty += 1
            else:
                cosine = vectors[found.code[row]] @ mean / np.linalg.norm(mean)
                assert value == pytest.approx(cosine, abs=1e-5)
    assert empty


def test_the_session_is_told_to_all_of_its_candidates(described, queries):
    for level, (found, columns, _) in described.items():
        context = queries.visits[level].context
        np.testing.assert_array_equal(columns["distinct codes"], context[found.query, 1])
        assert "constant" not in columns
