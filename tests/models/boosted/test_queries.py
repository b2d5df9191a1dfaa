from __future__ import annotations

import numpy as np

from hup.models.boosted.queries import Queries, prefixes
from hup.models.hup.mixture.visits import run_table, spread, visits_of
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ranked_levels


def test_a_prefix_is_asked_as_the_mixture_asks_at_its_run(dataset):
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    table = run_table(histories, len(dataset.behaviors))
    at = spread(table.offsets, 3)
    queries = Queries.of(prefixes(table, at), most=7)
    for level in ranked_levels(dataset.levels):
        everywhere, asked = visits_of(table, level, most=7), queries.visits[level]
        kept = np.isin(everywhere.query, at)
        assert everywhere.code[kept].tolist() == asked.code.tolist()
        assert at[asked.query].tolist() == everywhere.query[kept].tolist()
        np.testing.assert_allclose(asked.signals, everywhere.signals[kept], atol=1e-6)
        np.testing.assert_allclose(asked.context, everywhere.context[at], atol=1e-6)
        assert (asked.since == 0).tolist() == asked.is_current.tolist()
        assert queries.current(level).tolist() == table.codes(level)[at].tolist()


def test_since_counts_from_the_latest_visit(queries):
    for visits in queries.visits.values():
        for query in range(len(queries)):
            mine = visits.since[visits.query == query]
            assert mine.tolist() == list(range(len(mine)))[::-1]
