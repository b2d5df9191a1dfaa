from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gensim.models import Word2Vec
from torch.nn import functional

from hup.models import skipgram
from hup.models.skipgram import RunSequences, vectors_of_levels, word2vec_vectors
from hup.sessions.levels import Level


def sizes(dataset) -> dict[str, int]:
    categories = {f"category_{k}": size for k, size in enumerate(dataset.n_train_categories, 1)}
    return {"item": dataset.n_train_items} | categories


def test_sentences_are_the_runs_of_training_sessions(dataset):
    for level in sizes(dataset):
        expected = []
        for session in dataset.sessions("train"):
            sentence: list[str] = []
            for item in dataset.item[dataset.offsets[session] : dataset.offsets[session + 1]]:
                code = item if level == "item" else dataset.taxonomy.paths[item, int(level[9:]) - 1]
                if not sentence or sentence[-1] != str(code):
                    sentence.append(str(code))
            expected.append(sentence)
        sentences = RunSequences(dataset, level)
        assert list(sentences) == expected
        assert list(sentences) == expected, "gensim reads them once an epoch"


def test_a_vector_for_every_known_code(dataset):
    for level, n_known in sizes(dataset).items():
        vectors = word2vec_vectors(dataset, level, 6, epochs=1)
        assert vectors.shape == (n_known, 6)
        assert vectors.dtype == torch.float32
        assert torch.isfinite(vectors).all()
        assert len(vectors.unique(dim=0)) == n_known


def test_the_seed_decides(dataset):
    first, again, other = (word2vec_vectors(dataset, "item", 6, epochs=1, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_levels_side_by_side_are_what_each_is_alone(dataset):
    wanted = {Level(level): size for size, level in enumerate(sizes(dataset), 4)}
    start = {Level("item"): (np.asarray([2, 5]), np.ones((2, 4), dtype=np.float32))}
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = vectors_of_levels(dataset, wanted, epochs=2, seed=7, start=start)
    finally:
        torch.set_num_threads(before)
    assert list(together) == list(wanted)
    for level, size in wanted.items():
        alone = word2vec_vectors(dataset, level, size, epochs=2, seed=7, start=start.get(level))
        assert torch.equal(together[level], alone)


def test_a_log_too_large_to_be_held_gives_the_same(dataset, monkeypatch):
    held = word2vec_vectors(dataset, "item", 4, epochs=2)
    monkeypatch.setattr(skipgram, "_HELD", 0)
    assert torch.equal(word2vec_vectors(dataset, "item", 4, epochs=2), held)


@pytest.mark.parametrize("cbow", [False, True])
def test_vectors_are_those_of_gensim(dataset, cbow):
    options = {"negative": 5, "min_count": 1, "sample": 0, "workers": 1, "window": 3, "epochs": 2}
    sentences = [list(sentence) for sentence in RunSequences(dataset, "item")]
    expected = Word2Vec(sentences, vector_size=6, sg=int(not cbow), seed=1, **options).wv
    vectors = word2vec_vectors(dataset, "item", 6, window=3, epochs=2, cbow=cbow)
    assert vectors.numpy() == pytest.approx(np.stack([expected[str(code)] for code in range(len(vectors))]), abs=1e-6)


def test_later_sessions_are_not_read(dataset):
    item = dataset.item.copy()
    item[dataset.offsets[dataset.sessions("train").stop] :] = np.iinfo(np.int32).max
    vectors = word2vec_vectors(replace(dataset, item=item), "category_1", 4, epochs=1)
    assert torch.equal(vectors, word2vec_vectors(dataset, "category_1", 4, epochs=1))


def test_sessions_that_are_left_out_are_not_read(dataset):
    left_out = range(20, 60)
    item = dataset.item.copy()
    offsets = dataset.offsets
    item[offsets[left_out.start] : offsets[left_out.stop]] = dataset.item.max()
    expected = [sentence for n, sentence in enumerate(RunSequences(dataset, "item")) if n not in left_out]
    assert list(RunSequences(replace(dataset, item=item), "item", left_out)) == expected
    read = {int(code) for sentence in expected for code in sentence}
    vectors = word2vec_vectors(dataset, "item", 4, epochs=1, left_out=left_out)
    assert set(vectors.any(dim=1).nonzero().squeeze(1).tolist()) == read
    assert len(read) < len(vectors)
    everything = range(len(dataset.sessions("train")))
    assert not word2vec_vectors(dataset, "item", 4, epochs=1, left_out=everything).any()


def test_rows_are_codes_and_companions_come_close():
    """Two groups that never meet. Gensim orders its words by frequency, which here runs against the codes."""
    rng = np.random.default_rng(0)
    groups = [np.arange(0, 10, 2), np.arange(1, 10, 2)]
    sessions = [rng.choice(group, 8, p=(group + 1) / (group + 1).sum()) for group in groups * 150]
    log = SimpleNamespace(
        n_train_items=10,
        n_train_categories=(1,),
        item=np.concatenate(sessions),
        offsets=np.arange(0, 8 * 301, 8),
        taxonomy=SimpleNamespace(paths=np.zeros((10, 1), dtype=np.int32)),
        sessions=lambda split: {"train": range(300)}[split],
    )
    unit = functional.normalize(word2vec_vectors(log, "item", 8, epochs=10), dim=1)
    cosine = (unit @ unit.t()).fill_diagonal_(torch.nan)
    alike = torch.cat([cosine[0::2, 0::2], cosine[1::2, 1::2]])
    assert float(alike.nanmean()) > float(cosine[0::2, 1::2].mean()) + 0.3
