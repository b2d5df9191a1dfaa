"""A prepared dataset folder, opened as read-only memory maps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from hup.data.behaviors import Behavior
from hup.data.manifest import SCHEMA_VERSION, Manifest, SplitName
from hup.data.taxonomy import Taxonomy
from hup.errors import HupError

__all__ = ["Behavior", "Dataset", "Manifest", "SplitName", "Taxonomy"]

MANIFEST, EVENTS, SESSIONS, ITEMS = "manifest.json", "events.arrow", "sessions.arrow", "items.arrow"
TAXONOMY, REJECTS = "taxonomy.parquet", "rejects.parquet"
_AGAIN = "Make the dataset again with `hup prepare`."


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sessions of micro-behaviors with their items, categories and split.

    Arrays over events are zero-copy, read-only views of the files.

    Attributes
    ----------
    path : Path
        The folder.
    manifest : Manifest
        Counts, behaviors, split and the rest of ``manifest.json``.
    item : ndarray of int32, shape (events,)
        Item codes, in order of first appearance.
    behavior : ndarray of uint8, shape (events,)
        Index into `behaviors`.
    interval : ndarray of float32, shape (events,)
        Seconds to the next event.
    dwell : ndarray of float32, shape (events,)
        Seconds spent on the event's item run.
    offsets : ndarray of int64, shape (sessions + 1,)
        Session s holds the events ``offsets[s]:offsets[s + 1]``.
    taxonomy : Taxonomy
        The category tree and each item's path.

    Examples
    --------
    >>> dataset = Dataset.open("data/jd")            # doctest: +SKIP
    >>> dataset.sessions("train")                    # doctest: +SKIP
    range(0, 700)
    """

    path: Path
    manifest: Manifest
    item: npt.NDArray[np.int32]
    behavior: npt.NDArray[np.uint8]
    interval: npt.NDArray[np.float32]
    dwell: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    taxonomy: Taxonomy
    _session_names: pa.LargeStringArray
    _item_names: pa.LargeStringArray

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a folder written by `hup.prepare`.

        Raises
        ------
        HupError
            If the folder is no dataset, is of another schema version, lacks a file, or its files disagree.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        events = _read_batch(folder, EVENTS, ("item", "behavior", "interval", "dwell"))
        sessions = _read_batch(folder, SESSIONS, ("offset", "session"))
        level_columns = tuple(f"category_{k}" for k in range(1, manifest.levels + 1))
        items = _read_batch(folder, ITEMS, ("item", *level_columns, "events"))
        counts = manifest.counts
        for name, rows, expected in (
            (EVENTS, events.num_rows, counts.events),
            (SESSIONS, sessions.num_rows, counts.sessions),
            (ITEMS, items.num_rows, counts.items),
        ):
            if rows != expected:
                raise HupError(f"{folder / name} has {rows} rows, {MANIFEST} says {expected}. {_AGAIN}")
        paths = np.stack([_array(items, column, np.int32) for column in level_columns], axis=1)
        starts = _array(sessions, "offset", np.int64)
        offsets = np.append(starts, np.int64(events.num_rows))
        if offsets[0] != 0 or bool((np.diff(offsets) <= 0).any()):
            raise HupError(f"{folder / SESSIONS}: offsets must start at 0 and rise. {_AGAIN}")
        offsets.flags.writeable = False
        paths.flags.writeable = False
        return cls(
            path=folder,
            manifest=manifest,
            item=_array(events, "item", np.int32),
            behavior=_array(events, "behavior", np.uint8),
            interval=_array(events, "interval", np.float32),
            dwell=_array(events, "dwell", np.float32),
            offsets=offsets,
            taxonomy=_read_taxonomy(folder, manifest, paths),
            _session_names=sessions.column("session"),
            _item_names=items.column("item"),
        )

    @property
    def levels(self) -> int:
        """Number of category levels, K."""
        return self.manifest.levels

    @property
    def n_items(self) -> int:
        """Number of items in the whole dataset."""
        return self.manifest.counts.items

    @property
    def n_train_items(self) -> int:
        """Number of items in the training split; their codes come first."""
        return self.manifest.train.items

    @property
    def n_categories(self) -> tuple[int, ...]:
        """Number of categories of level 1 … K in the whole dataset."""
        return tuple(self.manifest.counts.categories)

    @property
    def n_train_categories(self) -> tuple[int, ...]:
        """Number of categories of level 1 … K in the training split; their codes come first."""
        return tuple(self.manifest.train.categories)

    @property
    def behaviors(self) -> list[Behavior]:
        """Behavior types; the position is the code in `behavior`."""
        return list(self.manifest.behaviors)

    @property
    def fingerprint(self) -> str:
        """Digest of the content: equal input gives an equal fingerprint."""
        return self.manifest.fingerprint

    def item_names(self) -> list[str]:
        """Give the names of all items, in order of their codes."""
        names: list[str] = self._item_names.to_pylist()
        return names

    def sessions(self, split: SplitName) -> range:
        """Give the indices of the sessions of `split` ("train", "validation" or "test")."""
        bounds = self.manifest.split.bounds
        if split not in type(bounds).model_fields:
            raise HupError(f"There is no split {split!r}; expected train, validation or test.")
        return range(*getattr(bounds, split))

    def session_name(self, index: int) -> str:
        """Say where session `index` came from, for example ``appliances.txt:17``."""
        return str(self._session_names[index].as_py())

    def __len__(self) -> int:
        return len(self.offsets) - 1


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json`` of a dataset folder.

    Raises
    ------
    HupError
        If there is no such folder or manifest, or it does not read as one of this schema version.
    """
    if not folder.is_dir():
        raise HupError(f"There is no dataset folder {folder}. Make one with `hup prepare SOURCE --out {folder}`.")
    path = folder / MANIFEST
    if not path.is_file():
        raise HupError(f"{folder} is not a dataset folder: it has no {MANIFEST}. {_AGAIN}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HupError(f"{path} is not JSON ({error}). {_AGAIN}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise HupError(f"{path} has schema_version {version!r}; this version of HUP reads {SCHEMA_VERSION}. {_AGAIN}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HupError(f"{path}: key {where}: {first['msg']}. {_AGAIN}") from error


def _read_batch(folder: Path, name: str, columns: tuple[str, ...]) -> pa.RecordBatch:
    path = folder / name
    if not path.is_file():
        raise HupError(f"{folder} is incomplete: {name} is missing. {_AGAIN}")
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = reader.num_record_batches
        batch = reader.get_batch(0) if batches == 1 else None
    except (pa.ArrowInvalid, OSError) as error:
        raise HupError(f"{path} does not read as an Arrow file ({error}). {_AGAIN}") from error
    if batch is None:
        raise HupError(f"{path} holds {batches} record batches, expected 1. {_AGAIN}")
    if tuple(batch.schema.names) != columns:
        raise HupError(f"{path} has columns {batch.schema.names}, expected {list(columns)}. {_AGAIN}")
    return batch


def _array(batch: pa.RecordBatch, column: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = batch.column(column).to_numpy(zero_copy_only=True)
    if array.dtype != np.dtype(dtype):
        raise HupError(f"Column {column} is {array.dtype}, expected {np.dtype(dtype)}. {_AGAIN}")
    return array


def _read_taxonomy(folder: Path, manifest: Manifest, paths: npt.NDArray[np.int32]) -> Taxonomy:
    path = folder / TAXONOMY
    if not path.is_file():
        raise HupError(f"{folder} is incomplete: {TAXONOMY} is missing. {_AGAIN}")
    try:
        table = pq.read_table(path, columns=["level", "code", "category", "parent"])
    except (pa.ArrowInvalid, OSError) as error:
        raise HupError(f"{path} does not read as a taxonomy ({error}). {_AGAIN}") from error
    level = table.column("level").to_numpy()
    parent = table.column("parent").to_numpy()
    category = table.column("category").to_pylist()
    names, parents = [], []
    for k in range(1, manifest.levels + 1):
        rows = np.flatnonzero(level == k)
        if len(rows) != manifest.counts.categories[k - 1]:
            expected = manifest.counts.categories[k - 1]
            raise HupError(f"{path} has {len(rows)} categories at level {k}, {MANIFEST} says {expected}. {_AGAIN}")
        names.append([category[row] for row in rows])
        parents.append(parent[rows].astype(np.int32))
    return Taxonomy(paths=paths, names=tuple(names), parents=tuple(parents))
