"""``--device``: where ``hup train``, ``hup evaluate`` and ``hup recommend`` compute."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hup.errors import HupError

if TYPE_CHECKING:
    from hup.recommender.base import Recommender


class DeviceChoice(StrEnum):
    """Devices to compute on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption = Annotated[
    DeviceChoice, typer.Option("--device", help="auto: a CUDA device where there is one, else the processor.")
]


def move(recommender: Recommender, device: DeviceChoice) -> None:
    """Move a model that is to be asked about many sessions to a device; one without a network stays where it is.

    Raises
    ------
    HupError
        CUDA is asked for where there is none, or of a model that has nothing to compute there.
    """
    from hup.training.trained import TrainedRecommender

    if isinstance(recommender, TrainedRecommender):
        recommender.to(device.value)
    elif device is DeviceChoice.CUDA:
        raise HupError(f"A model of kind {recommender.kind} has no network: it computes on the processor. Choose auto.")
