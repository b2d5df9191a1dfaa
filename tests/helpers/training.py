"""What watches a training run, what stops it, and whether two runs came to the same weights."""

from __future__ import annotations

from typing import Any

import torch

import hup
from hup.training import Observer


class Notes(Observer):
    """Collects what the loop says."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.records: list[dict[str, Any]] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def epoch_done(self, record: dict[str, Any]) -> None:
        self.records.append(record)


class StopAfter(Notes):
    """Presses Ctrl-C in the first batch after so many epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def batch_done(self, sessions: int, loss: float) -> None:
        if len(self.records) == self.epochs:
            raise KeyboardInterrupt


def weights(model: hup.HUP) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
