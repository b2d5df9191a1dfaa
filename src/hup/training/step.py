"""One step of descent: losses and gradients of a batch, of which every process works out its share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hup import processes
from hup.data.dataset import Dataset
from hup.nn.devices import in_precision
from hup.sessions.batches import Histories, Targets, histories_and_targets

if TYPE_CHECKING:
    from hup.config import Sessions
    from hup.training.trained import LevelLoss, TrainedRecommender


@dataclass(frozen=True)
class BatchLoss:
    """What a batch has cost at a level: the mean over ``count`` targets, of all processes together."""

    value: float
    count: int


def descend(
    model: TrainedRecommender, dataset: Dataset, histories: Histories, targets: Targets
) -> dict[str, BatchLoss]:
    """Give the parameters of a model the gradients of a batch; they have none before.

    Every process has the same batch, works out the losses of its share of the sessions, and has the gradients of all of
    it in the end: those that a process alone would have, but for what is drawn by dropout.

    Parameters
    ----------
    model : TrainedRecommender
    dataset : Dataset
        That the batch is of.
    histories, targets
        The whole batch.

    Returns
    -------
    dict of str to BatchLoss
        By level.
    """
    options, device = model.config, model.device
    if processes.size() == 1:
        with in_precision(options.training.precision, device):
            losses = model.losses(histories, targets)
        values = {level: loss.value for level, loss in losses.items()}
        _weighed(model, values).backward()
        return {level: BatchLoss(float(value.detach()), losses[level].count) for level, value in values.items()}
    if len(histories) < processes.size():
        # A share may not be empty, or some would not come by where what is drawn is told.
        with processes.alone(), in_precision(options.training.precision, device):
            losses = model.losses(histories, targets) if processes.is_first() else {}
        counts = {level: [mean.count for mean in loss.means] for level, loss in losses.items()}
    else:
        with in_precision(options.training.precision, device):
            losses = model.losses(*_own_share(dataset, histories, options.sessions))
        counts = _counts_of_all(losses)
    values = {
        level: torch.stack(
            [
                mean.weight * mean.value * (mean.count / max(count, 1))
                for mean, count in zip(loss.means, counts[level], strict=True)
            ]
        ).sum()
        for level, loss in losses.items()
    }
    if values:
        _weighed(model, values).backward()
    sum_gradients([parameter for parameter in model.network.parameters() if parameter.requires_grad])
    return _of_all(model.level_weights(), values, {level: counted[0] for level, counted in counts.items()})


def _weighed(model: TrainedRecommender, values: Mapping[str, Tensor]) -> Tensor:
    weights = model.level_weights()
    return torch.stack([weights[level] * value for level, value in values.items()]).sum()


def _own_share(dataset: Dataset, histories: Histories, options: Sessions) -> tuple[Histories, Targets]:
    assert histories.index is not None
    sessions = np.asarray(processes.share(histories.index.tolist()), dtype=np.int64)
    return histories_and_targets(dataset, sessions, options.last_interval, max_events=options.max_events)


def _counts_of_all(losses: Mapping[str, LevelLoss]) -> dict[str, list[int]]:
    """Count the targets of every mean in all shares."""
    flat = processes.summed(torch.tensor([mean.count for loss in losses.values() for mean in loss.means]))
    parts = flat.split([len(loss.means) for loss in losses.values()])
    return {level: part.tolist() for level, part in zip(losses, parts, strict=True)}


def _of_all(levels: Iterable[str], values: Mapping[str, Tensor], counts: Mapping[str, int]) -> dict[str, BatchLoss]:
    """Sum the values of all shares; levels that no process has a loss of are left out."""
    none = (0.0, 0, 0)
    rows = [(float(values[level].detach()), counts[level], 1) if level in values else none for level in levels]
    summed = processes.summed(torch.tensor(rows, dtype=torch.float64)).tolist()
    found = dict(zip(levels, summed, strict=True))
    # Each that has a level's loss knows the count of all.
    return {
        level: BatchLoss(value, round(count / having))
        for level, (value, count, having) in (
            (level, found[level]) for level in [*values, *(found.keys() - values.keys())]
        )
        if having
    }


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Sum the gradients of all processes; one that no process has stays away, as the optimizer tells that from 0."""
    there = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.float32)
    flat = torch.cat(
        [
            (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).flatten()
            for parameter in parameters
        ]
        + [there.to(parameters[0].device)]
    )
    processes.summed(flat)
    *gradients, there = flat.split([parameter.numel() for parameter in parameters] + [len(parameters)])
    for parameter, gradient, some in zip(parameters, gradients, there.tolist(), strict=True):
        parameter.grad = gradient.view_as(parameter) if some else None
