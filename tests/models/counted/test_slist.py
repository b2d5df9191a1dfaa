"""SLIST against ridge regressions of plain rows, one column at a time, and against the formula of EASE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.errors import HupError
from hup.models.counted import slist
from hup.models.counted.slist import SLIST, SLISTConfig, part_sessions
from hup.recommender.kinds import load

from ...helpers.neighbor_sessions import N_KNOWN, PATHS, Sessions, asked, histories, log_of, runs, training_sessions

EASE = ("alpha=1.0", "normalized=false", "itself=false")


def steps(sessions: Sessions, level: str) -> list[list[int]]:
    """Codes of the item runs."""
    return [[item if level == "item" else int(PATHS[item, 0]) for item in runs(session)] for session in sessions]


def plain_rows(
    config: SLISTConfig, training: list[list[int]], n_known: int
) -> list[tuple[dict[int, float], dict[int, float], float]]:
    """What is read, what is to follow, and the weight of each row."""
    counts = Counter(code for session in training for code in session)
    kept = sorted(range(n_known), key=lambda code: (-counts[code], code))[: config.most_codes]

    def nearest(codes: Sequence[int]) -> dict[int, float]:
        weights: dict[int, float] = {}
        for away, code in enumerate(codes[: config.span]):
            if code in kept:
                weights.setdefault(code, config.training_decay**away)
        return weights

    rows = []
    for number, session in enumerate(training):
        age = (len(training) - 1 - number) / len(training)
        weight = exp(-age / config.session_decay) if config.session_decay else 1.0
        whole = {code: 1.0 for code in session if code in kept}
        rows.append((whole, whole, config.alpha * weight))
        for at in range(1, len(session)):
            parts = nearest(session[:at][::-1]), nearest(session[at:])
            rows.append((*parts, (1 - config.alpha) * weight))
    if config.normalized:
        rows = [({code: v / (sum(read.values()) or 1) for code, v in read.items()}, told, w) for read, told, w in rows]
    return rows


def plain_weights(config: SLISTConfig, training: list[list[int]], n_known: int) -> np.ndarray:
    """Every column by least squares, with λ as rows of their own; without itself, on all codes but its own."""
    rows = plain_rows(config, training, n_known)

    def table(place: int) -> np.ndarray:
        return np.array([[sqrt(row[2]) * row[place].get(code, 0.0) for code in range(n_known)] for row in rows])

    read = np.vstack([table(0), sqrt(config.l2) * np.eye(n_known)])
    told = np.vstack([table(1), np.zeros((n_known, n_known))])
    weights = np.zeros((n_known, n_known))
    for code in range(n_known):
        others = [other for other in range(n_known) if config.itself or other != code]
        weights[others, code] = np.linalg.lstsq(read[:, others], told[:, code])[0]
    return weights


def plain_evidence(config: SLISTConfig, weights: np.ndarray, history: list[int]) -> np.ndarray:
    total = np.zeros(len(weights))
    for code in {code for code in history if code < len(weights)}:
        back = history[::-1].index(code)
        total += config.decay**back * weights[code]
    return np.maximum(total, 0)


shares = st.sampled_from([0.0, 0.3, 0.7, 1.0])


@settings(deadline=None, max_examples=60)
@given(
    training=training_sessions,
    rows=asked,
    alpha=shares,
    training_decay=shares,
    decay=shares,
    l2=st.sampled_from([0.1, 3.0]),
    session_decay=st.sampled_from([0.0, 0.5]),
    normalized=st.booleans(),
    itself=st.booleans(),
    span=st.sampled_from([1, 2, 50]),
    most_codes=st.sampled_from([2, 4, 50]),
)
def test_evidence_is_that_of_the_plain_method(training, rows, **options):
    config = SLISTConfig(**options)
    model = SLIST(config).fit(log_of(training))
    for level, n_known in (("item", N_KNOWN), ("category_1", 3)):
        weights = plain_weights(config, steps(training, level), n_known)
        expected = [plain_evidence(config, weights, history) for history in steps(rows, level)]
        np.testing.assert_allclose(model.evidence(histories(rows), level).numpy(), expected, rtol=1e-4, atol=1e-5)


SESSIONS = [[1, 3, 1], [2, 0], [4, 5, 0], [0, 1, 6], [5, 3, 2, 5]]


def fitted(*overrides: str, sessions: Sessions = SESSIONS) -> SLIST:
    return SLIST(SLISTConfig().changed(overrides)).fit(log_of(sessions))


def item_weights(model: SLIST) -> np.ndarray:
    """What one item alone says for all: its row, negative weights as 0."""
    return model.evidence(histories([[code] for code in range(N_KNOWN)]), "item").numpy()


def test_ease_is_one_of_its_settings():
    """Steck (2019), Eq. 8: B = I - P · diagMat(1 ⊘ diag P)."""
    sessions = np.array([[float(code in session) for code in range(N_KNOWN)] for session in SESSIONS])
    inverse = np.linalg.inv(sessions.T @ sessions + 2.0 * np.eye(N_KNOWN))
    expected = np.eye(N_KNOWN) - inverse / np.diag(inverse)
    model = fitted(*EASE, "l2=2.0")
    np.testing.assert_allclose(item_weights(model), np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    assert not np.diag(item_weights(model)).any()


def test_sessions_are_parted_after_each_run_but_the_last():
    codes, offsets = np.array([3, 1, 3, 2, 0, -1, 1]), np.array([0, 4, 5, 7])
    parts = part_sessions(codes, offsets, 4, decay=0.5, span=2)
    assert parts.session.tolist() == [0, 0, 0, 2]
    assert parts.past.toarray().tolist() == [[0, 0, 0, 1], [0, 1, 0, 0.5], [0, 0.5, 0, 1], [0, 0, 0, 0]]
    assert parts.future.toarray().tolist() == [[0, 1, 0, 0.5], [0, 0, 0.5, 1], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_category_levels_learn_that_mostly_the_category_stays():
    """Though the level's own runs hold no category after itself."""
    model = fitted("alpha=0.0", sessions=[[0, 1, 0, 1], [1, 0, 1, 0, 2], [2, 3, 2, 3, 4]])
    evidence = model.evidence(histories([[0], [2]]), "category_1")
    assert evidence.argmax(dim=1).tolist() == [0, 1]


