"""JD lines, ready to be written as a dataset: tokens are checked, sessions chosen and ordered, by SQL.

A token is ``item+behavior+category+interval+dwell``; the category may be a path, coarsest first: ``3/17/240``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.behaviors import JD_BEHAVIORS
from hup.data.append import item_paths
from hup.data.dataset import Dataset
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import SourceFile, quoted_name, quoted_text
from hup.data.jd_lines import LineReader
from hup.data.manifest import Preparation
from hup.data.progress import Progress
from hup.data.rejects import DROPPED, NOTED, RECATEGORISED, SCHEMA, SESSION_DROPPED
from hup.data.session_log import SessionLog

SEPARATOR = "/"
N_FIELDS = 5
_NOTHING_KNOWN = pa.table({"item": pa.array([], pa.large_string()), "path": pa.array([], pa.large_string())})


def jd_log(
    files: Sequence[SourceFile],
    engine: DuckDBEngine,
    progress: Progress,
    levels: int | None,
    seed: int | None,
    base: Dataset | None = None,
) -> SessionLog:
    """Read JD lines, and choose and order their sessions.

    Parameters
    ----------
    files : sequence of SourceFile
        Read once, to their end.
    engine : DuckDBEngine
        Keeps the tables of `read_tokens`, ``pairs``, ``items``, ``coded``, ``sessions`` and ``places``.
    progress : Progress
        Told the bytes read.
    levels : int, optional
        Number of category levels K; by default that of most tokens.
    seed : int, optional
        Permute the sessions; by default they stay in log order.
    base : Dataset, optional
        The dataset that the log is appended to: items that it knows keep their categories.
    """
    tokens = read_tokens(files, engine, progress, levels)
    progress.phase("Items, categories, sessions")
    engine.register("known", item_paths(base, SEPARATOR) if base is not None else _NOTHING_KNOWN)
    for name, sql in (("pairs", _PAIRS), ("items", _ITEMS), ("coded", _CODED), ("sessions", _SESSIONS)):
        engine.create_table(name, sql)
    sizes = engine.collect("SELECT session, events FROM sessions WHERE has_target ORDER BY session")
    sessions, sizes_of = sizes["session"].to_numpy(), sizes["events"].to_numpy()
    # A permutation that depends on the seed and the log alone.
    place = np.arange(len(sessions)) if seed is None else np.random.default_rng(seed).permutation(len(sessions))
    engine.register("places", pa.table({"session": sessions, "place": place}))
    in_order = np.argsort(place)
    return SessionLog(
        preparation=Preparation(format="jd"),
        levels=tokens.levels,
        separator=SEPARATOR,
        behaviors=JD_BEHAVIORS,
        items=engine.collect("SELECT item, path FROM items ORDER BY item_id"),
        sessions=tokens.lines.sessions(sessions[in_order]),
        n_events=int(sizes_of.sum()),
        events=partial(engine.stream, _EVENTS if seed is None else _PERMUTED_EVENTS),
        rejects=partial(located, _REJECTS, tokens.lines, engine),
        rows=tokens.n,
        file_rejects=tokens.lines.file_rejects,
        sources=tokens.lines.sources(sessions, sizes_of),
    )


@dataclass(frozen=True)
class Tokens:
    """What `read_tokens` has read.

    Attributes
    ----------
    lines : LineReader
        Where sessions came from.
    n : int
        Number of tokens and bad lines, good and bad together.
    levels : int
        Number of category levels, K.
    """

    lines: LineReader
    n: int
    levels: int


def read_tokens(files: Sequence[SourceFile], engine: DuckDBEngine, progress: Progress, levels: int | None) -> Tokens:
    """Split, check and type the tokens of JD lines.

    The engine then has ``events`` (``session`` and ``position`` int64, which rise along the log, ``item``, ``path``: K
    names, coarsest first, joined by `SEPARATOR`, ``behavior`` uint8, ``interval`` and ``dwell`` float32 seconds), and
    ``rejected`` (``session``, ``position``, ``token``, null for a whole line, ``reason``).

    Parameters
    ----------
    files, engine, progress, levels
        As for `jd_log`.
    """
    progress.phase("Reading", sum(file.bytes for file in files), "bytes")
    reader = LineReader(files, progress)
    engine.register("lines", reader.stream())
    engine.create_table("tokens", _TOKENS)
    engine.register("bad_lines", _bad_lines(reader))
    engine.create_table("paths", _PATHS)
    levels = levels or _usual_depth(engine)
    engine.create_table("bad_paths", _bad_paths(levels))
    engine.create_view("events", "SELECT * FROM tokens ANTI JOIN bad_paths USING (path) WHERE behavior IS NOT NULL")
    engine.create_view("rejected", _REJECTED)
    n = engine.collect("SELECT count(*) AS n FROM tokens")["n"][0].as_py() + sum(map(len, reader.bad_sessions))
    return Tokens(reader, n, levels)


def located(rejects: str, lines: LineReader, engine: DuckDBEngine) -> Iterator[pa.RecordBatch]:
    """Say file and line of each rejected row.

    Parameters
    ----------
    rejects : str
        SQL whose columns are ``session``, ``token``, ``reason`` and ``effect``.
    lines : LineReader
        Where sessions came from.
    engine : DuckDBEngine
        Runs it.
    """
    for batch in engine.stream(rejects):
        file_names, line_numbers = lines.places(batch.column("session").to_numpy())
        texts = (batch.column(name).cast(pa.string()) for name in ("token", "reason", "effect"))
        yield pa.record_batch([file_names, line_numbers, *texts], schema=SCHEMA)


def _bad_lines(reader: LineReader) -> pa.Table:
    """Give the lines that never became tokens, as rows of the rejected table."""
    sessions: npt.NDArray[np.int64] = np.concatenate([np.empty(0, np.int64), *reader.bad_sessions])
    return pa.table({"session": sessions, "reason": pa.chunked_array(reader.bad_reasons, pa.string())})


def _usual_depth(engine: DuckDBEngine) -> int:
    depths = engine.collect("SELECT depth, sum(events) AS events FROM paths GROUP BY depth").to_pylist()
    _most, depth = min(((-row["events"], row["depth"]) for row in depths), default=(0, 1))
    return int(depth)


# Tokens


def _seconds_checks(name: str) -> str:
    seconds = quoted_name(name)
    return f"""
        WHEN {seconds} IS NULL THEN '{name} is not a number: ' || {name}_text
        WHEN isnan({seconds}) OR isinf({seconds}) THEN '{name} is not finite: ' || {name}_text
        WHEN {seconds} < 0 THEN '{name} is negative: ' || {name}_text"""


#: What is wrong with a token, most basic first; null if nothing is.
_TOKEN_PROBLEM = f"""CASE
        WHEN n_fields <> {N_FIELDS} THEN 'wrong number of fields: ' || n_fields || ' instead of {N_FIELDS}'
        WHEN item = '' THEN 'item is empty'
        WHEN behavior IS NULL THEN 'unknown behavior code: ' || code
        WHEN path = '' THEN 'category is empty'{_seconds_checks("interval")}{_seconds_checks("dwell")}
    END"""

_CODES = " ".join(f"WHEN {quoted_text(each.code)} THEN {code}" for code, each in enumerate(JD_BEHAVIORS))

#: One row a token. One that cannot be used has no behavior, the whole token for an item and the reason for a path: a
#: column less in the largest of all tables.
_TOKENS = f"""
WITH
split AS (SELECT session, place, string_split(text, ' ') AS tokens FROM lines),
-- Two columns unnested side by side; two spaces in a row are no token.
tokens AS (SELECT session, unnest(range(place, place + len(tokens))) AS position, unnest(tokens) AS token FROM split),
parts AS (SELECT *, string_split(token, '+') AS parts FROM tokens WHERE token <> ''),
texts AS (
    SELECT session, position, token, len(parts) AS n_fields, parts[1] AS item, parts[2] AS code, parts[3] AS path,
        parts[4] AS interval_text, parts[5] AS dwell_text
    FROM parts
),
fields AS (
    SELECT *, CAST(CASE code {_CODES} END AS UTINYINT) AS behavior,
        TRY_CAST(interval_text AS REAL) AS "interval", TRY_CAST(dwell_text AS REAL) AS dwell
    FROM texts
),
judged AS (SELECT *, {_TOKEN_PROBLEM} AS reason FROM fields)
SELECT session, position, if(reason IS NULL, item, token) AS item, coalesce(reason, path) AS path,
    if(reason IS NULL, behavior, NULL) AS behavior, "interval", dwell
