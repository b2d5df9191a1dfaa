"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one safetensors file, no pickle.

A file carries its digest, so that a damaged one is noticed, and the one before it stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hup.errors import HupError
from hup.files import write_aside
from hup.nn.tables import unshared

#: Of a model whose levels share weights: the one part that has an epoch.
WHOLE = "all"
_NETWORK, _BEST, _OPTIMIZER, _RANDOM = "network.", "best.", "optimizer.", "random_state"
_RANDOM_CUDA = "random_state_cuda"


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


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    state : TrainingState
    tensors : dict of str to Tensor
        Weights, those of the best epoch, optimizer and random state.
    """

    state: TrainingState
    tensors: dict[str, Tensor]

    def is_finished(self, epochs: int) -> bool:
        """Whether nothing is left to do: so many epochs are done, and the model has been written."""
        return self.state.saved and self.state.is_over(epochs)

    @classmethod
    def of(
        cls,
        weights: Mapping[str, Tensor],
        best: Mapping[str, Tensor],
        optimizer: torch.optim.Optimizer,
        state: TrainingState,
    ) -> Self:
        """Collect how a run stands; ``best`` are the weights of the best epoch so far."""
        tensors = {_NETWORK + name: tensor for name, tensor in weights.items()}
        tensors |= {_BEST + name: tensor for name, tensor in best.items()}
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"{_OPTIMIZER}{index}.{key}": torch.as_tensor(value) for key, value in slots.items()}
        tensors[_RANDOM] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors[_RANDOM_CUDA] = torch.cuda.get_rng_state()
        return cls(state, {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a checkpoint.

        Raises
        ------
        HupError
            If the file is none, or is damaged.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
            state = TrainingState(**json.loads(metadata["progress"]))
            if _digest(metadata["progress"], tensors) != metadata["digest"]:
                raise ValueError("its digest is another one than was written with it")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise HupError(f"{path} does not read as a checkpoint ({error}).") from error
        return cls(state, tensors)

    def write(self, path: Path, *, before: Path | None = None) -> None:
        """Write the checkpoint, whole or not at all; what was at ``path`` stays, as ``before`` if that is given.

        Raises
        ------
        HupError
            If it cannot be written; what was there is there still.
        """
        progress = json.dumps(asdict(self.state))
        metadata = {"progress": progress, "digest": _digest(progress, self.tensors)}
        try:
            with write_aside(path) as aside:
                save_file(self.tensors, aside, metadata=metadata)
                if before is not None and path.is_file():
                    path.replace(before)
        except HupError as error:
            raise HupError(
                f"{error} Epochs up to the last checkpoint are kept: the same command goes on from there."
            ) from error

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Give network, optimizer and random numbers the state that they had.

        Returns
        -------
        dict of str to Tensor
            Weights of the best epoch.

        Raises
        ------
        HupError
            If the checkpoint is of another network.
        """
        own, weights, best = unshared(network), self._named(_NETWORK), self._named(_BEST)
        if weights.keys() != own.keys() or any(weights[name].shape != own[name].shape for name in own):
            raise HupError("The last checkpoint is of another network; start anew with --overwrite.")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(weights[name])
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self._named(_OPTIMIZER).items():
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(self.tensors[_RANDOM])
        if torch.cuda.is_available() and _RANDOM_CUDA in self.tensors:
            torch.cuda.set_rng_state(self.tensors[_RANDOM_CUDA])
        return {name: tensor.to(own[name].device) for name, tensor in best.items()}

    def _named(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): one for name, one in self.tensors.items() if name.startswith(prefix)}


def _digest(progress: str, tensors: Mapping[str, Tensor]) -> str:
    digested = hashlib.sha256(progress.encode())
    for name, tensor in sorted(tensors.items()):
        digested.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digested.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digested.hexdigest()


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
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except (OSError, SafetensorError):
        return None
