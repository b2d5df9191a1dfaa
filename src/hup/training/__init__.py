"""The training loop, its checkpoints, and what it reports."""

from hup.training.fit import fit
from hup.training.loop import train
from hup.training.observer import Observer

__all__ = ["Observer", "fit", "train"]
