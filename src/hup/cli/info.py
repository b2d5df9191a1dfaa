"""``hup info``: what a dataset or model folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from hup.cli.category_tree import category_tree
from hup.cli.console import console
from hup.cli.documents import dataset_document, model_document, print_json, tree_document
from hup.errors import HupError

if TYPE_CHECKING:
    from hup.data.dataset import Dataset
    from hup.data.manifest import Distribution, ItemColumnsInfo, Manifest, SplitName

Of = TypeVar("Of")
_SHOWN_SOURCES = 10
_TREE_COUNTS = {
    "items_without_category": "items without a category",
    "events_without_category": "events without a category",
    "items_extended": "items whose path stops early (it stands for itself at the finer levels)",
    "items_cut": "items whose path was deeper (cut)",
    "items_moved": "items met in several categories",
    "events_moved": "events of these in another category than their item's",
    "unknown_parents": "categories whose parent is not known (made roots)",
    "cycles": "cycles of parents (opened)",
}


def info(
    folder: Annotated[Path, typer.Argument(help="A dataset or model folder.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the whole category tree, and nothing else.")] = False,
    depth: Annotated[int | None, typer.Option(min=1, help="Draw the category tree down to this level.")] = None,
) -> None:
    """Print what a dataset or model folder holds."""
    if any((folder / name).exists() for name in ("config.json", "checkpoints", "model.safetensors")):
        _print_model(folder, as_json)
        return
    if not (folder / "manifest.json").exists():
        raise HupError(f"{folder} is neither a dataset folder (no manifest.json) nor a model folder (no config.json).")
    from hup.data.dataset import Dataset

    dataset = Dataset.open(folder)
    if as_json:
        print_json(tree_document(dataset, depth) if tree else dataset_document(dataset))
    elif tree and dataset.taxonomy.is_empty:
        console.print("No item has a category.")
    elif tree:
        console.print(category_tree(dataset, whole=True, depth=depth), soft_wrap=True)
    else:
        print_dataset(dataset, depth)


def print_dataset(dataset: Dataset, depth: int | None = None) -> None:
    """Print the statistics of a dataset as tables, and its category tree, the biggest branches of a big one.

    Parameters
    ----------
    dataset : Dataset
    depth : int, optional
        Draw the tree down to this level only.
    """
    manifest, has_tree = dataset.manifest, not dataset.taxonomy.is_empty
    console.print()
    for table in (
        _sizes(dataset),
        _behaviors(manifest),
        _distributions(dataset),
        _split(dataset),
        *([category_tree(dataset, depth=depth)] if has_tree else []),
        *([_tree_counts(manifest)] if has_tree and any(value for _key, value in manifest.tree) else []),
        _sources(manifest),
        *([_left_out(manifest)] if manifest.left_out else []),
        *([_rejects(manifest)] if manifest.rejects.rows else []),
        *([_item_columns(manifest.item_columns)] if manifest.item_columns else []),
        *([_preparation(manifest)] if len(_settings(manifest)) > 1 else []),
    ):
        console.print(table)
        console.print()
    if manifest.lineage:
        earlier = ", ".join(fingerprint[:12] for fingerprint in manifest.lineage)
        console.print(f"[dim]Appended to {earlier}[/]", highlight=False, soft_wrap=True)
    console.print(f"[dim]Fingerprint {manifest.fingerprint}[/]", highlight=False, soft_wrap=True)


def _table(title: str, first: str, *columns: str) -> Table:
    """Begin a table with a text column and number columns."""
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold", no_wrap=not first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _sizes(dataset: Dataset) -> Table:
    counts = dataset.manifest.counts
    table = _table(f"Dataset {dataset.path}", "Statistics", "")
    table.add_row("Sessions", f"{counts.sessions:,}")
    if (users := dataset.n_users) is not None:
        table.add_row("Users", f"{users:,}")
    table.add_row("Products (items)", f"{counts.items:,}")
    if dataset.taxonomy.is_empty:
        table.add_row("Categories", "none")
    for level, categories in _by_level(dataset, counts.categories):
        name = "Categories" if len(counts.categories) == 1 else f"Categories of level {level}"
        table.add_row(name, f"{categories:,}")
    table.add_row("Micro-behaviors (events)", f"{counts.events:,}")
    table.add_row("Item runs", f"{counts.item_runs:,}")
    table.add_row("Item runs that return to an item of their session", f"{counts.repeat_share:.1%}")
    table.add_row("Sessions whose target was in their history", f"{counts.target_repeat_share:.1%}")
    if (carried := dataset.item_columns) is not None:
        known = counts.items - carried.rows(dataset.item_name_array).null_count
        table.add_row("Products with item columns", f"{known:,}")
        table.add_row("Items in no session with item columns", f"{carried.info.rows - known:,}")
    return table


def _behaviors(manifest: Manifest) -> Table:
    table = _table("Behaviors", "Type", "Code", "Events", "Share")
    total = manifest.counts.events
    for behavior, events in zip(manifest.behaviors, manifest.counts.events_by_behavior, strict=True):
        table.add_row(escape(behavior.name), escape(behavior.code), f"{events:,}", f"{events / total:.2%}")
    return table


def _by_level(dataset: Dataset, values: Sequence[Of]) -> list[tuple[int, Of]]:
    """Give values of category_1 … category_K with their numbers; of a log without categories none."""
    return [] if dataset.taxonomy.is_empty else list(enumerate(values, start=1))


def _distributions(dataset: Dataset) -> Table:
    counts = dataset.manifest.counts
    rows: dict[str, Distribution] = {
        "events per session": counts.events_per_session,
        "item runs per session": counts.item_runs_per_session,
        "events per item run": counts.events_per_item_run,
    }
    for level, lengths in reversed(_by_level(dataset, counts.events_per_category_run)):
        rows[f"events per category_{level} run"] = lengths
    rows["interval, seconds"] = counts.interval_seconds
    rows["dwell, seconds"] = counts.dwell_seconds
    table = _table("Lengths and times", "", "mean", "median", "75 %", "90 %", "99 %", "max")
    for name, summary in rows.items():
        quantiles = (summary.median, summary.p75, summary.p90, summary.p99, summary.max)
        table.add_row(name, f"{summary.mean:,.2f}", *(_number(value) for value in quantiles))
    return table


def _split(dataset: Dataset) -> Table:
    split, train, counts = dataset.manifest.split, dataset.manifest.train, dataset.manifest.counts
    how = "time order" if split.method == "time" else f"random order, seed {split.seed}"
    has_times = dataset.manifest.time is not None
    table = _table(f"Split by {how}", "Part", "Sessions", "Events", *(("From (UTC)", "To (UTC)") if has_times else ()))
    parts: tuple[SplitName, ...] = ("train", "validation", "test")
    for part in parts:
        sessions = dataset.sessions(part)
        events = dataset.offsets[sessions.stop] - dataset.offsets[sessions.start]
        times = dataset.time_range(part) if has_times else None
        shown = (_moment(times.first_ms), _moment(times.last_ms)) if times else ()
        table.add_row(part, f"{len(sessions):,}", f"{events:,}", *shown)
    table.add_section()
    table.add_row("items of train", f"{train.items:,}", f"{train.items / counts.items:.1%}")
    for level, (known, categories) in _by_level(dataset, [*zip(train.categories, counts.categories, strict=True)]):
        table.add_row(f"category_{level} of train", f"{known:,}", f"{known / categories:.1%}")
    if train.test_targets_known is not None:
        table.add_row("test targets seen in train", "", f"{train.test_targets_known:.1%}")
    return table


def _sources(manifest: Manifest) -> Table:
    table = _table("Sources", "File", "Bytes", "Lines", "Events used")
    for source in manifest.sources[:_SHOWN_SOURCES]:
        table.add_row(escape(source.file), f"{source.bytes:,}", f"{source.lines:,}", f"{source.used_events:,}")
    others = manifest.sources[_SHOWN_SOURCES:]
    if others:
        sums = (sum(source.bytes for source in others), sum(source.lines for source in others))
        used = sum(source.used_events for source in others)
        table.add_row(f"… and {len(others):,} more", *(f"{number:,}" for number in (*sums, used)))
    return table


def _rejects(manifest: Manifest) -> Table:
    table = _table("Rejects (rejects.parquet)", "Reason", "Rows")
    for reason, rows in manifest.rejects.by_reason.items():
        table.add_row(escape(reason), f"{rows:,}")
    return table


def _tree_counts(manifest: Manifest) -> Table:
    table = _table("Category paths", "What was met", "Number")
    for key, value in manifest.tree:
        if value:
            table.add_row(_TREE_COUNTS.get(key, key.replace("_", " ")), f"{value:,}")
    return table


def _left_out(manifest: Manifest) -> Table:
    table = _table("Left out", "Why", "Rows")
    for reason, rows in manifest.left_out.items():
        table.add_row(escape(reason), f"{rows:,}")
    return table


def _item_columns(carried: ItemColumnsInfo) -> Table:
    table = _table("Item columns", "Column", "Type")
    for name, kind in carried.columns.items():
        table.add_row(escape(name), escape(kind))
    return table


def _settings(manifest: Manifest) -> list[tuple[str, Any]]:
    leaves = _leaves(manifest.preparation.model_dump(mode="json"))
    return [(key, value) for key, value in leaves if value not in (None, [], {})]


def _preparation(manifest: Manifest) -> Table:
    table = Table(title="Prepared with", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Setting", "Value"):
        table.add_column(name, overflow="fold")
    for key, value in _settings(manifest):
        table.add_row(escape(key), escape(_short(value)))
    return table


def _moment(milliseconds: int) -> str:
    """Write a time; years that the calendar lacks stay numbers."""
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds:,} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:,.2f}"


def _print_model(folder: Path, as_json: bool) -> None:
    content = model_document(folder)
    if as_json:
        print_json(content)
        return
    for part, values in content.items():
        if part == "path":
            continue
        table = Table(title=f"{escape(str(folder))}: {part}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("Key", overflow="fold")
        table.add_column("Value", overflow="fold")
        for key, value in _leaves(values):
            table.add_row(escape(key), escape(_short(value)))
        console.print(table)


def _leaves(value: Any, key: str = "") -> list[tuple[str, Any]]:
    """Flatten nested objects, and lists of nameless ones, to dotted keys."""
    if isinstance(value, list) and any(isinstance(part, dict) and "name" not in part for part in value):
        value = dict(enumerate(value, 1))
    if not isinstance(value, dict):
        return [(key, value)]
    return [leaf for name, child in value.items() for leaf in _leaves(child, f"{key}.{name}" if key else name)]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_short(part["name"] if isinstance(part, dict) else part) for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
