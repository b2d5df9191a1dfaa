"""What all models have in common that learn by gradient descent: a network, skip-gram vectors, a loss a level."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from hup.config import Section, TrainedConfig
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.nn.devices import DeviceName, chosen
from hup.nn.tables import unshared
from hup.recommender.base import Recommender
from hup.recommender.model_folder import restore_network
from hup.sessions.batches import Histories, Targets
from hup.sessions.levels import Buckets
from hup.training.loop import Observer, train


@dataclass(frozen=True)
class Mean:
    """A part of a loss: ``value`` ``()`` is the mean over ``count`` targets; it comes into the sum ``weight`` times."""

    value: Tensor
    count: int
    weight: float = 1.0


@dataclass(frozen=True)
class LevelLoss:
    """Loss of one level in a batch: a sum of means, each known with its count so that those of parts can be joined."""

    means: tuple[Mean, ...]

    @classmethod
    def of(cls, value: Tensor, count: int) -> LevelLoss:
        """Make a loss that is one mean, ``()``, over so many targets."""
        return cls((Mean(value, count),))

    @property
    def value(self) -> Tensor:
        """The loss, ``()``."""
        return torch.stack([mean.weight * mean.value for mean in self.means]).sum()

    @property
    def count(self) -> int:
        """Targets that the first mean is over: by them the log weighs batches."""
        return self.means[0].count


@dataclass(frozen=True)
class WatchedTable:
    """A table of vectors, ``(n, d)``, whose spread is logged, and what to do where it collapses (None: no matter)."""

    weight: Tensor
    remedy: str | None


class TrainedRecommender(Recommender):
    """A recommender with a network that the loop of :mod:`hup.training` fits.

    Attributes
    ----------
    config : TrainedConfig
        Or a section derived from it.
    """

    options: ClassVar[type[Section]] = TrainedConfig
    costly: ClassVar[bool] = True
    config: TrainedConfig

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._network: nn.Module | None = None
        self._buckets: Buckets | None = None

    # ------------------------------------------------------------------ what a model must do

    @abstractmethod
    def build(self) -> nn.Module:
        """Make the network, with random weights, for ``self.vocabulary`` and ``self.buckets``."""

    @abstractmethod
    def losses(self, histories: Histories, targets: Targets) -> dict[str, LevelLoss]:
        """Losses of a batch by level, from ``self.network`` in training mode; levels without weight may be left out.

        Targets without a category do not count at the category levels (:meth:`Targets.wanted`).
        """

    def level_weights(self) -> dict[str, float]:
        """Weight of every level's loss in the sum."""
        return dict.fromkeys(self.levels, 1.0)

    def first_vectors(self, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the vectors that tables begin with, ``(n_known, d)`` by level; none by default."""
        return {}

    def take_vectors(self, vectors: Mapping[str, Tensor]) -> None:
        """Put the vectors of :meth:`first_vectors` into the network's tables."""
        assert not vectors, f"{self.kind} fits skip-gram vectors and does not take them up"

    def check_earlier(self, earlier: TrainedRecommender, dataset: Dataset) -> None:
        """Check that training on a dataset can begin from an earlier model.

        Raises
        ------
        HupError
            This kind of model cannot begin from another one; or the earlier one has another configuration, or is of
            another shop.
        """
        raise HupError(f"A model of kind {self.kind} cannot begin from another one; train it without.")

    def first_vectors_from(self, earlier: TrainedRecommender, dataset: Dataset) -> dict[str, Tensor]:
        """Fit :meth:`first_vectors` onwards from the vectors of an earlier model, in whose space they stay."""
        self.check_earlier(earlier, dataset)
        return {}

    def begin_from(self, earlier: TrainedRecommender) -> None:
        """Take over what an earlier model has learned, by the names of items and categories.

        Raises
        ------
        HupError
            The networks do not fit.
        """
        raise HupError(f"A model of kind {self.kind} cannot begin from another one; train it without.")

    def _same_kind(self, earlier: TrainedRecommender) -> Self:
        if earlier.kind != self.kind:
            raise HupError(f"The model to begin from is of kind {earlier.kind}, expected {self.kind}.")
        return cast("Self", earlier)

    def check_divisible(self) -> None:
        """Check that the loss of a batch is made of those of its sessions, so that several processes can train.

        Raises
        ------
        HupError
            It compares sessions of a batch with each other.
        """

    def watched(self) -> dict[str, WatchedTable]:
        """Tables whose spread is logged after every epoch, by name; none by default."""
        return {}

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Group what is trained, each with its factor on ``training.learning_rate``; all alike by default."""
        return [(1.0, [parameter for parameter in self.network.parameters() if parameter.requires_grad])]

    def begin_epoch(self) -> None:
        """Get ready for an epoch of training; the loop calls it with the weights that the epoch begins with."""

    def tune(self, dataset: Dataset) -> None:
        """Choose on the validation split what descent cannot learn; the loop calls it after every epoch."""

    def conclude(self, dataset: Dataset, note: Callable[[str], None]) -> None:
        """Learn from the validation split what waits for the end; the loop calls it with the weights that it keeps.

        Parameters
        ----------
        dataset : Dataset
        note : callable
            Told what is being learned, if anything is.
        """

    def end_training(self) -> None:
        """Get ready for being asked; the loop calls it before every validation and with the weights that it keeps."""

    # ------------------------------------------------------------------ what all have

    def fit(
        self,
        dataset: Dataset,
        *,
        out: str | Path | None = None,
        init: TrainedRecommender | None = None,
        resume: bool = False,
        overwrite: bool = False,
        observer: Observer | None = None,
    ) -> Self:
        """Train on the training split; the best epoch on the validation split is kept.

        Parameters
        ----------
        dataset : Dataset
        out : path, optional
            Model folder for checkpoints, log and the finished model; without it nothing is written. An unfinished run
            of the same configuration and dataset in it is continued.
        init : TrainedRecommender, optional
            Model to begin from instead of random weights: of the same kind and configuration, fitted on an earlier
            state of the shop.
        resume : bool
            Also continue a finished run, up to a larger ``training.epochs``.
        overwrite : bool
            Start anew, whatever is in ``out``.
        observer : Observer, optional
            Told of every batch and epoch.

        Raises
        ------
        HupError
            If no training session is left after the filters of ``config.sessions``, or ``init`` does not fit.
        """
        path = None if out is None else Path(out)
        train(self, dataset, out=path, init=init, resume=resume, overwrite=overwrite, observer=observer)
        return self

    def initialise(self, dataset: Dataset, vectors: Mapping[str, Tensor] | None = None) -> Self:
        """Take the dataset's vocabulary and make a network of random weights and, where configured, skip-gram vectors.

        The same configuration, seed included, gives the same weights.

        Parameters
        ----------
        dataset : Dataset
        vectors : mapping of str to Tensor, optional
            Skip-gram vectors by level, from :meth:`first_vectors`; those of a level that is not there stay random.
        """
        torch.manual_seed(self.config.training.seed)
        self._take(dataset)
        edges = dataset.manifest.buckets
        self._buckets = Buckets(tuple(edges.interval_upper_edges), tuple(edges.dwell_upper_edges))
        self._network = self.build().eval()
        if vectors:
            self.take_vectors(vectors)
        return self

    @property
    def network(self) -> nn.Module:
        """The network; an unfitted model has none."""
        return self._fitted(self._network)

    @property
    def device(self) -> torch.device:
        """Where the network is, and computes."""
        return next(self.network.parameters()).device

    def to(self, name: DeviceName) -> Self:
        """Move the network to a device: to ask about many sessions. Live answers want it where it is at first, on cpu.

        Raises
        ------
        HupError
            ``"cuda"`` is asked for where there is none.
        """
        self.network.to(chosen(name))
        return self

    @property
    def buckets(self) -> Buckets:
        """Bucket edges of interval and dwell."""
        return self._fitted(self._buckets)

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the network."""
        return unshared(self.network)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the network and give it these weights."""
        self._restore_into(self.build(), tensors)

    def _restore_into(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        restore_network(network, tensors)
        self._network = network.eval()

    def _more_config(self) -> dict[str, Any]:
        return {"buckets": {"interval": self.buckets.interval, "dwell": self.buckets.dwell}}

    def _take_config(self, content: Mapping[str, Any]) -> None:
        edges = content["buckets"]
        self._buckets = Buckets(tuple(edges["interval"]), tuple(edges["dwell"]))
