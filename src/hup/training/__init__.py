"""The training loop, its checkpoints, and what it reports."""

from hup.training.fit import fit
from hup.training.loop import Observer, train

__all__ = ["Observer", "fit", "train"]
