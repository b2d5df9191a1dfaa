"""What one user is answered, by a kernel or in NumPy, equals what the network answers a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.models.hup.mixture.single.answer import SingleAnswer
from hup.models.hup.mixture.single.kernel import KernelAnswer
from hup.models.hup.mixture.single.runs import visits_at_end
from hup.models.hup.mixture.visits import RunTable, last_runs, visits_of
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import Level, ranked_levels

from ....helpers.live_sessions import live_events
from ....helpers.mixtures import mixture, output_of

RUNS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.floats(0, 500, width=32)), min_size=1, max_size=12)


@given(runs=RUNS, n_earlier=st.integers(0, 5), most=st.integers(1, 14), looks_back=st.booleans())
def test_visits_at_the_end_are_those_of_the_last_query(runs, n_earlier, most, looks_back):
    item = np.asarray([run[0] for run in runs])
    n_earlier = min(n_earlier, len(runs) - 1)
    earlier = np.zeros((len(runs), 2), dtype=np.float32)
    earlier[:n_earlier] = np.column_stack([np.arange(n_earlier, 0, -1), np.arange(n_earlier) * 100.0])
    table = RunTable(
        offsets=np.asarray([0, len(runs)]),
        item=item,
        categories=np.column_stack([item % 2, item % 4]),
        events=np.asarray([run[1] for run in runs], dtype=np.float32),
        dwell=np.asarray([run[2] for run in runs], dtype=np.float32),
        behaviors=np.asarray([(run[1] - 1, 1) for run in runs], dtype=np.float32),
        earlier=earlier if looks_back else None,
    )
    for level in ranked_levels(2):
        all_at_once = visits_of(table, level, last_runs(table), most=most)
        one = visits_at_end(table, level, most=most)
        for name in ("run", "query", "code", "is_open", "is_current", "query_run"):
            assert getattr(one, name).tolist() == getattr(all_at_once, name).tolist(), name
        np.testing.assert_allclose(one.signals, all_at_once.signals, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(one.context, all_at_once.context, rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("mixture.profile=false",),
        ("mixture.similar=0", "mixture.reranked=0"),
        ("mixture.repeat=false",),
        ("mixture.memory=false",),
        ("mixture.visits=3", "mixture.reranked=1000"),
    ],
)
def test_one_user_is_answered_as_in_a_batch(dataset, changes, twin):
    """With weights at random; test sessions have items and categories that the vocabulary lacks."""
    torch.manual_seed(1)
    model = mixture(dataset, *changes)
    model.tune(dataset)
    output = output_of(model)
    for parameter in output.network.parameters():
        if parameter.ndim > 1:
            parameter.data.uniform_(-0.3, 0.3)
    output.network.weights.data.uniform_(0.05, 0.45)
    if output.network.similar is not None:
        output.network.weights.data[1:, 1] = 0  # of categories nothing similar is kept
    outside = 0
    for session in np.asarray(dataset.sessions("test"))[:8].tolist():
        histories, _ = histories_and_targets(dataset, np.asarray([session]))
        batch = output.ask(histories)
        state = model.state(live_events(dataset, session)[: len(histories.item)])
        one, _ = output.asked(state, None)
        assert isinstance(one, KernelAnswer if twin == "kernel" else SingleAnswer)
        for level in map(Level, model.levels):
            with torch.inference_mode():
                expected = batch.of(level)
            found = one.of(level)
            np.testing.assert_allclose(found.known, expected.known[0], rtol=1e-5, atol=1e-7)
            assert len(found.code) == len(expected.code)  # live they have numbers of their own
            np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-5, atol=1e-7)
            assert one.levels[level].shares() == pytest.approx(batch.answers[level].shares(), abs=1e-5)
            outside += len(found.code)
    assert outside > 0 or "mixture.repeat=false" in changes
