"""Which sessions a user had before, and what is in them, against a plain loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from hup.data.dataset import Dataset
from hup.sessions.earlier import earlier_sessions

from ..helpers.returning_users import before, returning_users


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return returning_users(tmp_path_factory.mktemp("users"))


def test_the_session_before_is_the_last_one_that_had_ended(dataset):
    expected = [(before(dataset, session) or [-1])[-1] for session in range(len(dataset))]
    assert dataset.session_before.tolist() == expected
    overlapping = [
        session
        for session in range(len(dataset))
        for other in range(len(dataset))
        if session != other
        and dataset.session_user(session) == dataset.session_user(other)
        and dataset.session_times(other)[0] < dataset.session_times(session)[0] <= dataset.session_times(other)[1]
    ]
    assert overlapping, "otherwise nothing is shown of sessions side by side"


def n_runs(dataset: Dataset, session: int) -> int:
    items = dataset.item[dataset.offsets[session] : dataset.offsets[session + 1]].tolist()
    return sum(1 for _ in itertools.groupby(items))


@pytest.mark.parametrize("most", [1, 10, 10_000])
def test_it_goes_back_until_there_are_enough_runs(dataset, most):
    sessions = np.random.default_rng(0).permutation(len(dataset))[:40]
    found = earlier_sessions(dataset, sessions, most)
    expected = []
    for row, session in enumerate(sessions.tolist()):
        of_row, runs = [], 0
        for ago, one in enumerate(before(dataset, session)[::-1], 1):
            if runs >= most:
                break
            runs += n_runs(dataset, one)
            age = (dataset.session_times(session)[0] - dataset.session_times(one)[1]) / 1000
            of_row.append((row, ago, pytest.approx(age), one))
        expected += of_row[::-1]
    assert (
        list(zip(found.row.tolist(), found.ago.tolist(), found.age.tolist(), found.events.index.tolist(), strict=True))
        == expected
    )


def test_a_log_that_names_no_users_has_no_earlier_sessions(shops):
    dataset = shops[1]
    assert dataset.n_users is None
    assert (dataset.session_before == -1).all()
    assert earlier_sessions(dataset, np.arange(5), 100) is None


def test_what_is_told_of_events_is_what_the_dataset_has(dataset):
    session = int(np.flatnonzero(dataset.session_before >= 0)[-1])
    found = earlier_sessions(dataset, np.asarray([session]), 1)
    at = slice(*dataset.offsets[dataset.session_before[session] :][:2])
    assert found.events.behavior.tolist() == dataset.behavior[at].tolist()
    torch.testing.assert_close(found.events.dwell, torch.from_numpy(dataset.dwell[at].copy()), equal_nan=True)
    assert found.events.categories.tolist() == dataset.taxonomy.paths[dataset.item[at]].tolist()
