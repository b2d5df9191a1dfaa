"""Time-ordered folds: what they judge, and that nothing of later is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hup
from hup.data.dataset import Dataset
from hup.data.folds import earlier, folds
from hup.recommender.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("folds")
    config = hup.SimulatorConfig(sessions=140, items=200, levels=2, mean_events=10, seed=4)
    hup.simulate(config, folder / "log.txt", format="jd")
    return hup.prepare(folder / "log.txt", out=folder / "dataset")


def divided(dataset: Dataset, train: int, validation: int) -> Dataset:
    """The same sessions, otherwise divided."""
    split = dataset.manifest.split
    bounds = split.bounds.model_copy(
        update={"train": (0, train), "validation": (train, validation), "test": (validation, len(dataset))}
    )
    return replace(
        dataset,
        manifest=dataset.manifest.model_copy(update={"split": split.model_copy(update={"bounds": bounds})}),
    )


def test_validation_comes_first_then_two_sevenths_of_training_back_in_time(dataset):
    found = folds(dataset, 1_000)
    assert dataset.sessions("validation") == range(98, 112)
    assert [fold.dataset.sessions("train") for fold in found] == [range(98), range(84), range(70)]
    assert [fold.sessions.tolist() for fold in found] == [list(range(n, n + 14)) for n in (98, 84, 70)]
    for fold in found:
        assert fold.dataset.sessions("test") == range(fold.sessions[0], fold.sessions[-1] + 1)
        assert len(fold.dataset.sessions("validation")) == 0


@pytest.mark.parametrize(
    ("enough", "expected"),
    [
        (14, [list(range(98, 112))]),
        (7, [list(range(98, 112, 2))]),
        (15, [list(range(98, 112)), [84]]),
        (42, [list(range(n, n + 14)) for n in (98, 84, 70)]),
    ],
)
def test_no_more_sessions_than_suffice_the_latest_first(dataset, enough, expected):
    assert [fold.sessions.tolist() for fold in folds(dataset, enough)] == expected


def test_without_a_validation_split_the_late_part_of_training_decides(dataset):
    assert [fold.dataset.sessions("test") for fold in folds(divided(dataset, 98, 98), 99)] == [
        *(range(84, 98), range(70, 84))
    ]


def test_a_log_of_a_few_sessions_has_no_folds(dataset):
    assert folds(divided(dataset, 6, 6), 99) == []


def test_codes_are_those_of_the_dataset_and_the_vocabulary_is_a_prefix(dataset):
    whole = Vocabulary.of(dataset)
    for fold in folds(dataset, 99)[1:]:
        start, end = fold.sessions[0], fold.sessions[-1] + 1
        found = Vocabulary.of(fold.dataset)
        n = len(found.items)
        trained = dataset.item[: dataset.offsets[start]]
        assert sorted(set(trained.tolist())) == list(range(n))
        assert n < len(whole.items)
        assert found.items == whole.items[:n]
        np.testing.assert_array_equal(found.paths, whole.paths[:n])
        for k in range(2):
            codes = set(dataset.taxonomy.paths[trained, k].tolist())
            assert codes == set(range(len(found.categories[k])))
            assert found.categories[k] == whole.categories[k][: len(codes)]
        assert found.counts["item"].sum() < whole.counts["item"].sum()
        assert len(fold.dataset) == end
        assert len(fold.dataset.user_codes) == end
        assert fold.dataset.session_name(int(start)) == dataset.session_name(int(start))


def test_nothing_of_later_is_in_a_fold(dataset):
    """Events and sessions end with the fold, so no model can read on."""
    fold = earlier(dataset, 70, 84)
    end = dataset.offsets[84]
    for name in ("item", "behavior", "interval", "dwell"):
        column = getattr(fold, name)
        assert len(column) == end
        np.testing.assert_array_equal(column, getattr(dataset, name)[:end])
        assert np.shares_memory(column, getattr(dataset, name))
    assert fold.offsets.tolist() == dataset.offsets[:85].tolist()
    assert len(fold.session_names) == 84


def test_a_fold_is_no_state_that_its_models_could_be_taken_for(dataset):
    prints = {dataset.fingerprint, *(fold.dataset.fingerprint for fold in folds(dataset, 99))}
    assert len(prints) == 4
    assert earlier(dataset, 70, 84).fingerprint == earlier(dataset, 70, 84).fingerprint
    assert earlier(dataset, 70, 84).manifest.lineage == []
