"""A prepared dataset folder, opened as read-only memory maps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from hup.behaviors import Behavior
from hup.data.item_columns import ItemColumns
from hup.data.manifest import SCHEMA_VERSION, Manifest, SplitName, TimeRange
from hup.data.taxonomy import Taxonomy
from hup.errors import HupError, command_line
from hup.readable import Readable, Summary

__all__ = ["Behavior", "Dataset", "Manifest", "SplitName", "Taxonomy"]

MANIFEST, EVENTS, SESSIONS, ITEMS = "manifest.json", "events.arrow", "sessions.arrow", "items.arrow"
TAXONOMY, REJECTS = "taxonomy.parquet", "rejects.parquet"
_AGAIN = "Make the dataset again with `hup prepare`."


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Readable):
    """Sessions of micro-behaviors with their items, categories and split.

    Arrays over events are zero-copy, read-only views of the files. What takes no argument is a property.

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
    item_columns : ItemColumns or None
        What the shop says of its items, by name; None where no table of them was given.

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
    _sessions: pa.RecordBatch
    _items: pa.RecordBatch
    item_columns: ItemColumns | None = None

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
        sessions = _read_batch(folder, SESSIONS, ("offset", "session", "user", "start", "end"))
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
            _sessions=sessions,
            _items=items,
            item_columns=ItemColumns.open(folder, manifest.item_columns),
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

    @cached_property
    def item_names(self) -> list[str]:
        """Names of all items, in order of their codes."""
        names: list[str] = self.item_name_array.to_pylist()
        return names

    @property
    def item_name_array(self) -> pa.LargeStringArray:
        """The same as an Arrow array."""
        return self._items.column("item")

    @property
    def item_events(self) -> npt.NDArray[np.int64]:
        """The number of events of every item in the whole dataset, in order of their codes."""
        return _array(self._items, "events", np.int64)

    def sessions(self, split: SplitName) -> range:
        """Give the indices of the sessions of `split` ("train", "validation" or "test")."""
        bounds = self.manifest.split.bounds
        if split not in type(bounds).model_fields:
            raise HupError(f"There is no split {split!r}; expected train, validation or test.")
        return range(*getattr(bounds, split))

    def session_name(self, index: int) -> str:
        """Say where session `index` came from, for example ``appliances.txt:17``."""
        return str(self._sessions.column("session")[index].as_py())

    def session_user(self, index: int) -> str | None:
        """Name the user of session `index`; None where the log does not say."""
        user: str | None = self._sessions.column("user")[index].as_py()
        return user

    def session_times(self, index: int) -> tuple[int, int] | None:
        """Give the times of the first and last event of session `index`, in ms since 1970; None where not known."""
        start, end = (self._sessions.column(name)[index].as_py() for name in ("start", "end"))
        return None if start is None or end is None else (start, end)

    @property
    def session_names(self) -> pa.LargeStringArray:
        """:meth:`session_name` of all sessions, as an Arrow array."""
        return self._sessions.column("session")

    @property
    def users(self) -> pa.LargeStringArray:
        """:meth:`session_user` of all sessions, as an Arrow array with nulls."""
        return self._sessions.column("user")

    @property
    def times(self) -> tuple[pa.Int64Array, pa.Int64Array]:
        """:meth:`session_times` of all sessions, start and end, as Arrow arrays with nulls."""
        return self._sessions.column("start"), self._sessions.column("end")

    @cached_property
    def user_codes(self) -> npt.NDArray[np.int64]:
        """User of every session, in order of first appearance, so that users of training come first; -1 = not known."""
        codes = self.users.dictionary_encode().indices.fill_null(-1)
        array: npt.NDArray[np.int64] = codes.to_numpy(zero_copy_only=False).astype(np.int64)
        return array

    @cached_property
    def milliseconds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Start and end of every session in ms since 1970, each ``(n,)``; 0 where not known."""
        start, end = (times.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) for times in self.times)
        return start, end

    @cached_property
    def session_before(self) -> npt.NDArray[np.int64]:
        """For every session the last one of its user that had ended before it began, ``(n,)``; -1 = none, not known."""
        user = self.user_codes
        known = (user >= 0) & np.asarray(self.times[0].is_valid()) & np.asarray(self.times[1].is_valid())
        place = np.flatnonzero(known)
        # Ranks of moments, so that user and moment fit one number.
        start, end = np.unique(np.stack([of[place] for of in self.milliseconds]), return_inverse=True)[1].reshape(2, -1)
        key = user[place] * (2 * len(place) + 1) + end
        order = np.argsort(key, kind="stable")
        asked = np.searchsorted(key[order], user[place] * (2 * len(place) + 1) + start) - 1
        found = place[order[asked]]
        before = np.full(len(user), -1)
        before[place] = np.where((asked >= 0) & (user[found] == user[place]), found, -1)
        return before

    @cached_property
    def n_users(self) -> int | None:
        """Number of users; None where the log does not name them."""
        return int(pc.count_distinct(self.users, mode="only_valid").as_py()) or None

    def time_range(self, split: SplitName) -> TimeRange | None:
        """Give the first and last moment of a split; None where it is empty or times are not known."""
        sessions = self.sessions(split)
        start, end = (times.slice(sessions.start, len(sessions)) for times in self.times)
        first, last = pc.min(start).as_py(), pc.max(end).as_py()
        return None if first is None or last is None else TimeRange(first_ms=first, last_ms=last)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def _summary(self) -> Summary:
        manifest, counts = self.manifest, self.manifest.counts
        parts = (f"{len(self.sessions(split)):,} {split}" for split in get_args(SplitName))
        sizes = ", ".join(f"{size:,}" for size in counts.categories)
        rows = [
            ("sessions", f"{counts.sessions:,} ({', '.join(parts)})"),
            ("events", f"{counts.events:,}"),
            ("items", f"{counts.items:,}, {manifest.train.items:,} of them in training"),
            ("categories", f"{sizes} ({self.levels} {'level' if self.levels == 1 else 'levels, coarsest first'})"),
            ("behaviors", ", ".join(behavior.name for behavior in manifest.behaviors)),
        ]
        if manifest.time is not None:
            rows.append(("time", f"{_day(manifest.time.first_ms)} to {_day(manifest.time.last_ms)}"))
        if self.item_columns is not None:
            rows.append(("item columns", ", ".join(self.item_columns.names)))
        return Summary(f"Dataset {self.path}", rows)


def _day(milliseconds: int) -> str:
    """Write the day of a moment."""
    return str(np.datetime64(milliseconds, "ms").astype("datetime64[D]"))


def refuse_path(value: object) -> None:
    """Refuse the path of a dataset where the dataset itself is needed.

    Raises
    ------
    HupError
        If it is one.
    """
    if isinstance(value, (str, PurePath)):
        raise HupError(f"The dataset is {str(value)!r}, expected what hup.Dataset.open({str(value)!r}) gives.")


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json`` of a dataset folder.

    Raises
    ------
    HupError
        If there is no such folder or manifest, or it does not read as one of this schema version.
    """
    if not folder.is_dir():
        command = command_line("hup", "prepare", "SOURCE", "--out", folder)
        raise HupError(f"There is no dataset folder {folder}. Make one with `{command}`.")
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
        taxonomy = Taxonomy.read(path, paths)
    except HupError as error:
        raise HupError(f"{error} {_AGAIN}") from error
    found, expected = [len(names) for names in taxonomy.names], manifest.counts.categories
    if len(found) != len(expected):
        raise HupError(f"{path} has {len(found)} levels, {MANIFEST} says {len(expected)}. {_AGAIN}")
    for k, (rows, wanted) in enumerate(zip(found, expected, strict=True), 1):
        if rows != wanted:
            raise HupError(f"{path} has {rows} categories at level {k}, {MANIFEST} says {wanted}. {_AGAIN}")
    return taxonomy
