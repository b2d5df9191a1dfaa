"""JD lines, ready to be written as a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import ibis.expr.types as ir
import pyarrow as pa

from hup.data.append import item_paths
from hup.data.builder import build
from hup.data.dataset import Dataset
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.event_log import LinePlaces
from hup.data.jd_events import read_jd
from hup.data.jd_lines import LineReader
from hup.data.manifest import Preparation
from hup.data.progress import Progress
from hup.data.rejects import SCHEMA
from hup.data.sources import SourceFile
from hup.data.stored_log import StoredLog


def jd_log(
    files: Sequence[SourceFile],
    engine: DuckDBEngine,
    progress: Progress,
    levels: int | None,
    seed: int | None,
    base: Dataset | None = None,
) -> StoredLog:
    """Read JD lines, and choose and order their sessions.

    Parameters
    ----------
    files : sequence of SourceFile
        Read once, to their end.
    engine : DuckDBEngine
        Keeps intermediate tables.
    progress : Progress
        Told the bytes read.
    levels : int, optional
        Number of category levels K; by default that of most tokens.
    seed : int, optional
        Permute the sessions; by default they stay in log order.
    base : Dataset, optional
        The dataset that the log is appended to: items that it knows keep their categories.
    """
    reader = LineReader(files, progress)
    progress.phase("Reading", sum(file.bytes for file in files), "bytes")
    log = read_jd(reader, engine, levels)
    progress.phase("Items, categories, sessions")
    ordered = build(log, engine, seed, item_paths(base, log.separator) if base is not None else None)
    n_items = int(engine.collect(ordered.items.count().as_table()).column(0)[0].as_py())
    return StoredLog(
        preparation=Preparation(format=log.format),
        levels=log.levels,
        separator=log.separator,
        behaviors=log.behaviors,
        n_events=ordered.n_events,
        n_sessions=ordered.n_sessions,
        batches=partial(engine.stream, ordered.events),
        items=lambda: engine.collect(ordered.items.order_by("item_id")).select(["item", "path"]),
        n_items=n_items,
        rejects=partial(located, ordered.rejects, engine, log.origins),
        rows=log.tokens,
        file_rejects=reader.file_rejects,
        origins=log.origins,
    )


def located(rejects: ir.Table, engine: DuckDBEngine, origins: LinePlaces) -> Iterator[pa.RecordBatch]:
    """Say file and line of each rejected row."""
    for batch in engine.stream(rejects):
        files, lines = origins.places(batch.column("session").to_numpy())
        columns = [files, lines, *(batch.column(name).cast(pa.string()) for name in ("token", "reason", "effect"))]
        yield pa.record_batch(columns, schema=SCHEMA)