FROM judged
"""

_PATHS = f"""
SELECT path, count(*) AS events, len(string_split(path, '{SEPARATOR}')) AS depth
FROM tokens WHERE behavior IS NOT NULL GROUP BY path
"""


def _bad_paths(levels: int) -> str:
    return f"""
    SELECT path, reason
    FROM (
        SELECT path, CASE
            WHEN contains('{SEPARATOR}' || path || '{SEPARATOR}', '{SEPARATOR}{SEPARATOR}')
                THEN 'category path has an empty part: ' || path
            WHEN depth <> {levels} THEN 'category path has another depth: ' || depth || ' instead of {levels}'
            END AS reason
        FROM paths
    )
    WHERE reason IS NOT NULL
    """


def _seconds_text(column: str) -> str:
    return rf"regexp_replace(CAST({column} AS VARCHAR), '\.0$', '')"


_CODE_OF = " ".join(f"WHEN {code} THEN {quoted_text(each.code)}" for code, each in enumerate(JD_BEHAVIORS))
#: An event as a JD token again.
_TOKEN = f"""
    item || '+' || CASE behavior {_CODE_OF} END || '+' || path || '+'
    || {_seconds_text('"interval"')} || '+' || {_seconds_text("dwell")}"""

_REJECTED = f"""
SELECT session, position, item AS token, path AS reason FROM tokens WHERE behavior IS NULL
UNION ALL
SELECT session, position, {_TOKEN}, reason FROM tokens JOIN bad_paths USING (path) WHERE behavior IS NOT NULL
UNION ALL
SELECT session, NULL, NULL, reason FROM bad_lines
"""

# Items and sessions

#: The category paths of each item, and which is its own: the known one, the most frequent, the first seen.
_PAIRS = """
WITH pairs AS (SELECT item, path, count(*) AS events, min(position) AS first FROM events GROUP BY item, path)
SELECT item, pairs.path, first, known.path IS NOT NULL AS is_known,
    coalesce(known.path, first_value(pairs.path) OVER (PARTITION BY item ORDER BY events DESC, first)) AS item_path
