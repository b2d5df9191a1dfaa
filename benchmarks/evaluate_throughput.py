"""Throughput and memory of the evaluation on a catalogue of the JD data's size: a cosine model, recency and popularity.

Run ``python benchmarks/evaluate_throughput.py [--items N] [--sessions N] [--candidates full|neighbors]``. The dataset
is random and in memory: what is measured is scoring and ranking, not reading.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as the command line does, before torch is imported
import torch

from hup.data.dataset import Dataset
from hup.data.manifest import Manifest, Split, SplitBounds, TrainVocabulary
from hup.data.taxonomy import Taxonomy
from hup.evaluation import evaluate
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores, target_ranks
from hup.recommender.known_scores import Products
from hup.sessions.batches import Histories

EVENTS_PER_SESSION = 57
DIMENSIONS = 30
CATEGORIES = 400


def random_dataset(items: int, test_sessions: int, seed: int) -> Dataset:
    """One training session of every item, then test sessions in which one event in a hundred is of an unknown item."""
    rng = np.random.default_rng(seed)
    all_items = items + items // 100
    events = test_sessions * EVENTS_PER_SESSION
    clicked = (rng.random(events) ** 3 * items).astype(np.int32)
    unknown = rng.random(events) < 0.01
    clicked[unknown] = rng.integers(items, all_items, unknown.sum())
    ends = np.arange(EVENTS_PER_SESSION - 1, events, EVENTS_PER_SESSION)
    clicked[ends[clicked[ends] == clicked[ends - 1]]] = 0
    n_events = items + events
    offsets = np.concatenate([[0], np.arange(items, n_events + 1, EVENTS_PER_SESSION)])
    return Dataset(
        path=Path("random"),
        manifest=Manifest.model_construct(
            levels=1,
            behaviors=[],
            split=Split(
                method="time",
                shares=(0.7, 0.1, 0.2),
                seed=None,
                bounds=SplitBounds(train=(0, 1), validation=(1, 1), test=(1, len(offsets) - 1)),
            ),
            train=TrainVocabulary(items=items, categories=[CATEGORIES], test_targets_known=None),
            fingerprint="0" * 64,
        ),
        item=np.concatenate([np.arange(items, dtype=np.int32), clicked]),
        behavior=np.zeros(n_events, dtype=np.uint8),
        interval=np.ones(n_events, dtype=np.float32),
        dwell=np.ones(n_events, dtype=np.float32),
        offsets=offsets.astype(np.int64),
        taxonomy=Taxonomy(
            paths=(np.arange(all_items, dtype=np.int32) % CATEGORIES)[:, None],
            names=([str(code) for code in range(CATEGORIES)],),
            parents=(np.full(CATEGORIES, -1, dtype=np.int32),),
        ),
        _sessions=pa.record_batch(
            {
                "session": pa.array([str(i) for i in range(len(offsets) - 1)], pa.large_string()),
                "user": pa.nulls(len(offsets) - 1, pa.large_string()),
            }
        ),
        _items=pa.record_batch({"item": pa.array([str(i) for i in range(all_items)], pa.large_string())}),
    )


class _RandomCosine(Recommender):
    """Random vectors; a profile is the vector of the item, or category, the user is on."""

    kind = "cosine"

    def tensors(self) -> dict[str, torch.Tensor]:
        return self._vectors

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._vectors = dict(tensors)

    def fit(self, dataset: Dataset) -> _RandomCosine:
        generator = torch.Generator().manual_seed(0)
        self._vectors = {
            level: torch.nn.functional.normalize(torch.randn(size, DIMENSIONS, generator=generator), dim=1)
            for level, size in (("item", dataset.n_train_items), ("category_1", CATEGORIES))
        }
        return self

    def item_vectors(self) -> torch.Tensor:
        return self._vectors["item"]

    def score(self, histories: Histories, level: str) -> Scores:
        vectors = self._vectors[level]
        profile = vectors[histories.current(level) % len(vectors)]
        codes = histories.own_unknown(level, len(vectors)).codes
        return Scores(Products(profile, vectors), torch.zeros(codes.shape), codes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=420_000)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--candidates", choices=["full", "neighbors"], default="full")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dataset = random_dataset(given.items, given.sessions, given.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{given.items:,} items, {given.sessions:,} test sessions of {EVENTS_PER_SESSION} events")

    scores = Scores(torch.rand(64, given.items), torch.rand(64, 2), torch.arange(128).reshape(64, 2) + given.items)
    targets = torch.arange(64)
    start = time.perf_counter()
    for _ in range(10):
        target_ranks(scores, targets, excluded=targets + 1)
    rate = 640 / (time.perf_counter() - start)
    print(f"target_ranks alone: {rate:,.0f} sessions/s, {rate * given.items / 1e9:.2f} G scores/s")

    for rows in ((), ("recency", "popularity")):
        model = _RandomCosine().fit(dataset)
        start = time.perf_counter()
        found = evaluate(model, dataset, candidates=given.candidates, rows=rows)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{' + '.join(found.ranks)}, {given.candidates}: {seconds:.1f} s, {given.sessions / seconds:,.0f} "
            f"sessions/s, peak memory {peak:,.0f} MiB ({before:,.0f} before)"
        )


if __name__ == "__main__":
    main()
