"""Simulated chunks as text and tables: JD lines and event tables, plain or compressed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from hup.behaviors import JD_BEHAVIORS
from hup.simulator.catalogue import Catalogue
from hup.simulator.chunks import SimulatedChunk

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_KNOWN_SECONDS = 20_000  # seconds up to here are looked up as text, longer ones are formatted


class LogFile(Protocol):
    """One open file of a log."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def write(self, chunk: SimulatedChunk) -> None:
        """Append the sessions of a chunk."""
        ...


class ShopNames:
    """The names that a log shows for the items and categories of a shop, ready for look-ups.

    Parameters
    ----------
    shop
        The shop; categories are named by their number, 1 and up, in their level.
    """

    def __init__(self, shop: Catalogue) -> None:
        self.leaf = shop.leaf
        self.items = pc.cast(pa.array(shop.number), pa.string())
        columns = [pc.cast(pa.array(codes + 1), pa.string()) for codes in shop.leaf_paths.T]
        self.leaf_levels = columns
        leaf_path = pc.binary_join_element_wise(*columns, "/") if len(columns) > 1 else columns[0]
        # "behavior+path" for every pair, so that a token needs one look-up less.
        pairs = [pc.binary_join_element_wise(behavior.code, leaf_path, "+") for behavior in JD_BEHAVIORS]
        self.behavior_and_path = pa.concat_arrays(pairs)
        self.seconds = pc.cast(pa.array(np.arange(_KNOWN_SECONDS)), pa.string())
        self.behaviors = pa.array([behavior.name for behavior in JD_BEHAVIORS])


class _Stream:
    """A file that compresses by its ending and closes in the right order."""

    def __init__(self, path: Path, ending: str) -> None:
        self._stack = ExitStack()
        self.sink: Any = self._stack.enter_context(pa.OSFile(str(path), "wb"))
        compression = _COMPRESSIONS.get(Path(ending).suffix)
        if compression:
            self.sink = self._stack.enter_context(pa.CompressedOutputStream(self.sink, compression))

    def close(self) -> None:
        self._stack.close()


class _Closing:
    """Close on leaving a ``with`` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class JdLines(_Closing):
    """JD lines: one session a line, tokens ``item+behavior+category+interval+dwell``.

    With more than one category level the category is the path, coarsest first, joined by ``/``.
    """

    def __init__(self, path: Path, ending: str, names: ShopNames) -> None:
        self._names = names
        self._stream = _Stream(path, ending)

    def write(self, chunk: SimulatedChunk) -> None:
        """Append the sessions of a chunk."""
        names = self._names
        leaves = len(names.behavior_and_path) // len(JD_BEHAVIORS)
        pair = chunk.behavior.astype(np.int64) * leaves + names.leaf[chunk.item]
        tokens = pc.binary_join_element_wise(
            names.items.take(pa.array(chunk.item)),
            names.behavior_and_path.take(pa.array(pair)),
            self._seconds(chunk.interval),
            self._seconds(chunk.dwell),
            "+",
        )
        lines = pc.binary_join(pa.ListArray.from_arrays(pa.array(chunk.offsets.astype(np.int32)), tokens), " ")
        whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines), "\n")
        self._stream.sink.write(whole[0].as_buffer())
        self._stream.sink.write(b"\n")

    def _seconds(self, seconds: np.ndarray) -> pa.Array:
        if seconds.max(initial=0) < _KNOWN_SECONDS:
            return self._names.seconds.take(pa.array(seconds))
        long = seconds >= _KNOWN_SECONDS
        text = self._names.seconds.take(pa.array(np.where(long, 0, seconds)))
        return pc.replace_with_mask(text, pa.array(long), pc.cast(pa.array(seconds[long]), pa.string()))

    def close(self) -> None:
        """Flush and close the file."""
        self._stream.close()


class EventTable(_Closing):
    """Event rows: user, session, event_id, timestamp, item, behavior, category_1 … category_K.

    ``timestamp`` is int64 milliseconds since 1970 UTC; ``event_id`` numbers the events of the whole log.
    """

    def __init__(self, path: Path, ending: str, names: ShopNames) -> None:
        self._names = names
        text = [pa.field(name, pa.string(), nullable=False) for name in self._category_names()]
        self._schema = pa.schema(
            [
                pa.field("user", pa.string(), nullable=False),
                pa.field("session", pa.string(), nullable=False),
                pa.field("event_id", pa.int64(), nullable=False),
                pa.field("timestamp", pa.int64(), nullable=False),
                pa.field("item", pa.string(), nullable=False),
                pa.field("behavior", pa.string(), nullable=False),
                *text,
            ]
        )
        self._stream = _Stream(path, "" if ending == ".parquet" else ending)
        self._writer: Any = (
            pq.ParquetWriter(self._stream.sink, self._schema, compression="zstd")
            if ending == ".parquet"
            else pyarrow.csv.CSVWriter(
                self._stream.sink, self._schema, write_options=pyarrow.csv.WriteOptions(quoting_style="none")
            )
        )

    def _category_names(self) -> list[str]:
        return [f"category_{level}" for level in range(1, len(self._names.leaf_levels) + 1)]

    def write(self, chunk: SimulatedChunk) -> None:
        """Append the events of a chunk."""
        names = self._names
        session = pa.array(np.repeat(np.arange(chunk.sessions), np.diff(chunk.offsets)))
        leaf = pa.array(names.leaf[chunk.item])
        users = pc.binary_join_element_wise("u", pc.cast(pa.array(chunk.user), pa.string()), "")
        numbers = pa.array(chunk.first_session + np.arange(chunk.sessions))
        sessions = pc.binary_join_element_wise("s", pc.cast(numbers, pa.string()), "")
        columns = [
            users.take(session),
            sessions.take(session),
            pa.array(chunk.first_event + np.arange(chunk.events)),
            pa.array(chunk.event_ms()),
            names.items.take(pa.array(chunk.item)),
            names.behaviors.take(pa.array(chunk.behavior)),
            *(level.take(leaf) for level in names.leaf_levels),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Finish the table and close the file."""
        self._writer.close()
        self._stream.close()
