"""Where a column of values goes over to another value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell where a value differs from the one before; the first does."""
    differs = np.empty(len(values), bool)
    differs[:1] = True
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs
