"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one safetensors file, no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hup.errors import HupError
from hup.files import write_aside
from hup.nn.tables import unshared

#: Of a model whose levels share weights: the one part that has an epoch.
WHOLE = "all"
_NETWORK, _OPTIMIZER, _RANDOM = "network.", "optimizer.", "random_state"


@dataclass
class TrainingState:
    """How far a run has come.

    Attributes
    ----------
    config : dict
        The configuration, as plain dictionaries.
    dataset_fingerprint : str
    began_from : str
        Digest of the model whose weights the run began with, empty = random weights.
    history : list of dict
        The log: one record for every epoch done.
    best_epochs : dict of str to int
        Epoch (from 1) with the best validation so far, of the whole model (:data:`WHOLE`) or of each of its levels.
    best_gains : dict of str to float
        Its gain on the validation split, for what has one.
    stopped : bool
        Whether the run stopped early.
    saved : bool
        Whether the finished model has been written.
    """

    config: dict[str, Any]
    dataset_fingerprint: str
    began_from: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epochs: dict[str, int] = field(default_factory=dict)
    best_gains: dict[str, float] = field(default_factory=dict)
    stopped: bool = False
    saved: bool = False

    def is_over(self, epochs: int) -> bool:
        """Whether there is nothing left to train: so many epochs are done, or it stopped before."""
        return self.stopped or len(self.history) >= epochs

    def take(self, gains: Mapping[str, float], parts: Iterable[str]) -> list[str]:
        """Note the gains of the epoch that was logged last.

        Parameters
        ----------
        gains : mapping of str to float
            Of the parts that have any; the last epoch is the best one of the others.
        parts : iterable of str
            What has an epoch of its own.

        Returns
        -------
        list of str
            Parts whose best epoch it is.
        """
        better = [part for part in parts if gains.get(part, inf) > self.best_gains.get(part, -inf)]
        self.best_epochs |= dict.fromkeys(better, len(self.history))
        self.best_gains |= {part: gains[part] for part in better if part in gains}
        return better

    @property
    def waiting(self) -> int:
        """Epochs since the last one that was the best one of some part with gains; 0 where there are no gains."""
        return len(self.history) - max((self.best_epochs[part] for part in self.best_gains), default=len(self.history))

    def kept(self, key: str) -> dict[str, Any] | None:
        """Collect what the log says of each level under a key, at the epoch that is kept of it; None if nothing."""
        levels = self.history[-1].get(key)
        if levels is None:
            return None
        epochs = {level: self.best_epochs.get(level) or self.best_epochs[WHOLE] for level in levels}
        return {level: self.history[epoch - 1][key][level] for level, epoch in epochs.items()}


def save_checkpoint(
    path: Path, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None, state: TrainingState
) -> None:
    """Write weights and state and, to go on from there, optimizer and random state; whole or not at all."""
    tensors = {_NETWORK + name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    for index, slots in optimizer.state_dict()["state"].items() if optimizer is not None else ():
        for key, value in slots.items():
            tensors[f"{_OPTIMIZER}{index}.{key}"] = torch.as_tensor(value).cpu().contiguous()
    tensors[_RANDOM] = torch.get_rng_state()
    with write_aside(path) as aside:
        save_file(tensors, aside, metadata={"progress": json.dumps(asdict(state))})


def read_state(path: Path) -> TrainingState:
    """Read how far the run of a checkpoint has come.

    Raises
    ------
    HupError
        If the file does not read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return TrainingState(**json.loads(file.metadata()["progress"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise HupError(f"{path} does not read as a checkpoint ({error}); start anew with --overwrite.") from error


def save_vectors(path: Path, vectors: dict[str, Tensor], fitted_for: str) -> None:
    """Keep skip-gram vectors, with what they were fitted for."""
    with write_aside(path) as aside:
        save_file(vectors, aside, metadata={"fitted_for": fitted_for})


def load_vectors(path: Path, wanted_for: str) -> dict[str, Tensor] | None:
    """Read vectors that :func:`save_vectors` kept; None if there are none, or they were fitted for something else."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("fitted_for") != wanted_for:
                return None
        return _read_tensors(path)
    except (OSError, SafetensorError):
        return None


def mark_saved(path: Path) -> None:
    """Note in a run's last checkpoint that the model has been written, so that nobody takes an older one for it."""
    state = read_state(path)
    state.saved = True
    tensors = _read_tensors(path)
    with write_aside(path) as aside:
        save_file(tensors, aside, metadata={"progress": json.dumps(asdict(state))})


def load_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Restore the network and, where an optimizer is given, that and the random state.

    Raises
    ------
    HupError
        If the checkpoint is of another network.
    """
    tensors = _read_tensors(path)
    own = unshared(network)
    weights = {name.removeprefix(_NETWORK): tensor for name, tensor in tensors.items() if name.startswith(_NETWORK)}
    if weights.keys() != own.keys() or any(weights[name].shape != own[name].shape for name in own):
        raise HupError(f"{path} is of another network; start anew with --overwrite.")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])
    if optimizer is not None:
        groups = optimizer.state_dict()["param_groups"]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(_OPTIMIZER):
                index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
                slots.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": slots, "param_groups": groups})
        torch.set_rng_state(tensors[_RANDOM])


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
