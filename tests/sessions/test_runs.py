"""Runs of histories and of the training split, against a plain loop over events."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hup
from hup.data.dataset import Dataset
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.runs import run_counts, runs_of, training_runs
from hup.simulator import SimulatorConfig

LEVELS = ("item", "category_1", "category_2")


@st.composite
def histories(draw) -> Histories:
    """Codes are few, so runs are long; some times are not known."""
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    n = sum(lengths)
    paths = [(0, 0), (0, 1), (1, 2), (-1, -1)]
    item = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    times = st.lists(st.integers(0, 50) | st.just(float("nan")), min_size=n, max_size=n)
    return Histories(
        offsets=torch.tensor([0, *itertools.accumulate(lengths)]),
        item=torch.tensor(item),
        categories=torch.tensor([paths[code] for code in item]),
        behavior=torch.zeros(n, dtype=torch.long),
        interval=torch.tensor(draw(times), dtype=torch.float32),
        dwell=torch.tensor(draw(times), dtype=torch.float32),
    )


@given(given_histories=histories(), level=st.sampled_from(LEVELS))
def test_runs_are_those_of_a_plain_loop(given_histories, level):
    item, codes = given_histories.item.tolist(), given_histories.codes(level).tolist()
    expected, counts = [], []
    for low, high in itertools.pairwise(given_histories.offsets.tolist()):
        grouped = [list(group) for _, group in itertools.groupby(range(low, high), key=lambda e: codes[e])]
        counts.append(len(grouped))
        for events in grouped:
            visits = [list(visit) for _, visit in itertools.groupby(events, key=lambda e: item[e])]
            dwell = sum(float(given_histories.dwell[visit[-1]]) for visit in visits)
            interval = float(given_histories.interval[events[-1]])
            expected.append((codes[events[0]], events[0], events[-1], interval, dwell))
    found = runs_of(given_histories, level)
    assert found.lengths().tolist() == counts
    assert found.history().tolist() == [row for row, count in enumerate(counts) for _ in range(count)]
    columns = (found.codes, found.first, found.last, found.interval, found.dwell)
    np.testing.assert_allclose(np.stack([column.double().numpy() for column in columns], axis=1), np.array(expected))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("runs")
    hup.simulate(
        SimulatorConfig(sessions=60, items=40, levels=2, mean_events=9, seed=1), folder / "log.txt", format="jd"
    )
    return hup.prepare(folder / "log.txt", out=folder / "dataset")


@pytest.mark.parametrize("level", LEVELS)
def test_training_runs_are_the_histories_and_their_targets(dataset, level):
    codes, offsets = training_runs(dataset, level)
    assert len(offsets) == len(dataset.sessions("train")) + 1
    for number, session in enumerate(dataset.sessions("train")):
        history, target = histories_and_targets(dataset, np.array([session]))
        runs = runs_of(history, level).codes.tolist()
        if runs[-1] != int(target.codes(level)):
            runs.append(int(target.codes(level)))
        assert codes[offsets[number] : offsets[number + 1]].tolist() == runs


@pytest.mark.parametrize("level", LEVELS)
def test_codes_of_a_level_at_every_item_run(dataset, level):
    codes, offsets = training_runs(dataset, level, of="item")
    items, expected = training_runs(dataset, "item")
    assert offsets.tolist() == expected.tolist()
    assert codes.tolist() == (items if level == "item" else dataset.taxonomy.paths[items, int(level[-1]) - 1]).tolist()


@pytest.mark.parametrize("level", LEVELS)
def test_counts_are_those_of_the_training_runs(dataset, level):
    counts = run_counts(dataset, level)
    assert counts.tolist() == np.bincount(training_runs(dataset, level)[0], minlength=len(counts)).tolist()
