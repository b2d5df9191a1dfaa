"""What users did in sessions before: the same in batches and live, nothing of the time after, and off where it is 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hup import HUP
from hup.data.dataset import Dataset
from hup.models.hup.mixture.visits import last_runs, run_table
from hup.sessions.batches import histories_and_targets
from hup.sessions.events import Event
from hup.sessions.levels import Level

from ....helpers.live_sessions import live_events
from ....helpers.mixtures import mixture, output_of
from ....helpers.returning_users import before, returning_users

ON = "mixture.earlier=20"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return returning_users(tmp_path_factory.mktemp("users"))


def on_the_clock(dataset: Dataset, session: int) -> list[Event]:
    """Events of a session with the times of the log."""
    start = dataset.session_times(session)[0] / 1000
    return [replace(event, timestamp=start + event.timestamp) for event in live_events(dataset, session)]


def test_live_states_are_asked_as_batches_are(dataset):
    model = mixture(dataset, ON)
    for session in np.asarray(dataset.sessions("test"))[:12].tolist():
        histories, _ = histories_and_targets(dataset, np.asarray([session]))
        events = on_the_clock(dataset, session)[: len(histories.item)]
        state = model.state(events, earlier=[on_the_clock(dataset, one) for one in before(dataset, session)])
        for level in model.levels:
            known = model.score(histories, level).known[0]
            ranked = {one.name: one.score for one in model.recommend(state, level, k=40).ranked if len(one.path) < 3}
            for code, value in enumerate(known.tolist()):
                name = model.vocabulary.items[code] if level == "item" else None
                if name in ranked:
                    assert ranked[name] == pytest.approx(value, abs=1e-4)
            best = known.clone()
            if level == "item" and int(histories.item[-1]) < len(best):
                best[histories.item[-1]] = -1
            assert max(ranked.values()) >= float(best.max()) - 1e-4


def test_a_recommendation_may_come_from_an_earlier_session(dataset):
    model = mixture(dataset, ON)
    found = 0
    for session in np.asarray(dataset.sessions("test")).tolist():
        events = on_the_clock(dataset, session)[:1]
        earlier = [on_the_clock(dataset, one) for one in before(dataset, session)]
        theirs = {event.item for one in earlier for event in one} - {events[0].item}
        for one in model.recommend(model.state(events, earlier), k=30).ranked:
            found += one.origin.repeat > 0 and one.name in theirs
            assert one.origin.repeat == 0 or one.name in theirs
        alone = model.recommend(model.state(events), k=30).ranked
        assert all(one.origin.repeat == 0 for one in alone), "a session of one item has nothing to repeat"
    assert found > 10


def test_every_prefix_is_asked_as_its_end_would_be(dataset):
    """In training and at the end of a session visits and signals are the same."""
    network = output_of(mixture(dataset, ON)).network
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("train")))
    table = run_table(histories, network.n_behaviors)
    wide = network.with_earlier(table, histories)
    assert (~wide.is_now).any()
    assert wide.is_now.sum() == len(table.item)
    assert wide.item[wide.is_now].tolist() == table.item.tolist()
    for level in map(Level, ("item", "category_2", "category_1")):
        every, ends = network.visits(wide, level), network.visits(wide, level, last_runs(wide))
        assert len(every.query_run) == len(table.item)
        at = np.isin(every.query, last_runs(table))
        for name in ("code", "is_open", "is_current", "signals"):
            np.testing.assert_array_equal(getattr(every, name)[at], getattr(ends, name))
        np.testing.assert_array_equal(every.context[last_runs(table)], ends.context)


def test_sessions_after_it_change_nothing(dataset):
    """Nor do those that go on beside it."""
    model = mixture(dataset, ON)
    sessions = np.asarray(dataset.sessions("validation"))
    session = int(sessions[0])
    mine = {session, *before(dataset, session)}
    item = dataset.item.copy()
    rng = np.random.default_rng(0)
    for other in range(len(dataset)):
        if other not in mine:
            at = slice(*dataset.offsets[other : other + 2])
            item[at] = rng.integers(0, dataset.n_train_items, at.stop - at.start)
    for level in model.levels:
        said = [
            model.score(histories_and_targets(of, np.asarray([session]))[0], level).known
            for of in (dataset, replace(dataset, item=item))
        ]
        assert torch.equal(*said)


def test_without_it_earlier_sessions_change_nothing(dataset):
    model = mixture(dataset, "mixture.earlier=0")
    assert not model.output.looks_back
    session = int(np.flatnonzero(dataset.session_before >= 0)[-1])
    events = on_the_clock(dataset, session)[:2]
    earlier = [on_the_clock(dataset, one) for one in before(dataset, session)]
    assert model.recommend(model.state(events, earlier), k=20) == model.recommend(model.state(events), k=20)


def test_attention_is_of_the_session_itself(dataset):
    model = mixture(dataset, ON)
    session = int(np.flatnonzero(dataset.session_before >= 0)[-1])
    histories, _ = histories_and_targets(dataset, np.asarray([session]))
    for column in model.attention(histories):
        assert len(column.weights) == len(column.first)
        assert int(column.last.max()) == len(histories.item) - 1
        assert 0 < float(column.weights.sum()) < 1


def test_the_log_decides_whether_they_are_looked_at(dataset, tmp_path):
    """Where hardly a training session has one before, there is nothing to learn what to make of them from."""
    assert mixture(dataset).output.looks_back
    once = returning_users(tmp_path / "once", users=30, sessions=1)
    assert not mixture(once).output.looks_back
    model = mixture(once)
    events = [{"item": "i1", "behavior": "view"}]
    assert model.recommend(model.state(events, [[{"item": "i2", "behavior": "view"}]])) == model.recommend(events)


def test_a_model_folder_says_it(dataset, tmp_path):
    model = mixture(dataset)
    model.save_pretrained(tmp_path / "model")
    assert HUP.from_pretrained(tmp_path / "model").output.looks_back
