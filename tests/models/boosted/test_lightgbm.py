from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hup.data.dataset import Dataset
from hup.models.boosted.candidates import candidates_of
from hup.models.boosted.counted import shares_of
from hup.models.boosted.model import LightGBM
from hup.recommender.popularity import popularity_grades
from hup.sessions.batches import Histories, histories_and_targets

from ...helpers.returning_users import returning_users


@pytest.fixture(scope="module")
def model(dataset, quick) -> LightGBM:
    return LightGBM(quick).fit(dataset)


@pytest.fixture(scope="module")
def given(dataset) -> Histories:
    return histories_and_targets(dataset, np.asarray(dataset.sessions("test")))[0]


def test_candidates_come_first_and_then_what_is_popular(model, given, counted, queries, vocabulary, quick):
    assert set(model.metrics["trees"]) == set(model.levels)
    for level in model.levels:
        scores = model.score(given, level)
        grades = popularity_grades(vocabulary, level)
        found = candidates_of(
            counted,
            queries,
            shares_of(counted, queries, level, quick.latest)[level],
            level,
            most=quick.candidates,
            popular=quick.popular,
            no_category=vocabulary.no_category,
        )
        for row in range(len(given)):
            codes = set(found.code[found.query == row].tolist())
            is_candidate = torch.tensor([code in codes for code in range(len(grades))])
            known = scores.known[row]
            assert (known[is_candidate] > 1).all()
            assert (known[~is_candidate] < 1).all()
            rest = known[~is_candidate]
            assert torch.equal(rest.argsort(stable=True), grades[~is_candidate].argsort(stable=True))
            for code, score in zip(scores.own_codes[row].tolist(), scores.own[row].tolist(), strict=True):
                assert code < 0 or (score > 1) == (code in codes)
    assert (model.score(given, "item").own > 1).any()


def test_the_seed_decides(model, dataset, quick):
    again, other = (LightGBM(quick.changed([f"seed={seed}"])).fit(dataset) for seed in (0, 5))
    tensors = model.tensors()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in again.tensors().items())
    assert not torch.equal(other.tensors()["trees.item"], tensors["trees.item"])


def test_without_a_validation_split(dataset, quick):
    bounds = dataset.manifest.split.bounds
    start = bounds.validation[0]
    split = dataset.manifest.split.model_copy(
        update={"bounds": bounds.model_copy(update={"validation": (start, start), "test": (start, bounds.test[1])})}
    )
    bare: Dataset = replace(dataset, manifest=dataset.manifest.model_copy(update={"split": split}))
    assert len(bare.sessions("validation")) == 0
    model = LightGBM(quick).fit(bare)
    assert set(model.metrics["trees"]) == set(model.levels)


def test_where_no_answer_is_known_visits_come_first(dataset, given, quick):
    """Nothing can be learned then: the only session is described by no other."""
    bounds = dataset.manifest.split.bounds
    split = dataset.manifest.split.model_copy(
        update={"bounds": bounds.model_copy(update={"train": (0, 1), "validation": (1, bounds.validation[1])})}
    )
    first = range(int(dataset.offsets[1]))
    n_items = int(dataset.item[first].max()) + 1
    n_categories = (dataset.taxonomy.paths[:n_items].max(axis=0) + 1).tolist()
    train = dataset.manifest.train.model_copy(update={"items": n_items, "categories": n_categories})
    one: Dataset = replace(dataset, manifest=dataset.manifest.model_copy(update={"split": split, "train": train}))
    model = LightGBM(quick).fit(one)
    for level in model.levels:
        assert torch.isfinite(model.score(given, level).known).all()


def test_earlier_sessions_of_a_user_are_looked_at(quick, tmp_path):
    """A candidate of an earlier session has its signals; without a dataset there are none to look up."""
    users = returning_users(tmp_path / "users")
    seeing, blind = (LightGBM(quick.changed([f"earlier={most}"])).fit(users) for most in (128, 0))
    session = int(np.flatnonzero(users.session_before >= 0)[-1])
    histories = histories_and_targets(users, np.asarray([session]))[0]
    alone = replace(histories, dataset=None, index=None)
    assert not torch.equal(seeing.score(histories, "item").known, seeing.score(alone, "item").known)
    assert torch.equal(blind.score(histories, "item").known, blind.score(alone, "item").known)
    seeing.save_pretrained(tmp_path / "model")
    again = LightGBM.from_pretrained(tmp_path / "model")
    assert torch.equal(again.score(histories, "item").known, seeing.score(histories, "item").known)
