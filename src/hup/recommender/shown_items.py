"""Columns of items for whole columns of item codes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.data.item_columns import ItemColumns, shown_columns
from hup.sessions.levels import Level


class ShownItems:
    """Gives codes what the shop says of their items.

    Parameters
    ----------
    dataset : Dataset
        Whose codes they are.
    carried : ItemColumns or None
        What is known.
    show : sequence of str, optional
        Columns wanted; by default that with names or titles.

    Attributes
    ----------
    columns : tuple of str
        Columns that are given.

    Raises
    ------
    HupError
        There is no such column.
    """

    def __init__(self, dataset: Dataset, carried: ItemColumns | None, show: Sequence[str] | None) -> None:
        self._dataset, self._carried = dataset, carried
        self.columns = shown_columns(carried, show)

    @property
    def type(self) -> pa.StructType:
        """Type of the values."""
        schema = pa.schema([]) if self._carried is None else self._carried.schema
        return pa.struct([schema.field(name) for name in self.columns])

    @property
    def digest(self) -> str:
        """Tells what is known from what was known before, where it is given at all."""
        return "" if self._carried is None or not self.columns else self._carried.info.digest

    @cached_property
    def _rows(self) -> pa.Int32Array:
        """The row of every code."""
        assert self._carried is not None, "without columns nothing is asked for"
        return self._carried.rows(self._dataset.item_name_array)

    def values(self, level: str, codes: NDArray[np.int64]) -> pa.StructArray:
        """Give the values of codes of a level, ``(n,)``; null for categories and where nothing is known."""
        if self._carried is None or Level(level).is_category:
            return pa.nulls(len(codes), self.type)
        rows = self._rows.take(pa.array(codes))
        values = self._carried.take(rows, self.columns)
        return pa.StructArray.from_arrays(values.flatten(), fields=list(self.type), mask=rows.is_null())
