"""What brings about the probabilities of single codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Contributions:
    """What brings about the probabilities of ``C`` codes at a level, as the level says them by itself.

    Attributes
    ----------
    total : ndarray
        ``(C,)``; what is missing to it is popularity's.
    repeat, memory : ndarray
        ``(C, P)``, of every visit.
    profile : ndarray
        ``(C,)``.
    """

    total: Floats
    repeat: Floats
    memory: Floats
    profile: Floats
