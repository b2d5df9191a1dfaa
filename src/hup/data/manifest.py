"""What a dataset folder says about itself: the models behind ``manifest.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hup.behaviors import Behavior

SCHEMA_VERSION = 2
SplitName = Literal["train", "validation", "test"]
SplitMethod = Literal["time", "random"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Distribution(_Frozen):
    """Summary of one non-negative quantity (seconds, or events)."""

    mean: float
    p25: float
    median: float
    p75: float
    p90: float
    p99: float
    max: float


class Counts(_Frozen):
    """Sizes and statistics of the events that were kept.

    Lists with one entry a category level go from ``category_1`` (coarsest) to ``category_K`` (finest).
    """

    sessions: int
    events: int
    items: int
    categories: list[int]
    item_runs: int
    category_runs: list[int]
    repeat_share: float
    """Share of item runs that return to an item already seen in their session."""
    target_repeat_share: float
    """Share of sessions whose target was already in their history."""
    events_by_behavior: list[int]
    events_per_session: Distribution
    item_runs_per_session: Distribution
    events_per_item_run: Distribution
    events_per_category_run: list[Distribution]
    interval_seconds: Distribution
    dwell_seconds: Distribution
    """Dwell of item runs: one value a run."""


class BucketEdges(_Frozen):
    """Upper edges (inclusive, seconds) of the interval and dwell buckets."""

    interval_upper_edges: list[float] = [1.0, 15.0, 39.0, 90.0]
    dwell_upper_edges: list[float] = [14.0, 39.0, 96.0, 599.0]


class SplitBounds(_Frozen):
    """Half-open ranges of session indices; sessions are stored in split order."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


class Split(_Frozen):
    """How the sessions were divided."""

    method: SplitMethod
    shares: tuple[float, float, float]
    seed: int | None
    bounds: SplitBounds


class TrainVocabulary(_Frozen):
    """Vocabulary of the training split, which is a prefix of all codes."""

    items: int
    categories: list[int]
    test_targets_known: float | None
    """Share of test targets seen in training; null where the test split is empty."""


class Source(_Frozen):
    """One input file and what came out of it."""

    file: str
    bytes: int
    lines: int
    used_events: int


class Rejects(_Frozen):
    """Rows of ``rejects.parquet``."""

    rows: int
    by_reason: dict[str, int]


class TimeRange(_Frozen):
    """First and last moment of the events that were kept, in milliseconds since 1970, UTC."""

    first_ms: int
    last_ms: int


class Preparation(BaseModel):
    """With what the log was prepared: for people, and to prepare what is appended in the same way.

    Further keys are allowed and kept.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    format: str
    mapping: dict[str, Any] | None = None
    sequence: dict[str, Any] | None = None
    dwell_cap_seconds: float | None = None


class ItemColumnsInfo(_Frozen):
    """What ``item_columns.arrow`` holds; nothing is learned from it, so the fingerprint leaves it out."""

    columns: dict[str, str]
    """Arrow types by name."""
    rows: int
    digest: str
    """Of names, types and values."""


class TreeCounts(_Frozen):
    """What was done so that every item has one category path of all K levels."""

    items_without_category: int = 0
    events_without_category: int = 0
    items_extended: int = 0
    """Items whose path stops early and stands for itself at the finer levels."""
    items_cut: int = 0
    """Items whose path goes deeper than K."""
    items_moved: int = 0
    """Items that the log has in more than one category."""
    events_moved: int = 0
    """Events of such items in another category than the one that the item got."""
    unknown_parents: int = 0
    cycles: int = 0


class Manifest(_Frozen):
    """The content of ``manifest.json``.

    The fingerprint digests events, sessions, items, categories, behaviors and the split's bounds. How the dataset came
    about (`preparation`, `lineage`, `sources`) does not enter it.
    """

    schema_version: Literal[2] = 2
    format: str
    levels: int
    behaviors: list[Behavior]
    counts: Counts
    buckets: BucketEdges
    split: Split
    train: TrainVocabulary
    sources: list[Source]
    rejects: Rejects
    fingerprint: str
    time: TimeRange | None = None
    """Null where the log has no timestamps."""
    preparation: Preparation = Preparation(format="jd")
    tree: TreeCounts = TreeCounts()
    left_out: dict[str, int] = {}
    """Rows that were left out on purpose, by reason: they are no rejects."""
    item_columns: ItemColumnsInfo | None = None
    """Null where no table of items was given."""
    lineage: list[str] = []
    """Fingerprints of the datasets that this one was appended to, oldest first. Their codes are the same here."""
