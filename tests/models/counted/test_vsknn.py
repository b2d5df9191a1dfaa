from __future__ import annotations

from collections.abc import Sequence
from math import log, log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.errors import HupError
from hup.models.counted.vsknn import VSKNN, VSKNNConfig, decayed

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

# ---------------------------------------------------------------------- the method, slow and plain


PLAIN = {
    "relative": lambda back, length: (length - back) / length,
    "linear": lambda back, length: max(1 - back / 3, 0),
    "harmonic": lambda back, length: 1 / (1 + back),
    "logarithmic": lambda back, length: 1 / log2(2 + back),
    "quadratic": lambda back, length: 1 / (1 + back) ** 2,
    "constant": lambda back, length: 1,
}


def plain(config: VSKNNConfig, training: list[list[int]], history: list[int], n_known: int) -> list[float]:
    frequency = [sum(code in session for session in training) for code in range(n_known)]
    rarity = [log(1 + len(training) / max(f, 1)) for f in frequency]
    n = len(history)
    back = {code: n - 1 - place for code, place in last_places(history).items()}
    neighbors = []
    for number, shared in sharing(history, training, config.newest, n_known):
        similarity = sum(PLAIN[config.decay](back[code], n) * (rarity[code] if config.idf else 1) for code in shared)
        if config.cosine:
            similarity /= sqrt(len(set(training[number])))
        neighbors.append((round(similarity, 12), number, shared))
    neighbors.sort(reverse=True)  # of equal ones the newest first
    total = [0.0] * n_known
    for similarity, number, shared in neighbors[: config.neighbors]:
        for code in set(training[number]):
            weight = PLAIN[config.item_decay](back[shared[0]], n)
            total[code] += similarity * weight * (1 + config.idf_weight * rarity[code])
    return total


DECAYS = sorted(PLAIN)
ITEM_DECAYS = [decay for decay in DECAYS if decay != "relative"]


