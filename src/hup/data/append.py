"""A new stretch of log after the sessions of a dataset: old codes stay, new ones follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.dataset import Dataset, read_manifest
from hup.data.session_log import SESSION_COLUMNS, SessionLog
from hup.data.tables.mapping import Mapping, load_mapping
from hup.errors import HupError

BATCH_EVENTS = 1 << 20


def extended(base: Dataset, log: SessionLog) -> SessionLog:
    """Put `log` after the sessions of `base`.

    Items keep their codes, and those that `base` knows keep their categories. So codes of categories stay, too.

    Parameters
    ----------
    base : Dataset
        What is there.
    log : SessionLog
        What is new, with the levels of `base` and behaviors that begin with those of `base`.
    """
    names = pa.array(base.item_names, pa.large_string())
    new_names = log.items["item"].cast(pa.large_string())
    code = pc.index_in(new_names, value_set=names).combine_chunks()
    is_new = code.is_null().to_numpy(zero_copy_only=False)
    item_id = code.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
    item_id[is_new] = base.n_items + np.arange(int(is_new.sum()), dtype=np.int32)
    known, added = item_paths(base, log.separator), log.items.filter(pa.array(is_new))
    sessions = pa.table([base.session_names, base.users, *base.times], schema=SESSION_COLUMNS)
    return replace(
        log,
        items=pa.concat_tables([known, added.select(["item", "path"]).cast(known.schema)]),
        sessions=pa.concat_tables([sessions, log.sessions]),
        n_events=base.manifest.counts.events + log.n_events,
        events=lambda: _events(base, log, item_id),
        sources=[*base.manifest.sources, *log.sources],
    )


def item_paths(base: Dataset, separator: str) -> pa.Table:
    """Give ``item`` and ``path`` (names joined by `separator`) of all items of `base`, in order of their codes."""
    return pa.table({"item": pa.array(base.item_names, pa.large_string()), "path": _paths(base, separator)})


def known_paths(base: Dataset, names: pa.LargeStringArray, separator: str) -> list[str | None]:
    """Give the path that `base` has for each named item, None for items that it does not know."""
    code = pc.index_in(names, value_set=pa.array(base.item_names, pa.large_string()))
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


def _events(base: Dataset, log: SessionLog, item_id: npt.NDArray[np.int32]) -> Iterator[pa.RecordBatch]:
    """Yield the events of `base`, then those of `log` with `item_id` for its item ids."""
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
    for batch in log.events():
        columns = {name: batch.column(name) for name in batch.schema.names}
        columns["session"] = pc.add(batch.column("session"), len(base))
        columns["item_id"] = pa.array(item_id[batch.column("item_id").to_numpy()])
        yield pa.record_batch(columns)


def refuse_other_mapping(map: str | Path | Mapping, known: Mapping, out: Path) -> None:
    """Refuse a mapping by which rows would mean something else than in the dataset.

    Raises
    ------
    HupError
        Naming the first key that differs, and what either mapping has there.
    """
    given = map if isinstance(map, Mapping) else load_mapping(map)
    difference = _first_difference(_meaning(given), _meaning(known))
    if difference is not None:
        key, new, old = difference
        raise HupError(
            f"--map differs from the mapping that {out} was made with: {key} is {new!r}, there {old!r}. "
            "Name the same mapping, or prepare the whole log anew with the other one."
        )


def _meaning(mapping: Mapping) -> dict[str, Any]:
    """Give what a mapping says about rows: without its name, and without sequence rules, which are options, too."""
    return mapping.model_dump(mode="json", exclude={"name", "sequence"})


def _first_difference(new: Any, old: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Find where two trees differ: key, and what either has there."""
    if isinstance(new, dict) and isinstance(old, dict):
        parts = [(f"{key}.{name}".lstrip("."), new.get(name), old.get(name)) for name in {**new, **old}]
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        parts = [(f"{key}[{place}]", *pair) for place, pair in enumerate(zip(new, old, strict=True))]
    else:
        return None if new == old else (key, new, old)
    differences = (_first_difference(one, other, name) for name, one, other in parts)
    return next((difference for difference in differences if difference is not None), None)


def refuse_changed(base: Dataset, folder: Path) -> None:
    """Refuse to replace another dataset than that which was appended to: what came meanwhile would be lost.

    Raises
    ------
    HupError
        If the dataset in `folder` is not `base` any more.
    """
    try:
        is_same = read_manifest(folder).fingerprint == base.fingerprint
    except HupError:
        is_same = False
    if not is_same:
        raise HupError(f"{base.path} was changed meanwhile, and stays as it is now; run the command again.")
