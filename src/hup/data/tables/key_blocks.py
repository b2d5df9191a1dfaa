"""Rows in order of key and time, in blocks of whole keys, wherever their batches began and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK_ROWS = 1 << 18

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of whole keys, in order of key and time; all columns have shape (rows,).

    Attributes
    ----------
    key : ndarray of int64
        Whose events they are.
    file : ndarray of int32
        Where the rows come from.
    item_id : ndarray of int32
        What was looked at.
    category : ndarray of int32 or None
        Which category the row saw the item in.
    behavior : ndarray of uint8
        What was done.
    time_ms : ndarray of int64
        When, in milliseconds.
    event_id : Array or None
        Ids of any type that Arrow can compare; null where a row has none.
    interval, dwell : ndarray of float32 or None
        Seconds that the log states; NaN where it states none.
    """

    key: Ints
    file: npt.NDArray[np.int32]
    item_id: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32] | None
    behavior: npt.NDArray[np.uint8]
    time_ms: Ints
    event_id: pa.Array | None
    interval: Floats | None
    dwell: Floats | None

    def __len__(self) -> int:
        return len(self.key)

    def select(self, rows: Bools) -> Block:
        """Give some of the rows, in the same order, without their event ids."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "event_id"}
        chosen: dict[str, Any] = {name: None if column is None else column[rows] for name, column in numbers.items()}
        return Block(event_id=None, **chosen)


def key_blocks(batches: Iterable[pa.RecordBatch], advance: Callable[[int], None]) -> Iterator[Block]:
    """Divide rows into blocks that end where a key ends.

    Parameters
    ----------
    batches : iterable of RecordBatch
        The columns of `Block`, without or with ``event_id``, ``interval`` and ``dwell``, in order of key and time.
    advance : callable
        Told the number of rows taken in.

    Yields
    ------
    Block
        About `BLOCK_ROWS` rows, or those of one longer key.

    Raises
    ------
    ValueError
        If the rows are not in order.
    """
    pending: list[pa.RecordBatch] = []
    n_pending, wanted, last_key = 0, BLOCK_ROWS, None
    for part in _parts(batches):
        advance(part.num_rows)
        pending.append(part)
        n_pending += part.num_rows
        if n_pending < wanted:
            continue
        end = _end_of_whole_keys(pending, n_pending)
        wanted = n_pending - end + BLOCK_ROWS
        if end:
            whole, pending = _divided(pending, end)
            n_pending -= end
            block = _in_order(whole, last_key)
            last_key = int(block.key[-1])
            yield block
    if pending:
        yield _in_order(pending, last_key)


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Divide large batches and leave out empty ones."""
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            yield batch.slice(start, BLOCK_ROWS)


def _end_of_whole_keys(pending: Sequence[pa.RecordBatch], n_pending: int) -> int:
    """Give the number of rows before the last key, whose rows may go on."""
    last = pending[-1].column("key")[-1].as_py()
    end = n_pending
    for part in reversed(pending):
        keys = part.column("key").to_numpy()
        same = len(keys) - int(np.searchsorted(keys, last))
        end -= same
        if same < len(keys):
            return end
    return 0


def _divided(parts: Sequence[pa.RecordBatch], end: int) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    """Divide rows into those before row `end` and the rest."""
    first, rest = [], []
    for part in parts:
        first.append(part.slice(0, max(0, min(end, part.num_rows))))
        rest.append(part.slice(max(0, min(end, part.num_rows))))
        end -= part.num_rows
    return [part for part in first if part.num_rows], [part for part in rest if part.num_rows]


def _in_order(parts: Sequence[pa.RecordBatch], last_key: int | None) -> Block:
    """Join rows to a block, seeing to it that they are in order and come after `last_key`."""
    block = _joined(parts)
    earlier, later = block.key[:-1], block.key[1:]
    ordered = (earlier < later) | ((earlier == later) & (block.time_ms[:-1] <= block.time_ms[1:]))
    if not ordered.all() or (last_key is not None and block.key[0] < last_key):
        raise ValueError("rows are not in order of key and time")
    return block


def _joined(parts: Sequence[pa.RecordBatch]) -> Block:
    there = set(parts[0].schema.names)
    columns: dict[str, Any] = {
        field.name: np.concatenate([part.column(field.name).to_numpy(zero_copy_only=False) for part in parts])
        if field.name in there
        else None
        for field in fields(Block)
        if field.name != "event_id"
    }
    ids = pa.concat_arrays([part.column("event_id") for part in parts]) if "event_id" in there else None
    return Block(event_id=ids, **columns)
