"""Metrics of whole lists: by hand, against plain loops, and through a file."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.errors import HupError
from hup.evaluation import evaluate
from hup.evaluation.choice import LIST_METRICS
from hup.evaluation.exposure import Exposure
from hup.evaluation.exposure_file import counted_cutoffs, read_exposure, write_exposure
from hup.evaluation.metrics import cutoff
from hup.models.counted.item_knn import ItemKNN
from hup.recommender.candidates import excluded_codes
from hup.recommender.recency import Recency
from hup.sessions.batches import histories_and_targets
from hup.sessions.runs import run_counts

METRICS = ("ndcg", *LIST_METRICS)


def exposure(counts: list[int], runs: list[int], *, catalogue: int, taken: float | None = 2.0, unseen: int = 0):
    return Exposure(
        codes=np.arange(len(counts)),
        runs=np.array(runs),
        counts={5: np.array(counts)},
        unseen={5: unseen},
        catalogue=catalogue,
        all_runs=16,
        taken=taken,
    )


def test_figures_by_hand():
    found = exposure([3, 1], [8, 4], catalogue=8)
    assert found.figure("coverage", 5) == 0.25
    assert found.figure("novelty", 5) == (3 * 1 + 1 * 2) / 4  # of 16 runs half and a quarter: one bit, two bits
    assert found.figure("popularity_bias", 5) == ((3 * 8 + 1 * 4) / 4) / 2 - 1
    # Six codes never, one once, one three times: 1 / (n - 1) Σ (2 i - n - 1) share.
    assert found.figure("gini", 5) == pytest.approx((5 * 1 + 7 * 3) / (7 * 4))


def test_what_training_never_saw_is_not_popular_and_not_in_the_catalogue():
    found = exposure([3, 1], [8, 4], catalogue=8, unseen=4)
    assert found.figure("coverage", 5) == 0.25
    assert found.figure("novelty", 5) == 1.25
    assert found.figure("popularity_bias", 5) == (28 / 8) / 2 - 1
    nothing_else = exposure([0, 0], [8, 4], catalogue=8, unseen=4)
    assert [nothing_else.figure(metric, 5) for metric in LIST_METRICS] == [0.0, None, None, -1.0]


def test_nothing_to_measure_is_none():
    empty = exposure([0], [4], catalogue=8)
    assert {empty.figure(metric, 5) for metric in LIST_METRICS} == {None}
    assert exposure([1], [4], catalogue=8).figure("coverage", 7) is None, "lists of 7 were not counted"
    assert exposure([1], [4], catalogue=8, taken=None).figure("popularity_bias", 5) is None
    assert exposure([1], [4], catalogue=8, taken=0.0).figure("popularity_bias", 5) is None
    assert exposure([1], [4], catalogue=1).figure("gini", 5) is None


@given(st.lists(st.integers(0, 50), min_size=2, max_size=30).filter(any))
def test_the_gini_index_is_the_mean_difference_of_all_pairs(counts):
    found = exposure(counts, [1] * len(counts), catalogue=len(counts)).gini(5)
    values = np.array(counts)
    pairs = np.abs(values[:, None] - values[None, :]).sum() / (2 * len(values) * (len(values) - 1) * values.mean())
    assert found == pytest.approx(pairs)
    assert -1e-12 <= found <= 1 + 1e-12
    # Codes that are in no list need not be told.
    there = [count for count in counts if count]
    assert exposure(there, [1] * len(there), catalogue=len(counts)).gini(5) == pytest.approx(found)


def looped(model, dataset, level: str, k: int) -> tuple[list[list[int]], list[int]]:
    """Lists of every test session that counts at a level and its target, by plain loops; best first, then by code."""
    lists, targets = [], []
    for session in dataset.sessions("test"):
        histories, target = histories_and_targets(dataset, np.array([session]))
        if not target.wanted(level, dataset.taxonomy.no_category)[0]:
            continue
        scores = model.scores(histories)[level]
        gone = int(excluded_codes(histories, level, dataset.taxonomy.no_category)[0])
        candidates = dict(enumerate(scores.known[0].tolist()))
        candidates |= dict(zip(scores.own_codes[0].tolist(), scores.own[0].tolist(), strict=True))
        ordered = sorted((code for code in candidates if code not in (-1, gone)), key=lambda c: (-candidates[c], c))
        lists.append(ordered[:k])
        targets.append(int(target.codes(level)[0]))
    return lists, targets


@pytest.mark.parametrize("shop", ["K=1, bare", "K=3, bare", "K=3"])
@pytest.mark.parametrize("kind", [ItemKNN, Recency])
def test_lists_are_counted_as_plain_loops_count_them(shops, bare_shops, shop, kind):
    dataset = {**bare_shops, "K=3": shops[3]}[shop]
    model = kind().fit(dataset)
    found = evaluate(model, dataset, rows=(), at=(3,), metrics=METRICS, batch_size=7)
    for level in found.levels:
        of = found.rows[model.name][level]
        for k in (3, cutoff(level)):
            if not of["sessions"]:
                assert {of[f"{metric}@{k}"] for metric in LIST_METRICS} == {None}
                continue
            expected = figures_of(*looped(model, dataset, level, k), dataset, level)
            assert {metric: of[f"{metric}@{k}"] for metric in LIST_METRICS} == pytest.approx(expected)


def figures_of(lists: list[list[int]], targets: list[int], dataset, level: str) -> dict[str, float | None]:
    """Metrics of lists that are there."""
    runs = run_counts(dataset, level)
    none = -1 if level == "item" else dataset.taxonomy.no_category[int(level[-1]) - 1]
    catalogue = [code for code in range(len(runs)) if code != none]
    total = sum(int(runs[code]) for code in catalogue)
    listed = [code for one in lists for code in one]
    assert none not in listed
    known = [code for code in listed if code < len(runs)]
    popularity, taken = ([int(runs[c]) if c < len(runs) else 0 for c in codes] for codes in (listed, targets))
    counts = np.bincount(known, minlength=len(runs))[catalogue]
    return {
        "coverage": len(set(known)) / len(catalogue),
        "gini": exposure(counts.tolist(), [1] * len(counts), catalogue=len(counts)).gini(5),
        "novelty": float(np.mean([-math.log2(runs[code] / total) for code in known])),
        "popularity_bias": float(np.mean(popularity) / np.mean(taken) - 1),
    }


def test_blocks_change_nothing(shops):
    model = ItemKNN().fit(shops[3])
    one, other = (evaluate(model, shops[3], rows=(), metrics=METRICS, batch_size=size).rows for size in (3, 500))
    assert one == other


def test_only_candidates_are_listed(shops, monkeypatch):
    """Of the neighbours of what was browsed; those are few, so fewer items are ever recommended."""
    monkeypatch.setattr("hup.evaluation.protocol.NEIGHBORS", 2)
    dataset = shops[3]
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(dataset.n_train_items, 4)).astype(np.float32))
    asked = {"rows": (), "metrics": ["coverage"], "at": [1_000]}
    full = evaluate(Recency().fit(dataset), dataset, **asked)
    few = evaluate(Recency().fit(dataset), dataset, candidates="neighbors", vectors=vectors, **asked)
    most = max(len(np.unique(dataset.item[a:b])) for a, b in zip(dataset.offsets, dataset.offsets[1:], strict=False))
    counts = few.exposure["recency"]["item"].counts[1_000]
    assert full.rows["recency"]["item"]["coverage@1000"] == 1.0
    assert counts.sum() <= len(few.sessions) * 2 * most
    assert few.rows["recency"]["item"]["coverage@1000"] < 1.0


def test_lists_are_not_made_unasked(shops, monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("hup.evaluation.protocol.ExposureCount", fail)
    assert evaluate(Recency().fit(shops[1]), shops[1], rows=(), at=(5,), metrics=["ndcg"]).exposure == {}


def test_a_file_gives_back_what_was_counted(shops, tmp_path):
    found = evaluate(ItemKNN().fit(shops[3]), shops[3], rows=(), at=(3, 7), metrics=METRICS).exposure["item-knn"]
    path = tmp_path / "exposure.parquet"
    assert read_exposure(path) == counted_cutoffs(path) == {}
    write_exposure(path, found)
    assert counted_cutoffs(path) == {level: sorted(of.counts) for level, of in found.items()}
    again = read_exposure(path)
    assert list(again) == list(found)
    for level, of in found.items():
        np.testing.assert_equal(asdict(again[level]), asdict(of))


def test_a_broken_file_is_told(tmp_path):
    (tmp_path / "exposure.parquet").write_text("nothing")
    with pytest.raises(HupError, match="does not read as counted lists"):
        read_exposure(tmp_path / "exposure.parquet")
