"""What a training run on several processes has to settle: what they train on, where they begin, what they draw."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from hup import processes
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.training.checkpoint import Checkpoint, TrainingState

if TYPE_CHECKING:
    from hup.training.trained import TrainedRecommender


def check(model: TrainedRecommender, dataset: Dataset) -> None:
    """Check that the processes can train a model together.

    Raises
    ------
    HupError
        The loss of a batch is not that of its parts; or the processes have different datasets.
    """
    if processes.size() == 1:
        return
    model.check_divisible()
    of_first = processes.told(lambda: dataset.fingerprint)
    if of_first != dataset.fingerprint:
        raise HupError(
            f"{dataset.path} is dataset {dataset.fingerprint[:12]} here, and {of_first[:12]} for the first process. "
            f"All machines need the same one: put it on a disk that they share, or copy it."
        )


def checkpoint_told(own: Checkpoint | None) -> Checkpoint | None:
    """Give all processes the checkpoint that the first one goes on from, if there is one."""
    if processes.size() == 1:
        return own
    state = processes.told(lambda: None if own is None else asdict(own.state))
    if state is None:
        return None
    tensors = processes.tensors_told(lambda: {} if own is None else own.tensors)
    return Checkpoint(TrainingState(**state), tensors)


def draw_apart(seed: int, epoch: int) -> None:
    """Let every process but the first, which goes on as if it were alone, have dropout of its own in an epoch."""
    if processes.size() > 1 and not processes.is_first():
        state = np.random.SeedSequence((seed, epoch, processes.number())).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))
