"""What a shop says of its items, name, price, link: columns that dataset and model folders carry and nothing learns."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hup.data.columns import hash_values
from hup.data.engines.table_files import nearest
from hup.data.manifest import ItemColumnsInfo
from hup.errors import HupError
from hup.files import write_aside

ITEM_COLUMNS = "item_columns.arrow"
KEY = "hup_item"
#: The column that is shown where none is asked for: the first of these that is there.
_TITLES = ("name", "title", "item_name", "product_name", "item_title", "product_title")
_DIGEST = b"hup_digest"
_GIVE = "`hup prepare … --items TABLE` takes a table of them along."
_SHOWN = 30


@dataclass(frozen=True, eq=False)
class ItemColumns:
    """A row an item, mapped from a file, and found by the item's name: nothing is read before it is asked for.

    Attributes
    ----------
    table : Table
        `KEY`, in rising order, and the columns.
    info : ItemColumnsInfo
        What the folder says of it.
    """

    table: pa.Table
    info: ItemColumnsInfo

    @classmethod
    def open(cls, folder: Path, info: ItemColumnsInfo | None) -> ItemColumns | None:
        """Open the file of a dataset or model folder; None where the folder says that it has none.

        Raises
        ------
        HupError
            If the file is missing, damaged, or not the one that was written with the folder.
        """
        if info is None:
            return None
        path = folder / ITEM_COLUMNS
        again = "Copy the whole folder again, or make it again."
        if not path.is_file():
            raise HupError(f"{folder} is incomplete: {ITEM_COLUMNS} is missing. {again}")
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (pa.ArrowException, OSError) as error:
            raise HupError(f"{path} does not read as an Arrow file ({error}). {again}") from error
        if (table.schema.metadata or {}).get(_DIGEST) != info.digest.encode():
            raise HupError(f"{path} is not the file that was written with {folder}. {again}")
        return cls(table, info)

    def save(self, folder: Path) -> None:
        """Write the same file into another folder."""
        with write_aside(folder / ITEM_COLUMNS) as path:
            _write(path, self.table.schema, self.table.to_batches())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.table.column_names[1:])

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return pa.schema(list(self.table.schema)[1:])

    @property
    def title(self) -> tuple[str, ...]:
        """The column with what people call an item, if there is one."""
        return titles(self.names)

    def row(self, item: str) -> int | None:
        """Look up the row of an item."""
        items = self.table.column(0)
        place = bisect_left(range(len(items)), item, key=lambda row: items[row].as_py())
        return place if place < len(items) and items[place].as_py() == item else None

    def of(self, item: str) -> ItemRow:
        """Give an item's values by column, looked up when they are asked for; None where nothing is known."""
        return ItemRow(self, item)

    def rows(self, items: pa.Array) -> pa.Int32Array:
        """Look up the rows of many items at once; null where there is none."""
        keys = self.table.column(0)
        return pc.index_in(items.cast(keys.type), value_set=keys)

    def take(self, rows: pa.Int32Array, columns: Sequence[str]) -> pa.StructArray:
        """Give the values of rows as one structure, all parts null where a row is."""
        taken = self.table.select(columns).take(rows)
        return pa.StructArray.from_arrays(
            [column.combine_chunks() for column in taken.columns], fields=list(taken.schema)
        )


class ItemRow(Mapping[str, Any]):
    """Values of one item by column; a copy of it, and what is sent elsewhere, is a plain dictionary."""

    def __init__(self, columns: ItemColumns, item: str) -> None:
        self._columns, self._item = columns, item
        self._values: dict[str, Any] | None = None

    def _read(self) -> dict[str, Any]:
        if self._values is None:
            row, table = self._columns.row(self._item), self._columns.table
            self._values = {
                name: None if row is None else table.column(name)[row].as_py() for name in self._columns.names
            }
        return self._values

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


def titles(names: Sequence[str]) -> tuple[str, ...]:
    """Give the one of some columns that has what people call an item, or none."""
    by_lower = {name.lower(): name for name in names}
    return tuple(by_lower[name] for name in _TITLES if name in by_lower)[:1]


def shown_columns(columns: ItemColumns | None, show: Sequence[str] | None) -> tuple[str, ...]:
    """Check which columns are to be shown; None: the one with names or titles, if there is one.

    Raises
    ------
    HupError
        If there is no such column, or none at all; the message names those that there are.
    """
    if show is None:
        return () if columns is None else columns.title
    check_shown(show, () if columns is None else columns.names)
    return tuple(dict.fromkeys(show))


def check_shown(show: Sequence[str], there: Sequence[str]) -> None:
    """Check that all columns that are to be shown are there.

    Raises
    ------
    HupError
        Naming the first that is not, and those that are.
    """
    if isinstance(show, str):
        raise HupError(f"show is {show!r}, expected a list of item columns, such as [{show!r}].")
    for name in show:
        if not there:
            raise HupError(f"There is no item column {name!r}, as no table of items was given. {_GIVE}")
        if name not in there:
            near = nearest(name, there)
            question = f" Did you mean {near!r}?" if near is not None else ""
            listed = ", ".join(there[:_SHOWN]) + (" …" if len(there) > _SHOWN else "")
            raise HupError(f"There is no item column {name!r}.{question} There are: {listed}.")


def write_item_columns(folder: Path, rows: Callable[[], Iterator[pa.RecordBatch]]) -> ItemColumnsInfo:
    """Write the file into a folder that is being made.

    Parameters
    ----------
    folder : Path
    rows : callable
        Yields `KEY`, in rising order and each once, and the columns; it is called twice.
    """
    digest, n_rows, schema = hashlib.sha256(), 0, None
    for batch in rows():
        schema, n_rows = batch.schema, n_rows + batch.num_rows
        _digest(batch, digest)
    assert schema is not None, "there is a row at least"
    info = ItemColumnsInfo(
        columns={field.name: str(field.type) for field in list(schema)[1:]}, rows=n_rows, digest=digest.hexdigest()
    )
    _write(folder / ITEM_COLUMNS, schema.with_metadata({_DIGEST: info.digest.encode()}), rows())
    return info


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _digest(batch: pa.RecordBatch, digest: Any) -> None:
    """Feed names, types and values to a digest; how they lie in memory does not matter."""
    digest.update(str(batch.schema.remove_metadata()).encode())
    for column in batch.columns:
        hash_values(column.cast(pa.large_string()), digest)
