"""JD lines to validated events, as Ibis expressions.

A token is ``item+behavior+category+interval+dwell``; the category may be a path, coarsest first: ``3/17/240``.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis import _

from hup.behaviors import JD_BEHAVIORS
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.event_log import EventLog
from hup.data.jd_lines import LineOrigins, LineReader, line_stream

SEPARATOR = "/"
N_FIELDS = 5
_INFINITY = float("inf")


def read_jd(reader: LineReader, engine: DuckDBEngine, levels: int | None = None) -> EventLog:
    """Split, check and type the tokens of JD lines.

    Parameters
    ----------
    reader : LineReader
        The lines; they are read to their end.
    engine : DuckDBEngine
        Keeps the tokens as ``tokens``, their category paths as ``paths`` and unusable lines as ``bad_lines``.
    levels : int, optional
        Number of category levels K; by default that of most tokens.

    Returns
    -------
    EventLog
    """
    tokens = _materialise_tokens(reader, engine)
    typed = tokens.filter(_.behavior.notnull())
    paths = engine.materialise("paths", _category_paths(typed))
    levels = levels or _usual_depth(paths, engine)
    bad_paths = paths.mutate(reason=_path_problem(paths, levels)).filter(_.reason.notnull()).select("path", "reason")
    on_bad_path = typed.inner_join(bad_paths, "path")
    broken = _with_fields(tokens.filter(_.behavior.isnull()).select("session", "position", token=_.item))
    bad_lines = engine.register("bad_lines", _bad_lines(reader))
    rejected = ibis.union(
        broken.select("session", "position", "token", reason=ibis.cases(*_checks(broken), else_=None)),
        on_bad_path.select("session", "position", "reason", token=_token_text(on_bad_path)).select(
            "session", "position", "token", "reason"
        ),
        bad_lines,
    )
    n_tokens = engine.collect(tokens.aggregate(n=_.count()))["n"][0].as_py()
    return EventLog(
        format="jd",
        events=typed.anti_join(bad_paths, "path"),
        rejected=rejected,
        tokens=int(n_tokens) + sum(map(len, reader.bad_sessions)),
        levels=levels,
        separator=SEPARATOR,
        behaviors=JD_BEHAVIORS,
        origins=LineOrigins(reader),
        token_text=_token_text,
    )


def _materialise_tokens(reader: LineReader, engine: DuckDBEngine) -> ir.Table:
    """Keep one row a token; of one that cannot be used `behavior` is null and `item` holds the whole token."""
    lines = engine.register("lines", line_stream(reader))
    split = lines.mutate(tokens=_.text.split(" "))
    # Two columns unnested side by side: half the work of Table.unnest(offset=), which zips lists first.
    tokens = split.select(
        "session",
        position=ibis.range(split.place, split.place + split.tokens.length()).unnest(),
        token=split.tokens.unnest(),
    )
    fields = _with_fields(tokens.filter(_.token != ""))  # two spaces in a row are no token
    conditions = [condition for condition, _reason in _checks(fields)]
    checked = fields.mutate(unusable=ibis.or_(*conditions))
    table = checked.select(
        "session",
        "position",
        "path",
        item=ibis.ifelse(_.unusable, _.token, _["item"]),
        behavior=ibis.ifelse(_.unusable, ibis.null("uint8"), _.behavior.cast("uint8")),
        interval=_.interval,
        dwell=_.dwell,
    )
    return engine.materialise("tokens", table)


def _with_fields(tokens: ir.Table) -> ir.Table:
    """Add the fields of column `token`, null where they are missing or do not convert."""
    codes = [(behavior.code, index) for index, behavior in enumerate(JD_BEHAVIORS)]
    split = tokens.mutate(parts=_.token.split("+"))
    texts = split.mutate(
        n_fields=_.parts.length(),
        item=_.parts[0],
        code=_.parts[1],
        path=_.parts[2],
        interval_text=_.parts[3],
        dwell_text=_.parts[4],
    )
    return texts.mutate(
        behavior=_.code.cases(*codes, else_=None),
        interval=_.interval_text.try_cast("float32"),
        dwell=_.dwell_text.try_cast("float32"),
    )


def _checks(fields: ir.Table) -> list[tuple[ir.BooleanValue, ir.StringValue]]:
    """List what can be wrong with a token: condition and reason, most basic first."""
    return [
        (
            fields.n_fields != N_FIELDS,
            ibis.literal("wrong number of fields: ") + fields.n_fields.cast("string") + f" instead of {N_FIELDS}",
        ),
        (fields["item"] == "", ibis.literal("item is empty")),
        (fields.behavior.isnull(), ibis.literal("unknown behavior code: ") + fields.code),
        (fields.path == "", ibis.literal("category is empty")),
        *_seconds_checks("interval", fields.interval, fields.interval_text),
        *_seconds_checks("dwell", fields.dwell, fields.dwell_text),
    ]


def _seconds_checks(
    name: str, seconds: ir.FloatingValue, text: ir.StringValue
) -> list[tuple[ir.BooleanValue, ir.StringValue]]:
    return [
        (seconds.isnull(), ibis.literal(f"{name} is not a number: ") + text),
        (seconds.isnan() | (seconds.abs() == _INFINITY), ibis.literal(f"{name} is not finite: ") + text),
        (seconds < 0, ibis.literal(f"{name} is negative: ") + text),
    ]


def _category_paths(events: ir.Table) -> ir.Table:
    """Give each distinct category path, its depth and the number of its events."""
    counted = events.group_by("path").aggregate(events=_.count())
    return counted.mutate(depth=_.path.split(SEPARATOR).length().cast("int64"))


def _usual_depth(paths: ir.Table, engine: DuckDBEngine) -> int:
    depths = engine.collect(paths.group_by("depth").aggregate(events=_.events.sum()))
    rows: list[tuple[int, int]] = [(-row["events"], row["depth"]) for row in depths.to_pylist()]
    _most, depth = min(rows, default=(0, 1))
    return depth


def _path_problem(paths: ir.Table, levels: int) -> ir.StringValue:
    """Say what is wrong with a category path; null if nothing is."""
    framed = ibis.literal(SEPARATOR) + paths.path + SEPARATOR
    return ibis.cases(
        (framed.contains(SEPARATOR * 2), ibis.literal("category path has an empty part: ") + paths.path),
        (
            paths.depth != levels,
            ibis.literal("category path has another depth: ") + paths.depth.cast("string") + f" instead of {levels}",
        ),
        else_=None,
    )


def _token_text(events: ir.Table) -> ir.StringValue:
    """Write events as JD tokens again."""
    code = events.behavior.cases(*((index, behavior.code) for index, behavior in enumerate(JD_BEHAVIORS)))
    parts = (events["item"], code, events.path, _seconds_text(events.interval), _seconds_text(events.dwell))
    return ibis.literal("+").join(parts)


def _seconds_text(seconds: ir.FloatingValue) -> ir.StringValue:
    return seconds.cast("string").re_replace(r"\.0$", "")


def _bad_lines(reader: LineReader) -> pa.Table:
    """Give the lines that never became tokens, as rows of the rejected table."""
    sessions = np.concatenate([np.empty(0, np.int64), *reader.bad_sessions])
    unknown = pa.nulls(len(sessions))
    return pa.table(
        {
            "session": pa.array(sessions),
            "position": unknown.cast(pa.int64()),
            "token": unknown.cast(pa.string()),
            "reason": pa.chunked_array(reader.bad_reasons, pa.string()),
        }
    )
