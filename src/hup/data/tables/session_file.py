"""One session from a small event table, read by the mapping of a whole log."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from hup.data.engines.duckdb_engine import DuckDBEngine, open_engine
from hup.data.engines.reader import SourceFile, TableSource
from hup.data.progress import Progress
from hup.data.tables.categories import SEPARATOR, resolve_paths
from hup.data.tables.log import TableLog, read_log
from hup.data.tables.mapping import Mapping
from hup.data.tables.rows import EVENT_ID
from hup.errors import HupError


def session_rows(path: Path, mapping: Mapping, levels: int) -> pa.Table:
    """Read the events of one session, in order.

    Parameters
    ----------
    path : Path
        Any table that `hup.prepare` reads.
    mapping : Mapping
        Of the log.
    levels : int
        K.

    Returns
    -------
    pyarrow.Table
        ``item`` and ``behavior``; ``path``, the names of its categories, empty where there is none or a table besides
        the log has them; ``time_ms`` (int64, since 1970 UTC) and ``time_ns`` (what is finer); ``interval`` and
        ``dwell`` in seconds, null where the log does not state them.

    Raises
    ------
    HupError
        The file does not read by the mapping, a row of it cannot be used, or it holds several sessions.
    """
    try:
        source = TableSource(files=(SourceFile(path, path.name, path.stat().st_size),))
    except OSError as error:
        raise HupError(f"Cannot read the session {path}: {error.strerror or error}.") from error
    with TemporaryDirectory(prefix="hup-") as work, open_engine("duckdb", Path(work), None, None) as engine:
        log = read_log(source, mapping, engine, Progress(), now_ms=time.time_ns() // 1_000_000)
        _check(log, path, engine)
        rows = engine.collect(
            f"SELECT item, behavior, category, time_ms, time_ns, interval, dwell FROM ({log.good}) "
            f'ORDER BY time_ms, time_ns, {EVENT_ID} NULLS FIRST, "row"'
        )
    return rows.append_column("path", _paths(rows.column("category").to_pylist(), mapping, levels))


def _check(log: TableLog, path: Path, engine: DuckDBEngine) -> None:
    """Refuse what `hup prepare` would leave out: here it would be the session itself."""
    if log.file_rejects:
        raise HupError(f"{path}: {log.file_rejects[0].reason}.")
    bad = engine.collect(f'SELECT "row", reason FROM {log.rows} WHERE reason IS NOT NULL ORDER BY "row" LIMIT 1')
    if bad.num_rows:
        row = bad.to_pylist()[0]
        raise HupError(f"{path}, row {row['row']}: {row['reason']}.")
    found = engine.collect(f'SELECT DISTINCT "user", session FROM ({log.good}) ORDER BY ALL LIMIT 2').to_pylist()
    if len(found) > 1:
        names = " and ".join(" / ".join(str(name) for name in one.values() if name is not None) for one in found)
        raise HupError(f"{path}: expected one session; it holds {names} at least.")


def _paths(raw: list[str | None], mapping: Mapping, levels: int) -> pa.Array:
    """Names of the categories of every row."""
    rules = mapping.categories
    if rules.items is not None or rules.parents is not None:
        raw = [None] * len(raw)  # items that the model knows keep their paths
    resolved = resolve_paths(raw, rules, levels)
    names = [
        [] if missing else path.split(SEPARATOR)
        for path, missing in zip(resolved.paths, resolved.missing.tolist(), strict=True)
    ]
    return pa.array(names, pa.list_(pa.string()))
