"""What trees learn from: which queries, how they weigh, and that nothing tells what came next in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hup.data.dataset import Dataset
from hup.models.boosted import groups as module
from hup.models.boosted.counted import Counted
from hup.models.boosted.groups import Groups, training_groups, validation_groups, weights
from hup.sessions.batches import histories_and_targets
from hup.sessions.left_out import newest_first
from hup.sessions.levels import ITEM, ranked_levels
from hup.sessions.runs import training_runs


def with_other_targets(dataset: Dataset, sessions: range, rank: int) -> Dataset:
    """The same histories, each followed by a popular item that its session has not been on: the ``rank``-th such."""
    item = dataset.item.copy()
    ranked = np.argsort(-np.bincount(item[: dataset.offsets[dataset.sessions("train").stop]]), kind="stable")
    for session in sessions:
        low, high = dataset.offsets[session : session + 2]
        events = item[low:high]
        last = np.flatnonzero(events != events[-1])[-1] + 1
        item[low + last : high] = ranked[~np.isin(ranked, events)][rank]
    return replace(dataset, item=item)


def ends(dataset: Dataset, vocabulary, config, level) -> Groups:
    """Ends of the sessions of the newest fold, among all codes."""
    newest = len(newest_first(len(dataset.sessions("train")), config.folds)[0])
    every = config.changed(["prefixes=1", f"queries={newest}", "candidates=10000", "popular=10000"])
    parts = training_groups(dataset, vocabulary, every, level)
    assert sum(len(part.sizes) for part in parts) == newest
    return Groups(
        parts[0].names,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("features", "is_next", "sizes", "is_end")
        ),
    )


def test_what_came_next_changes_no_description(dataset, vocabulary, quick, monkeypatch):
    newest = newest_first(len(dataset.sessions("train")), quick.folds)[0]
    one, other = (with_other_targets(dataset, newest, rank) for rank in (0, 1))
    for level in ranked_levels(dataset.levels):
        first, second = (ends(log, vocabulary, quick, level) for log in (one, other))
        np.testing.assert_array_equal(first.features, second.features)
        np.testing.assert_array_equal(first.sizes, second.sizes)
        if level == ITEM:
            assert not (first.is_next & second.is_next).any()

    class Everything(Counted):
        @classmethod
        def of(cls, dataset, vocabulary, config, finest, left_out=range(0)):
            return Counted.of(dataset, vocabulary, config, finest)

    monkeypatch.setattr(module, "Counted", Everything)  # the test can fail
    assert not np.array_equal(*(ends(log, vocabulary, quick, ITEM).features for log in (one, other)), equal_nan=True)


def test_every_session_is_described_by_the_others(dataset, vocabulary, quick, monkeypatch):
    asked, left_out = [], []

    def note(dataset, sessions, counted, config, level):
        asked.append(sessions)
        return []

    def counting(*_, left_out: range):
        left.append(left_out)

    left = left_out
    monkeypatch.setattr(module, "_groups", note)
    monkeypatch.setattr(module.Counted, "of", counting)
    training_groups(dataset, vocabulary, quick, ITEM)
    assert asked == left == newest_first(len(dataset.sessions("train")), quick.folds)


@pytest.mark.parametrize("prefixes", [1, 4])
def test_queries_are_those_of_the_newest_sessions(dataset, vocabulary, quick, monkeypatch, prefixes):
    asked: list[range] = []
    monkeypatch.setattr(module, "_groups", lambda _, sessions, *__: asked.append(sessions) or [])
    lengths = np.minimum(np.diff(training_runs(dataset, ITEM)[1]) - 1, prefixes)
    for most in (1, 40, 60, 10**6):
        asked.clear()
        training_groups(dataset, vocabulary, quick.changed([f"queries={most}", f"prefixes={prefixes}"]), ITEM)
        sessions = sorted(session for part in asked for session in part)
        assert sessions == list(range(len(lengths) - len(sessions), len(lengths))), "without a gap, to the newest"
        assert lengths[sessions].sum() <= most
        if len(sessions) < len(lengths):
            assert lengths[-len(sessions) - 1 :].sum() > most


def test_groups_hold_what_came_next(dataset, vocabulary, counted, quick):
    validation = dataset.sessions("validation")
    histories, targets = histories_and_targets(dataset, np.asarray(validation))
    for level in ranked_levels(dataset.levels):
        every = quick.changed(["prefixes=1", "candidates=10000", "popular=10000"])
        parts = validation_groups(dataset, counted, every, level)
        known = (targets.codes(level) < vocabulary.size(level)) | (targets.codes(level) == -2)
        at_least = int(known.sum())
        assert at_least <= sum(len(part.sizes) for part in parts) <= len(validation)
        for part in parts:
            group = np.repeat(np.arange(len(part.sizes)), part.sizes)
            assert (np.bincount(group, part.is_next) == 1).all(), "one answer each"
            assert part.is_end.all()
            assert len(part.features) == len(part.is_next) == part.sizes.sum()
            assert part.features.shape[1] == len(part.names)
        assert len(histories) == len(validation)


def test_of_many_validation_sessions_some_are_asked(dataset, counted, quick, monkeypatch):
    asked: list[range] = []
    monkeypatch.setattr(module, "_groups", lambda _, sessions, *__: asked.append(sessions) or [])
    validation = dataset.sessions("validation")
    validation_groups(dataset, counted, quick.changed(["queries=60", "prefixes=10"]), ITEM)
    validation_groups(dataset, counted, quick, ITEM)
    assert len(asked[0]) <= 6 < len(asked[1])
    assert set(asked[0]) < set(asked[1])
    assert list(asked[1]) == list(validation)


def test_weights_of_queries():
    def part(sizes, is_end) -> Groups:
        nothing = np.zeros((sum(sizes), 0), dtype=np.float32)
        return Groups([], nothing, np.zeros(sum(sizes), dtype=bool), np.asarray(sizes), np.asarray(is_end))

    groups = [part([2, 1], [True, False]), part([1, 3], [False, False])]
    # Four queries, one of them an end: half of all weight is the end's alone.
    assert weights(groups, 0.5).tolist() == [2.5, 2.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert weights(groups, 1.0).tolist() == [1.0] * 7
    assert weights(groups, 0.0).tolist() == [4.0, 4.0, 0, 0, 0, 0, 0]
    assert weights(groups[1:], 0.5).tolist() == [0.5] * 4
