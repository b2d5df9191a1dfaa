"""What training asks a mixture: what is unseen, which runs count how much, and categories of which items are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.model import HUP
from hup.sessions.batches import Histories, Targets, histories_and_targets
from hup.sessions.levels import ITEM

from ....helpers.mixtures import QUICK, mixture, output_of, said_in_training

EXPLORE_ALONE = ("mixture.repeat=false", "mixture.memory=false", "loss.prefixes=0")


def some_training_sessions(dataset: Dataset) -> np.ndarray:
    return np.asarray(dataset.sessions("train"))[:40]


def test_unseen_is_what_neither_the_session_so_far_nor_another_one_has_been_on(dataset):
    model = mixture(dataset)
    train = np.asarray(dataset.sessions("train"))
    table, said = said_in_training(model, dataset, train)
    everything = histories_and_targets(dataset, train)[1]
    met_alone = 0
    for level, one in said.items():
        codes, session = table.codes(level), table.session
        visitors: dict[int, set[int]] = {}
        for row, code in [*zip(session, codes, strict=True), *enumerate(everything.codes(level).numpy())]:
            visitors.setdefault(int(code), set()).add(int(row))
        for query, code in enumerate(one.following):
            others = visitors[int(code)] - {int(session[query])}
            so_far = codes[table.offsets[session[query]] : query + 1]
            weight = float(one.answer.mixed.weights[query, 3].detach())
            assert weight > 0
            met = code in so_far
            assert float(one.unseen[query]) == pytest.approx(0 if others or met else weight), (level, query)
            met_alone += met and not others
    assert met_alone, "no session goes back to what it alone has been on"


@pytest.mark.parametrize("share", [0, 0.2, 1])
def test_the_end_of_a_session_counts_besides_all_its_runs(shops, share):
    """``prefixes`` of the loss is over all runs alike, the rest over the last ones."""
    dataset = shops[3]
    model = mixture(dataset, f"loss.prefixes={share}")
    sessions = some_training_sessions(dataset)
    table, said = said_in_training(model, dataset, sessions)
    losses = model.losses(*histories_and_targets(dataset, sessions))
    for level, one in said.items():
        likelihood = (one.named + one.unseen).tolist()
        at_end = [likelihood[end - 1] for end in table.offsets[1:].tolist()]
        ends, runs = ([-math.log(p) for p in some if p > 0] for some in (at_end, likelihood))
        assert np.mean(ends) != pytest.approx(np.mean(runs), rel=0.01)
        expected = (1 - share) * np.mean(ends) + share * np.mean(runs)
        assert float(losses[level].value.detach()) == pytest.approx(expected, rel=1e-4), level
        assert losses[level].count == len(ends)


# ---------------------------------------------------------------------- categories above ``mixture.negatives``


def test_drawn_items_pull_on_average_as_all_items_of_the_category_do(shops):
    """At its own distribution a softmax is at rest: the mean gradient over targets from it is 0.

    So it must be where items are drawn, or training would not come to rest where the full softmax does.
    """
    model = mixture(shops[1], *EXPLORE_ALONE)
    history, targets = some_history(model, shops[1])
    output = output_of(model)
    network, explore = output.network, output.network.mixture("item")
    explore.scale.data.fill_(1)
    members = network.members[int(torch.bincount(network.classes).argmax())]
    members = members[members != history.current("item")]
    assert len(members) > 20
    # Many visits, so that the session's own ones say little; and popular is what the profile likes.
    with torch.no_grad():
        order = members[likings(model, history)[members].argsort(descending=True)]
        explore.counts[order] = 1e7 / torch.arange(1, len(order) + 1)

    whole = {item: loss_and_pull(model, history, targets, item) for item in members.tolist()}
    chances = np.asarray([math.exp(-loss) for loss, _ in whole.values()])
    chances /= chances.sum()
    pulls = np.asarray([pull for _, pull in whole.values()])
    spread = math.sqrt(chances @ pulls**2)
    assert chances @ pulls == pytest.approx(0, abs=0.001 * spread)
    output.config = Config.preset("best", [*QUICK, *EXPLORE_ALONE, "mixture.negatives=10"])
    torch.manual_seed(0)
    asked = np.random.default_rng(0).choice(members.numpy(), 60, p=chances).tolist()
    off = [loss_and_pull(model, history, targets, item)[1] - whole[item][1] for item in asked]
    assert np.std(off) > 0, "nothing is drawn"
    assert abs(np.mean(off)) < 0.1 * spread


def some_history(model: HUP, dataset: Dataset) -> tuple[Histories, Targets]:
    """The shortest one, as it is asked often."""
    train = np.asarray(dataset.sessions("train"))
    return histories_and_targets(dataset, train[[np.diff(dataset.offsets)[train].argmin()]])


def likings(model: HUP, history: Histories) -> torch.Tensor:
    """What explore adds to the popularity of every item at a history's end, up to a factor."""
    answer = output_of(model).ask(history).answers[ITEM]
    vectors = torch.nn.functional.normalize(model.item_vectors(), dim=1)
    return (answer.mixed.preference @ vectors.t())[0]


def loss_and_pull(model: HUP, history: Histories, targets: Targets, item: int) -> tuple[float, float]:
    """Loss of one target, and its gradient on how much liking weighs."""
    scale = output_of(model).network.mixture("item").scale
    scale.grad = None
    paths = torch.from_numpy(model.vocabulary.paths[[item]].astype(np.int64))
    loss = model.losses(history, Targets(torch.tensor([item]), paths))["item"].value
    loss.backward()
    assert scale.grad is not None
    return float(loss.detach()), float(scale.grad)


def test_training_on_drawn_items_ends_near_training_on_all(shops):
    """In what it says, far nearer than where both began."""
    dataset = shops[1]
    history, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("train")))

    training = (
        "training.epochs=3",
        "training.learning_rate=0.02",
        "training.patience=50",
        "mixture.profile_rate=1",
        "mixture.dropout=0",
    )

    def model(negatives: int) -> HUP:
        return HUP(
            Config.preset(
                "best", [*QUICK, *EXPLORE_ALONE, *training, "loss.prefixes=1", f"mixture.negatives={negatives}"]
            )
        )

    def said(by: HUP) -> torch.Tensor:
        return by.score(history, "item").known.clamp(min=1e-9)

    start, of_drawn, of_all = (
        said(model(20).initialise(dataset)),
        said(model(20).fit(dataset)),
        said(model(999).fit(dataset)),
    )

    def away(other: torch.Tensor) -> float:
        return float((of_all * (of_all.log() - other.log())).sum(dim=1).mean())

    assert not torch.equal(of_drawn, of_all)
    assert away(of_drawn) < away(start) / 3
