"""Item-KNN, BPR-MF and Word2vec: their formulas on a log small enough to work out by hand or in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

import hup.models.counted.item_knn as item_knn
from hup.models.counted.bpr_mf import BPRMF
from hup.models.counted.history_matrix import event_count_matrix, history_matrix
from hup.models.counted.item_knn import ItemKNN
from hup.models.counted.word2vec import Word2vec, Word2vecAverage
from hup.models.skipgram import word2vec_vectors

from ...helpers.session_toys import HISTORIES, N_KNOWN, PATHS, SESSIONS, histories, last_places
from ...helpers.toy_log import toy_log


def fitted(kind, *overrides: str):
    return kind(kind.options().changed(overrides)).fit(toy_log(SESSIONS, PATHS, N_KNOWN, (1,), len(SESSIONS)))


@pytest.mark.parametrize("block", [3, 4096])
@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize(("decay", "damping"), [(1.0, 0.0), (0.5, 0.0), (0.0, 2.0)])
def test_item_knn_is_the_papers_formula(monkeypatch, block, itself, decay, damping):
    monkeypatch.setattr(item_knn, "ITEMS_PER_BLOCK", block)
    model = fitted(ItemKNN, f"itself={str(itself).lower()}", f"decay={decay}", f"damping={damping}")
    frequency = [sum(i in session for session in SESSIONS) for i in range(N_KNOWN)]

    def similarity(i, j):
        if i == j and not itself:
            return 0.0
        together = sum(i in session and j in session for session in SESSIONS)
        return together / ((frequency[i] + damping) * (frequency[j] + damping))

    expected = [
        [sum(decay**back * similarity(i, j) for i, back in last_places(row).items()) for j in range(N_KNOWN)]
        for row in HISTORIES
    ]
    np.testing.assert_allclose(model.evidence(histories(*HISTORIES), "item").numpy(), expected, rtol=1e-5, atol=1e-7)


def test_item_knn_keeps_the_most_similar_codes():
    whole, cut = (fitted(ItemKNN, f"neighbors={n}")._matrices["item"].toarray() for n in (100, 2))
    for row, kept in zip(whole, cut, strict=True):
        assert np.count_nonzero(kept) == min(2, np.count_nonzero(row))
        assert sorted(kept)[-2:] == pytest.approx(sorted(row)[-2:])


def test_a_session_in_bpr_mf_is_the_weighted_mean_of_its_factors():
    model = fitted(BPRMF, "factors=4", "iterations=5", "decay=0.5")
    factors = model.tensors()["item"].numpy()
    scores = model.score(histories(*HISTORIES), "item")
    for row, known in zip(HISTORIES, scores.known.numpy(), strict=True):
        back = last_places(row)
        if back:
            weights = {code: 0.5**runs for code, runs in back.items()}
            profile = sum(w * factors[code, :-1] for code, w in weights.items()) / sum(weights.values())
            np.testing.assert_allclose(known, factors[:, :-1] @ profile, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_allclose(known, factors[:, -1], rtol=1e-5)  # nothing known: popularity, by the biases
    assert bool((scores.own[scores.own_codes >= 0] < scores.known.min(dim=1).values.max()).all())


def test_bpr_mf_is_the_same_for_the_same_seed():
    one, again, other = (fitted(BPRMF, f"seed={seed}", "iterations=3").tensors()["item"] for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_word2vec_looks_at_the_last_known_item(dataset):
    model = Word2vec(Word2vec.options().changed(["epochs=2", "size=8"])).fit(dataset)
    vectors = model.item_vectors()
    expected = word2vec_vectors(dataset, "item", 8, window=5, epochs=2)
    assert torch.equal(vectors, expected)
    unit = functional.normalize(vectors, dim=1)
    strange = dataset.n_items + 3
    given = histories([4, 7, 7], [4, 7, strange], [strange])
    given = type(given)(**{**vars(given), "categories": torch.zeros(7, dataset.levels, dtype=torch.long)})
    scores = model.score(given, "item")
    known = scores.known
    assert bool((scores.own[scores.own_codes >= 0] < known.min()).all())  # what has no vector comes last
    torch.testing.assert_close(known[0], unit @ unit[7], atol=1e-3, rtol=0)
    torch.testing.assert_close(known[1], known[0], atol=1e-3, rtol=0)
    counts = torch.from_numpy(model.vocabulary.counts["item"])
    assert bool((counts[known[2].argsort()].diff() >= 0).all())  # nothing known: popularity


def test_word2vec_average_is_near_the_mean_of_all_events(dataset):
    model = Word2vecAverage(Word2vecAverage.options().changed(["epochs=2", "size=8"])).fit(dataset)
    vectors = model.item_vectors()
    given = histories([4, 7, 7, 4, 4])
    given = type(given)(**{**vars(given), "categories": torch.zeros(5, dataset.levels, dtype=torch.long)})
    mean = (3 * vectors[4] + 2 * vectors[7]) / 5
    expected = functional.cosine_similarity(vectors, mean.unsqueeze(0))
    torch.testing.assert_close(model.score(given, "item").known[0], expected, atol=1e-5, rtol=1e-4)


def test_histories_as_rows():
    given = histories([1, 1, 2, 1, 3], [9, 9])
    assert history_matrix(given, "item", N_KNOWN, 0.5).toarray()[:, :4].tolist() == [[0, 0.5, 0.25, 1], [0, 0, 0, 0]]
    assert event_count_matrix(given, "item", N_KNOWN).toarray()[:, :4].tolist() == [[0, 3, 1, 1], [0, 0, 0, 0]]


def test_histories_as_rows_of_the_codes_at_their_item_runs():
    given = histories([1, 1, 2, 3])  # all of one category
    assert history_matrix(given, "category_1", 1, 0.5).toarray().tolist() == [[1]]
    given = type(given)(**{**vars(given), "categories": torch.tensor([[0], [0], [1], [1]])})
    assert history_matrix(given, "category_1", 2, 0.5).toarray().tolist() == [[0.5, 1]]
    assert history_matrix(given, "category_1", 2, 0.5, of="item").toarray().tolist() == [[0.25, 1]]