@pytest.mark.parametrize("limit", [{"ENTRIES_PER_BLOCK": 1}, {"CODES_PER_BLOCK": 2}])
def test_the_size_of_a_block_changes_nothing(monkeypatch, limit):
    whole = item_weights(fitted("session_decay=0.5"))
    for name, value in limit.items():
        monkeypatch.setattr(slist, name, value)
    np.testing.assert_allclose(item_weights(fitted("session_decay=0.5")), whole, rtol=1e-6)


def test_the_strongest_weights_of_every_code_are_kept():
    whole, cut = (fitted(*EASE, f"neighbors={n}").tensors() for n in (N_KNOWN, 3))
    assert bool((whole["item.data"] < 0).any())
    rows = [t["item.data"].abs().split(t["item.indptr"].diff().tolist()) for t in (whole, cut)]
    for row, kept in zip(*rows, strict=True):
        assert sorted(kept.tolist()) == pytest.approx(sorted(row.tolist())[-3:])


def test_rare_codes_beyond_the_limit_have_popularity_alone():
    model = fitted("most_codes=2")
    scores = model.score(histories([[0, 2]]), "item").known[0]
    # 0 and 1 are the most frequent; all others are told by their counts, below.
    assert bool((scores[[0, 1]] > 1).all())
    assert scores[2:].tolist() == pytest.approx([0.5, 0.5, 0.25, 0.75, 0.25])


def test_a_saved_model_scores_the_same(tmp_path: Path):
    model = fitted("neighbors=3")
    model.save_pretrained(tmp_path / "model")
    opened = load(tmp_path / "model")
    assert opened.config == model.config
    for level in model.levels:
        rows = histories([[1, 0, 9], [5]])
        assert torch.equal(opened.score(rows, level).known, model.score(rows, level).known)


@pytest.mark.parametrize(
    "override",
    [
        "alpha=1.5",
        "alpha=-0.1",
        "l2=0.0",
        "training_decay=1.1",
        "session_decay=-1.0",
        "span=0",
        "most_codes=0",
        "decay=2",
    ],
)
def test_wrong_options_are_told(override):
    with pytest.raises(HupError, match=override.partition("=")[0]):
        SLISTConfig().changed([override])


def test_a_level_without_codes():
    assert SLIST().matrix(np.zeros(3, dtype=int) - 1, np.array([0, 1, 3]), 0).shape == (0, 0)


def test_too_little_regularisation_is_told():
    with pytest.raises(HupError, match=r"l2 is 1e-300, .*raise it"):
        fitted("alpha=1.0", "l2=1e-300", sessions=[[0, 1], [0, 1, 2], [2, 3]])
