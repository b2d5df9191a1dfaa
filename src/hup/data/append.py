"""A new stretch of log after the sessions of a dataset: old codes stay, new ones follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.dataset import Dataset
from hup.data.event_log import Origins
from hup.data.manifest import Source
from hup.data.stored_log import StoredLog

BATCH_EVENTS = 1 << 20


def extended(base: Dataset, log: StoredLog) -> StoredLog:
    """Put `log` after the sessions of `base`.

    Items keep their codes, and those that `base` knows keep their categories. So codes of categories stay, too.

    Parameters
    ----------
    base : Dataset
        What is there.
    log : StoredLog
        What is new, with the levels of `base` and behaviors that begin with those of `base`.
    """
    items = log.items()
    names = pa.array(base.item_names(), pa.large_string())
    new_names = items["item"].cast(pa.large_string())
    code = pc.index_in(new_names, value_set=names).combine_chunks()
    is_new = code.is_null().to_numpy(zero_copy_only=False)
    item_id = code.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
    item_id[is_new] = base.n_items + np.arange(int(is_new.sum()), dtype=np.int32)
    added = items.filter(pa.array(is_new))
    known = item_paths(base, log.separator)
    whole = pa.concat_tables([known, added.select(["item", "path"]).cast(known.schema)])
    n_base = len(base)
    return replace(
        log,
        n_events=base.manifest.counts.events + log.n_events,
        n_sessions=n_base + log.n_sessions,
        batches=lambda: _batches(base, log, item_id),
        items=lambda: whole,
        n_items=len(whole),
        origins=_JoinedOrigins(base, log.origins),
    )


def item_paths(base: Dataset, separator: str) -> pa.Table:
    """Give ``item`` and ``path`` (names joined by `separator`) of all items of `base`, in order of their codes."""
    return pa.table({"item": pa.array(base.item_names(), pa.large_string()), "path": _paths(base, separator)})


def known_paths(base: Dataset, names: pa.LargeStringArray, separator: str) -> list[str | None]:
    """Give the path that `base` has for each named item, None for items that it does not know."""
    code = pc.index_in(names, value_set=pa.array(base.item_names(), pa.large_string()))
    paths: list[str | None] = _paths(base, separator).take(code).to_pylist()
    return paths


def _paths(base: Dataset, separator: str) -> pa.LargeStringArray:
    """Join the names of each item's path."""
    tree = base.taxonomy
    columns = [
        pa.array(names, pa.large_string()).take(pa.array(np.ascontiguousarray(tree.paths[:, level])))
        for level, names in enumerate(tree.names)
    ]
    return pc.binary_join_element_wise(*columns, pa.scalar(separator, pa.large_string()))


def _batches(base: Dataset, log: StoredLog, item_id: npt.NDArray[np.int32]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(base.item), BATCH_EVENTS):
        events = slice(start, min(start + BATCH_EVENTS, len(base.item)))
        places = np.arange(events.start, events.stop)
        yield pa.record_batch(
            {
                "session": np.searchsorted(base.offsets, places, side="right") - 1,
                "item_id": base.item[events],
                "behavior": base.behavior[events],
                "interval": base.interval[events],
                "dwell": base.dwell[events],
            }
        )
    for batch in log.batches():
        columns = {name: batch.column(name) for name in batch.schema.names}
        columns["session"] = pc.add(batch.column("session"), len(base))
        columns["item_id"] = pa.array(item_id[batch.column("item_id").to_numpy()])
        yield pa.record_batch(columns)


@dataclass(frozen=True)
class _JoinedOrigins:
    """Origins of the sessions of a dataset and of those after it, whose keys go on where the dataset's end."""

    base: Dataset
    after: Origins

    def names(self, sessions: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Name each session."""
        old, new = self._parted(sessions)
        return pa.concat_arrays([self.base.session_names().take(pa.array(old)), self.after.names(new)])

    def users(self, sessions: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Name the user of each session."""
        old, new = self._parted(sessions)
        return pa.concat_arrays([self.base.users().take(pa.array(old)), self.after.users(new)])

    def times(self, sessions: npt.NDArray[np.int64]) -> tuple[pa.Int64Array, pa.Int64Array]:
        """Give first and last moment of each session."""
        old, new = self._parted(sessions)
        starts, ends = zip(self.base.times(), self.after.times(new), strict=True)
        take = pa.array(old)
        return pa.concat_arrays([starts[0].take(take), starts[1]]), pa.concat_arrays([ends[0].take(take), ends[1]])

    def sources(self, sessions: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> list[Source]:
        """List the input files, old ones first."""
        _old, new = self._parted(sessions)
        return [*self.base.manifest.sources, *self.after.sources(new, events[len(sessions) - len(new) :])]

    def _parted(self, sessions: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        n_base = len(self.base)
        return sessions[sessions < n_base], sessions[sessions >= n_base] - n_base
