"""What training asks a mixture: what is unseen, and which runs count how much."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hup.data.dataset import Dataset
from hup.sessions.batches import histories_and_targets

from ....helpers.mixtures import mixture, said_in_training


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
    model = mixture(dataset, f"loss.prefixes={share}", "mixture.profile=false")
    sessions = some_training_sessions(dataset)
    table, said = said_in_training(model, dataset, sessions)
    losses = model.losses(*histories_and_targets(dataset, sessions))
    for level, one in said.items():
        likelihood = (one.named + one.unseen).tolist()
        at_end = [likelihood[end - 1] for end in table.offsets[1:].tolist()]
        ends, runs = ([-math.log(p) for p in some if p > 0] for some in (at_end, likelihood))
        assert np.mean(ends) != pytest.approx(np.mean(runs), rel=0.002)
        expected = (1 - share) * np.mean(ends) + share * np.mean(runs)
        assert float(losses[level].value.detach()) == pytest.approx(expected, rel=1e-4), level
        assert losses[level].count == len(ends)


@pytest.mark.parametrize("profile", [True, False])
def test_of_a_long_session_some_runs_are_learned_from(shops, profile):
    """With one of each session, the last, it is as if ends alone counted; with enough of them nothing is left out."""
    dataset = shops[3]
    asked = histories_and_targets(dataset, some_training_sessions(dataset))

    def losses(*changes: str) -> dict[str, float]:
        model = mixture(dataset, f"mixture.profile={str(profile).lower()}", "network.dropout=0.0", *changes)
        return {level: float(loss.value.detach()) for level, loss in model.losses(*asked).items()}

    every = losses("loss.prefixes=1.0")
    assert losses("loss.prefixes=1.0", "loss.most_prefixes=1") == pytest.approx(losses("loss.prefixes=0.0"), rel=1e-5)
    assert losses("loss.prefixes=1.0", "loss.most_prefixes=100") == every
    some = losses("loss.prefixes=1.0", "loss.most_prefixes=4")
    assert all(some[level] != pytest.approx(every[level], rel=1e-3) for level in some if level != "micro")
