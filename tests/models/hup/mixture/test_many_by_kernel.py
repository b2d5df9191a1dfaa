"""Answers to many by the kernel that answers one: the same as those of tensors, at all levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.models.hup.mixture.single import many
from hup.native import load
from hup.recommender.candidates import LevelScores
from hup.sessions.batches import Histories, whole_sessions

from ....helpers.mixtures import mixture, output_of
from ....helpers.returning_users import returning_users

pytestmark = pytest.mark.skipif(load("single_answer") is None, reason="no C++ compiler")


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.allclose(one, other, atol=2e-6, rtol=2e-3))


def held_equal(model, histories: Histories) -> None:
    quick, exact = model.quick_scores(histories), model.scores(histories)
    for level in model.levels:
        one, other = quick[level], exact[level]
        assert torch.equal(one.own_codes, other.own_codes)
        assert close(one.known, other.known)
        assert close(one.own, other.own)
        origins_held_equal(quick, exact, level, one.known)


def origins_held_equal(quick: LevelScores, exact: LevelScores, level: str, known: torch.Tensor) -> None:
    row = torch.arange(len(known)).repeat_interleave(3)
    code = known.topk(3, dim=1).indices.flatten()
    shuffled = torch.randperm(len(row), generator=torch.Generator().manual_seed(0))
    said = [scores.origins(level, row[shuffled], code[shuffled]) for scores in (quick, exact)]
    torch.testing.assert_close(*said, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(said[0].sum(dim=1), torch.ones(len(row)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("changes", [(), ("mixture.profile=false",), ("mixture.reranked=0",)])
def test_they_are_those_of_tensors(dataset, changes, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        held_equal(mixture(dataset, *changes), whole_sessions(dataset, np.asarray(dataset.sessions("test")), "mask"))
    finally:
        torch.set_num_threads(before)


def test_they_see_earlier_sessions(tmp_path):
    dataset = returning_users(tmp_path / "users")
    model = mixture(dataset)
    histories = whole_sessions(dataset, np.asarray(dataset.sessions("test")), "mask")
    held_equal(model, histories)
    blind = mixture(dataset, "mixture.earlier=0")
    assert not close(model.quick_scores(histories)["item"].known, blind.quick_scores(histories)["item"].known)


def test_a_table_for_many_is_made_by_them(dataset, monkeypatch):
    model = mixture(dataset)
    made = []
    before = many.KernelAnswers.scores
    monkeypatch.setattr(many.KernelAnswers, "scores", lambda self, histories: made.append(1) or before(self, histories))
    table = model.recommend_many(dataset, sessions="all", k=5)
    assert made
    monkeypatch.setattr(output_of(model)._single, "kernel", None)
    made.clear()
    twin = model.recommend_many(dataset, sessions="all", k=5)
    assert not made
    assert table.drop_columns(["score", "origin"]).equals(twin.drop_columns(["score", "origin"]))
    np.testing.assert_allclose(table["score"].to_numpy(), twin["score"].to_numpy(), atol=2e-6, rtol=2e-3)
