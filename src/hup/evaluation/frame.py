"""Figures as a data frame of pandas, which HUP does not need for anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hup.readable import require_pandas

if TYPE_CHECKING:
    import pandas as pd


def data_frame(columns: Sequence[str], lines: Sequence[Sequence[Any]], numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Make a data frame.

    Parameters
    ----------
    columns : sequence of str
    lines : sequence of sequence
        A value for each column.
    numbers : sequence of str
        Columns of numbers that may be missing: they are floats, even where all are.

    Raises
    ------
    HupError
        Pandas is not installed.
    """
    require_pandas()
    import pandas as pd

    return pd.DataFrame(lines, columns=list(columns)).astype(dict.fromkeys(numbers, "float64"))