FROM pairs LEFT JOIN known USING (item)
"""

#: Also items of sessions that are not used.
_ITEMS = """
WITH items AS (SELECT item, item_path AS path, min(first) AS first FROM pairs GROUP BY item, item_path)
SELECT item, path, CAST(row_number() OVER (ORDER BY first) - 1 AS INTEGER) AS item_id FROM items
"""

_CODED = """
SELECT session, position, item_id, behavior, "interval", dwell FROM events JOIN items USING (item)
"""

#: A session has a target if it has two runs: two runs need two items, and two items make two runs.
_SESSIONS = """
SELECT session, count(*) AS events, min(item_id) <> max(item_id) AS has_target FROM coded GROUP BY session
"""

_EVENTS = """
SELECT session, item_id, behavior, "interval", dwell FROM coded SEMI JOIN places USING (session) ORDER BY position
"""

_PERMUTED_EVENTS = """
SELECT session, item_id, behavior, "interval", dwell FROM coded JOIN places USING (session) ORDER BY place, position
"""

#: That a known item has moved since is no fault of the log.
_REJECTS = f"""
SELECT session, position, token, reason, '{DROPPED}' AS effect FROM rejected
UNION ALL
SELECT session, NULL, NULL, 'session has fewer than two item runs', '{SESSION_DROPPED}'
FROM sessions WHERE NOT has_target
UNION ALL
SELECT session, position, {_TOKEN}, 'item has another category: ' || path || ' instead of ' || item_path,
    if(is_known, '{NOTED}', '{RECATEGORISED}')
FROM events JOIN (SELECT * FROM pairs WHERE path <> item_path) USING (item, path) SEMI JOIN places USING (session)
ORDER BY session, position NULLS FIRST, reason
"""