@settings(deadline=None, max_examples=50)
@given(
    training=training_sessions,
    rows=asked,
    neighbors=st.integers(1, 6),
    newest=st.integers(1, 6),
    decay=st.sampled_from(DECAYS),
    item_decay=st.sampled_from(ITEM_DECAYS),
    idf=st.booleans(),
    idf_weight=st.sampled_from([0.0, 0.5, 10.0]),
    cosine=st.booleans(),
)
def test_evidence_is_that_of_the_plain_method(
    training, rows, neighbors, newest, decay, item_decay, idf, idf_weight, cosine
):
    # Similarities that differ by rounding alone could be cut off at another neighbour: take all where they can.
    config = VSKNNConfig(
        neighbors=neighbors if decay == "constant" and not idf and not cosine else 100,
        newest=newest,
        decay=decay,
        item_decay=item_decay,
        span=3,
        idf=idf,
        idf_weight=idf_weight,
        cosine=cosine,
    )
    model = VSKNN(config).fit(log_of(training))
    for level, n_known in (("item", N_KNOWN), ("category_1", 3)):
        scored = model.evidence(histories(rows), level)
        expected = [plain(config, codes_of(training, level), history, n_known) for history in codes_of(rows, level)]
        np.testing.assert_allclose(scored.numpy(), expected, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------- by hand


def evidence(sessions: Sessions, history: Sequence[int], level: str = "item", **options: object) -> list[float]:
    model = VSKNN(VSKNNConfig(**options)).fit(log_of(sessions))
    return model.evidence(histories([history]), level)[0].tolist()


NO_IDF = {"idf": False, "idf_weight": 0.0}


def test_a_case_by_hand():
    # History 0, 1, 1, 2: 2 weighs 1, 1 weighs 1/2, 0 weighs 1/3. Session [1, 3] has 1/2, [2, 0, 4] has 4/3.
    # Their latest shared codes are 1 (one run back: 1 - 1/10) and 2 (none).
    scored = evidence([[1, 3], [2, 0, 4], [5, 6]], [0, 1, 1, 2], **NO_IDF)
    assert scored == pytest.approx([4 / 3, 0.45, 4 / 3, 0.45, 4 / 3, 0, 0])


def test_rare_codes_weigh_more():
    # Both sessions share a code as recent, and hold a code as rare; 1 is in two sessions of four, 2 in one.
    scored = evidence([[1, 3], [2, 4], [1, 5], [0]], [2, 1], decay="constant", item_decay="constant")
    assert scored[3] == pytest.approx(log(1 + 4 / 2) * (1 + 10 * log(1 + 4 / 1)))
    assert scored[4] == pytest.approx(log(1 + 4 / 1) * (1 + 10 * log(1 + 4 / 1)))


def test_a_longer_session_is_less_alike_by_the_cosine():
    options = {**NO_IDF, "item_decay": "constant", "cosine": True}
    scored = evidence([[1, 3, 4, 5], [1, 2]], [1], **options)
    assert scored == pytest.approx([0, 1 / 2 + 1 / sqrt(2), 1 / sqrt(2), 1 / 2, 1 / 2, 1 / 2, 0])


def test_the_relative_decay_ends_with_the_first_run():
    # Four runs: the last one weighs 1, the first 1/4.
    options = {**NO_IDF, "item_decay": "constant", "decay": "relative"}
    assert evidence([[0, 5], [2, 6]], [0, 9, 1, 2], **options) == pytest.approx([1 / 4, 0, 1, 0, 0, 1 / 4, 1])


def test_only_the_nearest_count_and_of_equal_ones_the_newest():
    sessions = [[1, 3], [1, 4], [1, 5]]
    options = {**NO_IDF, "item_decay": "constant"}
    assert evidence(sessions, [1], neighbors=1, **options) == [0, 1, 0, 0, 0, 1, 0]
    assert evidence(sessions, [1], neighbors=2, **options) == [0, 2, 0, 0, 1, 1, 0]
    # A session that is more alike comes before newer ones.
    assert evidence([[1, 2, 6], *sessions], [2, 1], neighbors=1, **options) == [0, 1.5, 1.5, 0, 0, 0, 1.5]


def test_only_the_newest_are_looked_at_whichever_code_they_share():
    sessions = [[1, 2, 3], [1, 4], [2, 5]]
    options = {**NO_IDF, "item_decay": "constant", "decay": "constant"}
    assert evidence(sessions, [2, 1], newest=2, **options) == [0, 1, 1, 0, 1, 1, 0]
    assert evidence(sessions, [2, 1], newest=3, **options) == [0, 3, 3, 2, 1, 1, 0]


def test_category_levels_run_on_their_own_runs():
    # As runs of categories: sessions [0, 1] and [2], history [1, 2], where 1 lies one run back.
    assert evidence([[0, 1, 0, 2], [4, 5]], [2, 3, 6, 5], "category_1", **NO_IDF) == pytest.approx([0.45, 0.45, 1])


def test_decays():
    back = np.array([0, 1, 2, 10, 30])
    for decay, expected in {
        "linear": [1, 0.9, 0.8, 0, 0],
        "harmonic": [1, 1 / 2, 1 / 3, 1 / 11, 1 / 31],
        "logarithmic": [1, 1 / log2(3), 1 / 2, 1 / log2(12), 1 / 5],
        "quadratic": [1, 1 / 4, 1 / 9, 1 / 121, 1 / 961],
        "constant": [1, 1, 1, 1, 1],
    }.items():
        assert decayed(back, decay, 10).tolist() == pytest.approx(expected)


# ---------------------------------------------------------------------- scores


def test_what_no_neighbour_holds_is_ranked_by_popularity_below():
    model = VSKNN().fit(log_of([[1, 3], [0, 2, 0, 4, 0, 4], [5, 0]]))
    scores = model.score(histories([[1]]), "item").known[0]
    assert (scores[[1, 3]] > 1).all()
    assert scores[[0, 4, 2]].tolist() == sorted(scores[[0, 4, 2]].tolist(), reverse=True)
    assert 0 < scores[6] < scores[2] < scores[4] < scores[0] < 1
    assert scores[2] == scores[5]


def test_what_training_never_saw_has_no_neighbours_and_comes_last():
    model = VSKNN().fit(log_of([[1, 3], [2, 0]]))
    scores = model.score(histories([[9, 8, 9], [7, 1], [3]]), "item")
    assert scores.own_codes.tolist() == [[8, 9], [7, -1], [-1, -1]]
    assert (scores.own < scores.known.min()).all()
    assert (scores.known[0] < 1).all()
    assert scores.known[1, 3] > 1
    # What is not known counts as a run all the same: 1 is one run back here, so the session is less alike.
    scored = model.evidence(histories([[1, 9], [1]]), "item")
    assert 0 < scored[0, 3] < scored[1, 3]


def test_faults_are_told():
    with pytest.raises(HupError, match="not fitted"):
        VSKNN().score(histories([[1]]), "item")
    model = VSKNN().fit(log_of([[1, 2]]))
    with pytest.raises(HupError, match="no level 'brand'"):
        model.score(histories([[1]]), "brand")
    with pytest.raises(KeyError, match=r"item\.codes"):
        model.restore({})
    for override, message in {
        "decay='cubic'": "decay",
        "item_decay='relative'": "item_decay",
        "idf_weight=-1.0": "idf_weight",
        "neighbors=0": "neighbors",
        "newest=0": "newest",
        "span=0": "span",
        "k=5": "k",
    }.items():
        with pytest.raises(HupError, match=message):
            VSKNNConfig().changed([override])
