"""Logs of a few sessions written by hand, and histories over their items, for models that count."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hup.sessions.batches import Histories


def toy_log(
    sessions: list[list[int]], paths: np.ndarray, n_items: int, n_categories: tuple[int, ...], train: int
) -> Any:
    """What counting models read of a dataset; the first ``train`` sessions are its training split."""
    items = [item for session in sessions for item in session]
    return SimpleNamespace(
        levels=len(n_categories),
        n_train_items=n_items,
        n_train_categories=n_categories,
        behaviors=[],
        fingerprint="f" * 64,
        manifest=SimpleNamespace(split=SimpleNamespace(bounds=None), preparation=None),
        offsets=np.concatenate([[0], np.cumsum([len(session) for session in sessions])]).astype(np.int64),
        item=np.array(items, dtype=np.int32),
        taxonomy=SimpleNamespace(
            paths=paths,
            names=tuple([str(code) for code in range(n)] for n in n_categories),
            parents=tuple(np.full(n, -1) if k == 0 else np.zeros(n, dtype=int) for k, n in enumerate(n_categories)),
        ),
        item_columns=None,
        item_names=[str(code) for code in range(n_items)],
        sessions=lambda split: {"train": range(train)}[split],
    )


def toy_histories(rows: Sequence[Sequence[int]], paths: np.ndarray, seconds: float = 1.0) -> Histories:
    """Histories of these items; every interval and dwell is ``seconds``."""
    item = torch.tensor([code for row in rows for code in row])
    return Histories(
        offsets=torch.tensor([0, *np.cumsum([len(row) for row in rows])]),
        item=item,
        categories=torch.from_numpy(paths[item.numpy()].astype(np.int64)),
        behavior=torch.zeros_like(item),
        interval=torch.full((len(item),), seconds),
        dwell=torch.full((len(item),), seconds),
    )
