"""What the shop says of its items: columns that go along with an answer, and what is in stock and so may come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hup.data.item_columns import ItemColumns, titles
from hup.errors import HupError
from hup.recommender.restriction import Restriction
from hup.recommender.table_formats import json_value
from hup.recommender.vocabulary import Vocabulary
from hup.serving.items_table import open_items
from hup.serving.names import checked_id, checked_name
from hup.serving.served import Served
from hup.serving.stores.store import Store
from hup.sessions.levels import ITEM, Level

STOCK: Final = "in_stock"
_ROWS = 65_536  # rows of the table that are kept in memory
_COLUMNS = 64  # of an item that is put
_TEXT = 4_096  # bytes of a value
_STOCK_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Row = dict[str, Any]


class Catalog:
    """Columns of items: those of a table, and over them what was put since.

    Parameters
    ----------
    vocabulary : Vocabulary
    columns : ItemColumns or None

    Attributes
    ----------
    out : set of str
        Items that are not in stock.
    allowed : Tensor or None
        ``(n_known,)`` bool: which items of the vocabulary may come; None = all.
    """

    def __init__(self, vocabulary: Vocabulary, columns: ItemColumns | None) -> None:
        self._vocabulary, self._columns = vocabulary, columns
        self._put: dict[str, Row] = {}
        self._revision = 0
        self._of_table = lru_cache(_ROWS)(self._read_row)
        self.out: set[str] = set(_out_of_stock(columns))
        self.allowed: Tensor | None = None
        self._mark(self.out)

    @classmethod
    def of(cls, served: Served, items: Path | None) -> Catalog:
        """Open the table that is given, or else the model's."""
        columns = served.item_columns if items is None else open_items(items)
        return cls(served.model.vocabulary, columns)

    def take_over(self, before: Catalog) -> None:
        """Take what was put into another catalog."""
        self._take(before._put)
        self._revision = before._revision

    async def renew(self, store: Store) -> None:
        """Look for what was put since the last time, by whomever."""
        found = await store.items_since(self._revision)
        if found.revision < self._revision:  # another store has taken the place of the one before
            self._take({item: {} for item in self._put})
            self._put.clear()
        if found.revision != self._revision:
            self._take({item: msgspec.json.decode(row, type=dict) for item, row in found.rows.items()})
            self._revision = found.revision

    async def put(self, rows: Mapping[str, Row], store: Store) -> None:
        """Put values of items over those that are there; null takes one away."""
        await self.renew(store)
        merged = {item: {**self._put.get(item, {}), **row} for item, row in rows.items()}
        await store.put_items({item: msgspec.json.encode(row) for item, row in merged.items()})
        await self.renew(store)

    def row(self, item: str) -> Row:
        """Give what is known of an item, by column; empty = nothing."""
        put = self._put.get(item)
        return self._of_table(item) if put is None else {**self._of_table(item), **put}

    def title(self, item: str) -> str | None:
        """Give what people call an item, where the shop says it."""
        row = self.row(item)
        found = [row[name] for name in titles(tuple(row))]
        return None if not found or found[0] is None else str(found[0])

    def _read_row(self, item: str) -> Row:
        if self._columns is None:
            return {}
        row = {name: _plain(value) for name, value in self._columns.of(item).items()}
        return {**row, STOCK: _in_stock(row[STOCK])} if STOCK in row else row

    def _take(self, rows: Mapping[str, Row]) -> None:
        for item, row in rows.items():
            self._put[item] = row
            is_out = self.row(item).get(STOCK) is False
            (self.out.add if is_out else self.out.discard)(item)
        self._mark(rows)

    def _mark(self, items: Mapping[str, Row] | set[str]) -> None:
        """Bring the mask of what may come up to date for some items."""
        codes = self._vocabulary.item_codes
        known = [item for item in items if item in codes]
        if not known:
            return
        if self.allowed is None:
            self.allowed = torch.ones(len(codes), dtype=torch.bool)
        at = torch.from_numpy(np.array([codes[item] for item in known]))
        self.allowed[at] = torch.tensor([item not in self.out for item in known])


def checked_row(values: object) -> tuple[str, Row]:
    """Read what is said of one item: its name, and values by column.

    Raises
    ------
    HupError
        It is no such thing.
    """
    if not isinstance(values, dict):
        raise HupError(f"item: expected an object with key 'item', found {values!r:.80}.")
    row = dict(values)
    name = checked_id(row.pop("item", None), "key 'item'")
    if len(row) > _COLUMNS:
        raise HupError(f"item {name!r:.80} has {len(row):,} columns, expected {_COLUMNS} at most.")
    for column, value in row.items():
        checked_name(column, "the name of a column", 64)
        if not isinstance(value, str | int | float | bool | None):
            raise HupError(f"item {name!r:.80}: column {column!r} is {value!r:.80}, expected text, number or bool.")
        if isinstance(value, str):
            _check_text(value, name, column)
    if not isinstance(row.get(STOCK), bool | None):
        raise HupError(f"item {name!r:.80}: {STOCK} is {row[STOCK]!r:.80}, expected true or false.")
    return name, row


def _check_text(value: str, item: str, column: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in value) or len(value.encode()) > _TEXT:
        raise HupError(f"item {item!r:.80}: column {column!r} is no text of at most {_TEXT:,} bytes.")


def _out_of_stock(columns: ItemColumns | None) -> list[str]:
    if columns is None or STOCK not in columns.names:
        return []
    told = columns.table.column(STOCK).to_pylist()
    places = [place for place, value in enumerate(told) if _in_stock(value) is False]
    names: list[str] = columns.table.column(0).take(pa.array(places, pa.int64())).to_pylist()
    return names


def _in_stock(value: object) -> bool | None:
    """Read what a table says of the stock: text, as of CSV, a number of pieces, or true and false."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int | float):
        return value > 0
    return _STOCK_WORDS.get(str(value).strip().lower())


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str | None) else json_value(value)


class InStock(Restriction):
    """What may be recommended: what a request asks for, of what is in stock.

    Parameters
    ----------
    catalog : Catalog
    within, new_only, seen
        As for :class:`Restriction`.
    """

    def __init__(self, catalog: Catalog, *, within: str = "", new_only: bool = False, seen: Iterable[str] = ()) -> None:
        super().__init__(within=within, new_only=new_only, seen=seen)
        self._catalog = catalog

    def of_vocabulary(self, vocabulary: Vocabulary, level: str) -> Tensor | None:
        """Tell which known codes of a level may come, ``(n_known,)`` bool; None = all."""
        asked = super().of_vocabulary(vocabulary, level)
        stock = self._catalog.allowed if Level(level) == ITEM else None
        if asked is None or stock is None:
            return stock if asked is None else asked
        return asked & stock

    def allows(self, name: str, path: tuple[str, ...]) -> bool:
        """Tell whether an item or category may come, by its name and its path of names."""
        return name not in self._catalog.out and super().allows(name, path)
