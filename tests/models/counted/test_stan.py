from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.errors import HupError
from hup.models.counted.stan import STAN, STANConfig

from ...helpers.neighbor_sessions import (
    N_KNOWN,
    Sessions,
    asked,
    codes_of,
    histories,
    last_places,
    log_of,
    sharing,
    training_sessions,
)


def fading(distance: float, decay: float) -> float:
    return exp(-distance / decay) if decay else 1


def plain(config: STANConfig, training: list[list[int]], history: list[int], n_known: int) -> list[float]:
    """The method, slow and plain."""
    back = {code: len(history) - 1 - place for code, place in last_places(history).items()}
    known = [code for code in back if 0 <= code < n_known]
    neighbors = []
    for number, shared in sharing(history, training, config.newest, n_known):
        product = sum(fading(back[code], config.history_decay) for code in shared)
        cosine = product / sqrt(len(known) * len(set(training[number])))
        age = (len(training) - 1 - number) / len(training)
        last = max(shared, key=lambda code: last_places(training[number])[code])
        star = shared[0] if config.shared == "history" else last
        neighbors.append((cosine * fading(age, config.session_decay), number, star))
    neighbors.sort(reverse=True)
    total = [0.0] * n_known
    for similarity, number, star in neighbors[: config.neighbors]:
        place = last_places(training[number])
        for code in place:
            total[code] += similarity * fading(abs(place[code] - place[star]), config.item_decay)
    return total


decays = st.sampled_from([0.0, 0.3, 1.0, 4.0])


@settings(deadline=None, max_examples=50)
@given(
    training=training_sessions,
    rows=asked,
    newest=st.integers(1, 6),
    history_decay=decays,
    session_decay=decays,
    item_decay=decays,
    shared=st.sampled_from(["history", "session"]),
)
def test_evidence_is_that_of_the_plain_method(training, rows, newest, history_decay, session_decay, item_decay, shared):
    config = STANConfig(
        newest=newest,
        history_decay=history_decay,
        session_decay=session_decay,
        item_decay=item_decay,
        shared=shared,
    )
    model = STAN(config).fit(log_of(training))
    for level, n_known in (("item", N_KNOWN), ("category_1", 3)):
        scored = model.evidence(histories(rows), level)
        expected = [plain(config, codes_of(training, level), history, n_known) for history in codes_of(rows, level)]
        np.testing.assert_allclose(scored.numpy(), expected, rtol=1e-5, atol=1e-6)


def evidence(sessions: Sessions, history: Sequence[int], **options: float) -> list[float]:
    none = {"history_decay": 0.0, "session_decay": 0.0, "item_decay": 0.0}
    model = STAN(STANConfig(**{**none, **options})).fit(log_of(sessions))
    return model.evidence(histories([history]), "item")[0].tolist()


def test_without_decays_it_is_the_cosine():
    scored = evidence([[1, 3], [1, 2, 4, 5]], [1, 2])
    assert scored == pytest.approx([0, 1 / 2 + 2 / sqrt(8), 2 / sqrt(8), 1 / 2, 2 / sqrt(8), 2 / sqrt(8), 0])


def test_the_first_decay_is_over_the_history():
    # 1 is two runs back, 3 none.
    scored = evidence([[1, 0], [3, 4]], [1, 2, 3], history_decay=2.0)
    assert scored[0] / scored[4] == pytest.approx(exp(-2 / 2))


def test_the_second_decay_is_over_the_training_sessions():
    # Three of four sessions came after the first one, one after the third.
    scored = evidence([[1, 0], [6], [1, 4], [6]], [1], session_decay=0.5)
    assert scored[0] / scored[4] == pytest.approx(exp(-(3 - 1) / 4 / 0.5))


def test_the_third_decay_is_over_the_neighbours_runs_on_both_sides():
    # Around 3, the latest shared code; 1 is shared, too, but earlier in the history.
    scored = evidence([[1, 0, 3, 4, 5]], [1, 3], item_decay=2.0)
    similarity = 2 / sqrt(2 * 5)
    assert scored == pytest.approx(
        [similarity * weight for weight in (exp(-1 / 2), exp(-2 / 2), 0, 1, exp(-1 / 2), exp(-2 / 2), 0)]
    )


def test_the_third_decay_may_be_over_the_distance_from_the_neighbours_latest_shared_code():
    # 3 was visited later, but the neighbour comes to 1 later.
    scored = evidence([[3, 0, 1, 4]], [1, 3], item_decay=2.0, shared="session")
    similarity = 2 / sqrt(2 * 4)
    assert scored == pytest.approx([similarity * exp(-abs(n) / 2) if n < 9 else 0 for n in (-1, 0, 9, -2, 1, 9, 9)])


def test_only_the_nearest_count_and_of_equal_ones_the_newest():
    sessions = [[1, 3], [1, 4], [1, 5]]
    model = STAN(STANConfig(neighbors=1)).fit(log_of(sessions))
    scored = model.evidence(histories([[1]]), "item")[0]
    assert torch.nonzero(scored).flatten().tolist() == [1, 5]
    older = STAN(STANConfig(neighbors=1, newest=3)).fit(log_of([[1], *sessions]))
    assert torch.nonzero(older.evidence(histories([[1]]), "item")[0]).flatten().tolist() == [1, 5]
    older = STAN(STANConfig(neighbors=1, newest=4)).fit(log_of([[1], *sessions]))
    assert torch.nonzero(older.evidence(histories([[1]]), "item")[0]).flatten().tolist() == [1]


def test_what_training_never_saw_has_no_neighbours_and_comes_last():
    scores = STAN().fit(log_of([[1, 3], [2, 0]])).score(histories([[9, 8, 9], [7, 1]]), "item")
    assert scores.own_codes.tolist() == [[8, 9], [7, -1]]
    assert (scores.own < scores.known.min()).all()
    assert (scores.known[0] < 1).all()
    assert scores.known[1, 3] > 1


def test_faults_are_told():
    with pytest.raises(HupError, match="not fitted"):
        STAN().score(histories([[1]]), "item")
    for override in (
        "shared='both'",
        "history_decay=-1.0",
        "session_decay=-0.1",
        "item_decay=inf",
        "neighbors=0",
        "span=3",
    ):
        with pytest.raises(HupError, match=override.partition("=")[0]):
            STANConfig().changed([override])
