"""The mixture: probabilities that sum to 1, the same in training, in batches and live, and rules before training."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from hup.config import Config
from hup.errors import HupError
from hup.models.hup.mixture.co_visits import CoVisits, count_co_visits
from hup.models.hup.mixture.likelihood import last_events
from hup.models.hup.model import HUP
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM, Level
from hup.sessions.runs import training_runs

from ....helpers.live_sessions import live_events
from ....helpers.mixtures import QUICK, mixture, output_of, said_in_training


@pytest.mark.parametrize(
    "parts", [(), ("mixture.repeat=false",), ("mixture.memory=false",), ("mixture.profile=false",)]
)
def test_all_that_can_come_next_sums_to_one(dataset, parts):
    model = mixture(dataset, *parts)
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    for level in model.levels:
        scores = model.score(histories, level)
        total = scores.known.sum(dim=1) + torch.where(scores.own_codes >= 0, scores.own, 0).sum(dim=1)
        assert (scores.known >= 0).all()
        asked = output_of(model).ask(histories)
        unseen = asked.answers[level].mixed.weights[:, 3]
        if level == ITEM:
            with torch.inference_mode():
                said = asked.pooled(level)
                own = torch.zeros(len(histories)).index_add(0, said.query, said.probability)
            summed = said.known.sum(dim=1) + own + unseen
            assert summed.tolist() == pytest.approx([1.0] * len(histories), abs=1e-4)
            assert (total <= 1 + 1e-4).all()
        else:
            assert (total + unseen <= 1 + 1e-4).all()
            assert float((total + unseen).median()) == pytest.approx(1, abs=1e-3), level


def test_levels_are_marginals_of_one_distribution(shops, bare_shops):
    """The items of a category, known or not, sum to what it has, in proportion to all that is seen at their levels."""
    for dataset in (shops[1], shops[3], bare_shops["K=3, bare"]):
        model = mixture(dataset)
        histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
        with torch.inference_mode():
            asked = output_of(model).ask(histories)
            said = {level: asked.of(level) for level in output_of(model).network.ranked}
        parents = output_of(model).network.parents()
        for below, above in itertools.pairwise(said):
            fine, coarse = said[below], said[above]
            assert len(fine.code) or below.is_category, "sessions are on what training lacks"
            width = 1 + max(0, *fine.parent.tolist(), *coarse.code.tolist(), coarse.known.shape[1])
            sums, has = torch.zeros(len(histories), width), torch.zeros(len(histories), width)
            sums.index_add_(1, parents[below], fine.known)
            sums.index_put_((fine.query, fine.parent), fine.probability, accumulate=True)
            has[:, : coarse.known.shape[1]] = coarse.known
            has.index_put_((coarse.query, coarse.code), coarse.probability)
            mass = (coarse.mass / fine.mass).unsqueeze(1)
            # Where no child is likely, what the category has cannot be shared out.
            there = sums > 1e-9
            assert float((sums * mass - has)[there].abs().max()) < 1e-3
            assert float(has[~there].sum(dim=0).max()) < 0.05 * len(histories)
            known = model.score(histories, below).known
            assert torch.allclose(known, fine.known, atol=1e-6)


def test_the_current_item_has_no_share(dataset):
    model = mixture(dataset)
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    current = histories.current("item")
    known = (current < model.vocabulary.size("item")).nonzero().squeeze(1)
    explored_or_repeated = model.score(histories, "item").known[known, current[known]]
    # The memory may point back at it from other items; the protocol leaves it out.
    no_memory = mixture(dataset, "mixture.memory=false")
    assert (explored_or_repeated < 1).all()
    assert not no_memory.score(histories, "item").known[known, current[known]].any()


@pytest.mark.parametrize("level", [ITEM, Level.category(1)])
def test_training_gives_a_session_the_probabilities_of_a_model_that_never_counted_it(dataset, level):
    """At every prefix; so what training sees is what evaluation will ask."""
    model = mixture(dataset)
    network, train = output_of(model).network, np.asarray(dataset.sessions("train"))
    chosen = int(train[np.argmax(np.diff(dataset.offsets)[train] > 9)])
    histories, _ = histories_and_targets(dataset, np.asarray([chosen]))
    table, said = said_in_training(model, dataset, np.asarray([chosen]))
    for one in said.values():
        assert (one.unseen * one.named < 1e-6).all(), "nobody else has been on what is unseen"
    trained, following = said[level].named, said[level].following

    network.co_visits = without(dataset, model, chosen - int(train[0]))
    left = left_counts(dataset, model, chosen)
    for name in model.levels:
        network.mixture(name).counts.copy_(left[name])
    for prefix in range(len(table.item)):
        end = int(last_events(table)[prefix]) + 1
        part = replace(
            histories,
            offsets=torch.tensor([0, end]),
            item=histories.item[:end],
            categories=histories.categories[:end],
            behavior=histories.behavior[:end],
            interval=masked(histories.interval[:end], end - 1),
            dwell=masked(histories.dwell[:end], end - int(table.events[prefix])),
        )
        with torch.inference_mode():
            known = output_of(model).ask(part).counted(Level(level)).known
        code = int(following[prefix])
        if code < known.shape[1]:
            assert float(trained[prefix]) == pytest.approx(float(known[0, code]), abs=1e-5), prefix


def left_counts(dataset, model: HUP, session: int) -> dict[str, torch.Tensor]:
    """Popularity that a session has no part in."""
    events = slice(int(dataset.offsets[session]), int(dataset.offsets[session + 1]))
    found = {}
    for level in model.levels:
        codes = dataset.item[events]
        codes = codes if level == "item" else dataset.taxonomy.paths[codes, int(level[9:]) - 1]
        runs = [int(code) for place, code in enumerate(codes) if not place or code != codes[place - 1]]
        counts = output_of(model).network.mixture(level).counts.clone()
        for code in runs:
            counts[code] -= 1
        found[level] = counts
    return found


def masked(values: torch.Tensor, start: int) -> torch.Tensor:
    values = values.clone()
    values[start:] = torch.nan
    return values


def without(dataset, model: HUP, number: int) -> dict[Level, CoVisits]:
    """Count the neighbours of all training sessions but one."""
    codes, offsets = training_runs(dataset, "item")
    kept = np.ones(len(codes), dtype=bool)
    kept[offsets[number] : offsets[number + 1]] = False
    lengths = np.delete(np.diff(offsets), number)
    rest, bounds = codes[kept], np.concatenate([[0], np.cumsum(lengths)])
    counted = {}
    for level in model.levels:
        of = rest if level == "item" else dataset.taxonomy.paths[rest, int(level[9:]) - 1].astype(np.int64)
        size, options = model.vocabulary.size(level), model.config.mixture
        with_itself = level != "item"
        counted[level] = count_co_visits(
            of, bounds, size, window=options.window, neighbors=10**6, with_itself=with_itself
        )
    return counted


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (
            "network.micro=false",
            "loss.lambda_micro=0.0",
        ),
        ("mixture.profile=false",),
    ],
)
def test_live_states_are_asked_as_batches_are(dataset, changes, twin):
    model = mixture(dataset, *changes)
    for index in np.asarray(dataset.sessions("test"))[:4].tolist():
        events = live_events(dataset, index)
        histories, _ = histories_and_targets(dataset, np.asarray([index]))
        events = events[: len(histories.item)]
        for level in model.levels:
            scores = model.score(histories, level)
            found = model.recommend(model.state(events), level, k=30)
            assert found.basis == "probability"
            ranked = {one.name: one.score for one in found.ranked}
            for code, value in enumerate(scores.known[0].tolist()):
                name = model.vocabulary.items[code] if level == "item" else None
                if name in ranked:
                    assert ranked[name] == pytest.approx(value, abs=1e-5)
            best = scores.known[0].clone()
            if level == "item" and int(histories.item[-1]) < len(best):
                best[histories.item[-1]] = -1
            assert found.ranked[0].score >= float(torch.topk(best, 2).values[1]) - 1e-5
            assert sum(reason.weight for reason in found.reasons) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("dense", "similar"), [(0.0, 0.0), (0.3, 0.0), (0.2, 0.1), (0.0, 0.3), (1.0, 0.0)])
def test_the_profile_has_a_share_of_what_a_recommendation_comes_from(dataset, dense, similar, twin):
    """Over all that a level can say, as large as its share of the pool."""
    model = mixture(dataset)
    model.tune(dataset)  # keeps the profiles
    output_of(model).network.weights.data[:] = torch.tensor([dense, 0.0, 0.0, 1.0, 1.0])
    output_of(model).network.weights.data[0, 1] = similar
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test"))[:1])
    events = live_events(dataset, int(dataset.sessions("test")[0]))[: len(histories.item)]
    output = output_of(model)
    batch = output.ask(histories)
    asked, _ = output.asked(model.state(events), None)
    for level in map(Level, model.levels):
        final, mass = asked.of(level), float(batch.counted(level).mass)
        made = asked.levels[level].contributions([*range(len(final.known)), *final.code.tolist()])
        share = dense + similar * (level == "item")
        assert float(made.profile.sum()) == pytest.approx(share * mass, abs=1e-4)
        assert float(made.total.sum()) == pytest.approx(mass, abs=1e-4)
        origins = [one.origin for one in model.recommend(events, level, k=5).ranked]
        assert all(origin is not None and (origin.profile > 0 or dense == 0) for origin in origins)
        assert share > 0 or all(origin.profile == 0 for origin in origins)
        assert share < 1 or all(origin.profile == pytest.approx(1) for origin in origins)


def test_a_recommendation_says_where_it_comes_from(dataset, twin):
    model = mixture(dataset)
    for index in np.asarray(dataset.sessions("test"))[:5].tolist():
        events = live_events(dataset, index)
        here = {event.item for event in events}
        for level in model.levels:
            for found in model.recommend(events, level, k=10).ranked:
                origin = found.origin
                assert origin is not None
                assert origin.repeat + origin.memory + origin.popularity + origin.profile == pytest.approx(1, abs=1e-4)
                assert (origin.repeat > 0) <= found.seen
                assert sum(run.weight for run in origin.runs) <= origin.repeat + origin.memory + 1e-4
                if level == "item":
                    assert {run.name for run in origin.runs} <= here
    without_memory = mixture(dataset, "mixture.memory=false").recommend(events, k=3).ranked
    assert all(one.origin.memory == 0 for one in without_memory if one.origin)


def test_before_training_the_pointer_is_recency(dataset):
    model = HUP(Config.preset("best", [*QUICK, "mixture.memory=false"])).initialise(dataset)
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    answer = output_of(model).ask(histories).answers[ITEM]
    for query in range(len(histories)):
        mine = (answer.visits.query == query) & ~answer.visits.is_current
        weights = answer.mixed.repeat[torch.from_numpy(mine)]
        assert (weights.diff() >= 0).all(), "visits stand in the order of recency"


def test_a_model_folder_keeps_the_neighbours(dataset, tmp_path):
    model = mixture(dataset)
    model.save_pretrained(tmp_path / "model")
    again = HUP.from_pretrained(tmp_path / "model")
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    for level in model.levels:
        assert torch.equal(again.score(histories, level).known, model.score(histories, level).known)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["output=cosine"], "loss.prefixes"),
        (["network.single=true", "loss.lambda_micro=0.0"], "single"),
        (["loss.lambda_micro=0.5", "network.micro=false"], "micro"),
        (["network.cell='gru'"], "gates"),
        (["output=cosine", "loss.prefixes=0.0", "network.single=true", "network.category_levels=false"], "single"),
        (["mixture.hiden=3"], "hiden"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message):
    with pytest.raises(HupError, match=message):
        Config.preset("best", changes)
