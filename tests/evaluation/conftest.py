"""Small datasets in memory: what the evaluation reads of a dataset, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hup.data.dataset import Dataset
from hup.data.manifest import Counts, Manifest, Split, SplitBounds, TrainVocabulary
from hup.data.taxonomy import Taxonomy

MakeDataset = Callable[..., Dataset]


def dataset_in_memory(
    sessions: Sequence[Sequence[str]], paths: dict[str, Sequence[str]], bounds: tuple[int, int]
) -> Dataset:
    """Build a dataset: items by name, one event each; ``bounds`` are the ends of train and validation."""
    items: dict[str, int] = {}
    for session in sessions:
        for item in session:
            items.setdefault(item, len(items))
    depth = len(next(iter(paths.values())))
    codes: list[dict[tuple[str, ...], int]] = [{} for _ in range(depth)]
    table = np.empty((len(items), depth), dtype=np.int32)
    for item, code in items.items():
        for k in range(depth):
            table[code, k] = codes[k].setdefault(tuple(paths[item][: k + 1]), len(codes[k]))
    in_train = {item for session in sessions[: bounds[0]] for item in session}
    train = [items[item] for item in in_train]
    n_train_categories = [len(np.unique(table[train, k])) for k in range(depth)]
    lengths = [len(session) for session in sessions]
    events = sum(lengths)
    return Dataset(
        path=Path("toy"),
        manifest=Manifest.model_construct(
            levels=depth,
            behaviors=[],
            counts=Counts.model_construct(
                sessions=len(sessions), events=events, items=len(items), categories=[len(c) for c in codes]
            ),
            split=Split(
                method="time",
                shares=(0.7, 0.1, 0.2),
                seed=None,
                bounds=SplitBounds(
                    train=(0, bounds[0]), validation=(bounds[0], bounds[1]), test=(bounds[1], len(sessions))
                ),
            ),
            train=TrainVocabulary(items=len(in_train), categories=n_train_categories, test_targets_known=None),
            fingerprint="f" * 64,
        ),
        item=np.array([items[item] for session in sessions for item in session], dtype=np.int32),
        behavior=np.zeros(events, dtype=np.uint8),
        interval=np.ones(events, dtype=np.float32),
        dwell=np.ones(events, dtype=np.float32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        taxonomy=Taxonomy(
            paths=table,
            names=tuple([path[-1] for path in level] for level in codes),
            parents=tuple(
                np.array([codes[k - 1][path[:-1]] if k else -1 for path in level], dtype=np.int32)
                for k, level in enumerate(codes)
            ),
        ),
        _sessions=pa.record_batch(
            {
                "session": pa.array([f"toy.txt:{line}" for line in range(1, len(sessions) + 1)], pa.large_string()),
                "user": pa.nulls(len(sessions), pa.large_string()),
            }
        ),
        _items=pa.record_batch({"item": pa.array(list(items), pa.large_string())}),
    )


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """The builder of datasets in memory."""
    return dataset_in_memory
