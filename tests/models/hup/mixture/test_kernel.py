"""The kernel's answer equals its twin's in NumPy, whoever asks, and sees what is changed."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import hup
from hup import native
from hup.data.dataset import Dataset
from hup.models.hup.live.state import ProfileState
from hup.models.hup.mixture.output import MixtureOutput
from hup.models.hup.mixture.single import tables
from hup.models.hup.mixture.single.answer import SingleAnswer, SingleMixture
from hup.models.hup.mixture.single.kernel import KernelAnswer
from hup.models.hup.mixture.single.runs import live_table
from hup.models.hup.model import HUP
from hup.sessions.levels import ITEM, Level
from hup.simulator import SimulatorConfig

from ....helpers.live_sessions import live_events
from ....helpers.mixtures import mixture, output_of

pytestmark = pytest.mark.skipif(native.load("single_answer") is None, reason="no C++ compiler is there")


@pytest.fixture(scope="module")
def looking_back(dataset) -> HUP:
    """A model that looks at earlier sessions, too."""
    model = mixture(dataset, "mixture.earlier=10", "mixture.visits=6")
    similar = output_of(model).network.similar
    assert similar is not None
    similar.cluster(torch.nn.functional.normalize(torch.randn_like(similar.kept), dim=1))
    output_of(model).network.weights.data[:] = torch.tensor([0.2, 0.0, 0.3, 0.7, 0.5])
    output_of(model).network.weights.data[0, 1] = 0.3
    return model


def both(output: MixtureOutput, state: ProfileState) -> tuple[KernelAnswer, SingleAnswer]:
    """Ask both twins."""
    network = output.network
    earlier = output._earlier(state) if network.most_earlier else None
    table = live_table(state, len(network.ranked) - 1, network.n_behaviors, earlier)
    of_levels = output.live.profiles(state, None) if network.has_profile else {}
    profiles = {Level(of): one for of, one in of_levels.items()}
    mixed = SingleMixture(network)
    assert mixed.kernel is not None
    return mixed.kernel.answer(table, profiles), SingleAnswer(mixed, table, profiles)


def assert_equal(kernel: KernelAnswer, numpy: SingleAnswer, levels: tuple[Level, ...]) -> int:
    """Compare all that an answer can be asked for; count what the sessions have beyond the vocabulary."""
    outside = 0
    for level in levels:
        found, expected = kernel.of(level), numpy.of(level)
        np.testing.assert_allclose(found.known, expected.known, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-5, atol=1e-7)
        assert found.code.tolist() == expected.code.tolist()
        mine, theirs = kernel.levels[level], numpy.levels[level]
        assert mine.runs == theirs.runs
        assert mine.shares() == pytest.approx(theirs.shares(), abs=1e-5)
        codes = [*np.argsort(-expected.known)[:15].tolist(), *found.code.tolist()]
        told, twice = mine.contributions(codes), theirs.contributions(codes)
        for name in ("total", "repeat", "memory", "profile"):
            np.testing.assert_allclose(getattr(told, name), getattr(twice, name), rtol=1e-5, atol=1e-7, err_msg=name)
        outside += len(found.code)
    return outside


def states_of(model: HUP, dataset, n: int) -> list[ProfileState]:
    """Sessions of the test split, each after the one before it; each begins at a later hour."""
    chosen = np.asarray(dataset.sessions("test"))[: n + 1].tolist()
    sessions = [
        [replace(event, timestamp=(event.timestamp or 0) + 1e6 * place) for event in live_events(dataset, one)]
        for place, one in enumerate(chosen)
    ]
    return [model.state(now, [before]) for before, now in pairwise(sessions)]


def test_both_answer_the_same(looking_back, dataset):
    output, outside = output_of(looking_back), 0
    for state in states_of(looking_back, dataset, 12):
        outside += assert_equal(*both(output, state), output.network.ranked)
    assert outside > 0


@pytest.fixture(scope="module")
def many_items(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("many")
    hup.simulate(SimulatorConfig(sessions=500, items=9000, levels=2, seed=4), folder / "log.txt", format="jd")
    return hup.prepare([folder / "log.txt"], format="jd", out=folder / "dataset")


@pytest.mark.parametrize("coarse_from", [1, 1 << 14])
def test_both_answer_the_same_of_items_that_fill_several_blocks(many_items, monkeypatch, coarse_from):
    """Likings are taken block by block, as exponentials of what is left of the greatest so far."""
    monkeypatch.setattr(tables, "COARSE_FROM", coarse_from)
    model = mixture(many_items, "mixture.earlier=10")
    network, coarse = output_of(model).network, coarse_from == 1
    # What is next to the last candidate of the order may change places with it where likings are coarse.
    network.weights.data[:] = torch.tensor([0.6, 0.0, 0.8, 0.0 if coarse else 0.7, 0.5])
    block, greatest = 1024, set()
    assert 2 * block < network.co_visits[ITEM].size < 1 << 14
    table = network.pyramid.target_table(ITEM)
    table.weight.data[block:].normal_()  # so that some of them are liked most
    vectors = table.vectors().detach()
    for state in states_of(model, many_items, 20):
        kernel, numpy = both(output_of(model), state)
        for level in network.ranked:
            found, expected = kernel.of(level), numpy.of(level)
            room = {"rtol": 0.0, "atol": 2e-5} if coarse else {"rtol": 1e-5, "atol": 1e-7}
            np.testing.assert_allclose(found.known, expected.known, **room)
        profile = output_of(model).live.profiles(state, None)[ITEM]
        greatest.add(int((vectors @ torch.from_numpy(profile)).argmax()) // block)
    assert len(greatest) > 1


def test_both_answer_the_same_without_profiles(dataset):
    model = mixture(dataset, "mixture.profile=false", "mixture.earlier=10", "mixture.visits=6")
    for state in states_of(model, dataset, 12):
        assert_equal(*both(output_of(model), state), output_of(model).network.ranked)


def test_both_answer_the_same_when_the_order_moves_nearly_all(dataset):
    """What a category has left when its likeliest items fall is told to many digits."""
    model = mixture(dataset, "mixture.earlier=10", "mixture.visits=6")
    network = output_of(model).network
    network.weights.data[:, 3:] = torch.tensor([0.0, 0.5])
    network.weigh(ITEM, reranking=1.0)
    list(network.reranker(ITEM).parameters())[-1].data.mul_(200)
    highest = []
    for state in states_of(model, dataset, 12):
        kernel, numpy = both(output_of(model), state)
        for level in network.ranked:
            found, expected = kernel.of(level), numpy.of(level)
            np.testing.assert_allclose(found.known, expected.known, rtol=1e-3, atol=1e-7)
            np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-3, atol=1e-7)
        highest.append(max(one.max(initial=0) for one in (expected.known, expected.probability)))
    assert np.mean(highest) > 0.5  # levels of categories hold it back


def test_the_first_event_of_all_is_answered(looking_back, dataset):
    """Nothing but the item that the user is on: a known one, and one of which nothing is known."""
    for item in (looking_back.vocabulary.items[0], "never seen"):
        state = looking_back.update(None, {"item": item, "behavior": "no such behavior"})
        assert_equal(*both(output_of(looking_back), state), output_of(looking_back).network.ranked)


def test_what_is_changed_in_place_is_seen(dataset):
    model = mixture(dataset)
    output, state = output_of(model), model.state(live_events(dataset, int(dataset.sessions("test")[0])))
    network = output.network
    reranker, similar, table = network.reranker(ITEM), network.similar, network.pyramid.target_table(ITEM)
    assert similar is not None
    similar.cluster(torch.nn.functional.normalize(torch.randn_like(similar.kept), dim=1))
    network.weights.data[:] = torch.tensor([0.3, 0.0, 0.2, 1.0, 0.5])
    network.weights.data[0, 1] = 0.3
    before = output.asked(state, None)[0].of(ITEM).known.copy()
    for place, change in enumerate(
        (
            lambda: network.mixture(ITEM).pointer.rule.weight.data.mul_(0.5),
            lambda: network.weights.data.mul_(0.8),
            lambda: reranker.settle(torch.randn(50, len(reranker.mean))),
            lambda: similar.cluster(torch.nn.functional.normalize(torch.randn_like(similar.kept), dim=1)),
            lambda: table.weight.mul_(1.5),
            lambda: network.pyramid.levels["item"].head.weight.data.mul_(2),
        )
    ):
        with torch.no_grad():
            change()
        output._latest = None
        after = output.asked(state, None)[0]
        assert isinstance(after, KernelAnswer)
        _, expected = both(output, state)
        np.testing.assert_allclose(
            after.of(ITEM).known, expected.of(ITEM).known, rtol=1e-5, atol=1e-7, err_msg=f"change {place}"
        )
    assert not np.allclose(before, expected.of(ITEM).known, rtol=1e-2)


def test_threads_ask_one_model_at_once(looking_back, dataset):
    states = states_of(looking_back, dataset, 8) * 4
    alone = [looking_back.recommend(state).to_dict() for state in states]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda state: looking_back.recommend(state).to_dict(), states)) == alone


def test_a_forked_child_answers(looking_back, dataset):
    state = states_of(looking_back, dataset, 1)[0]
    expected = looking_back.recommend(state).to_dict()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(looking_back.recommend(state).to_dict()))
    child.start()
    assert queue.get() == expected
    child.join()
    assert child.exitcode == 0
