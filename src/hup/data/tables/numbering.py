"""Items, behaviors and histories as numbers, and the events in order: the last steps that an engine takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from hup.data.behaviors import Behavior
from hup.data.engines.engine import Engine
from hup.data.tables.log import TableLog
from hup.data.tables.mapping import BehaviorRules
from hup.data.tables.rows import SEPARATOR
from hup.errors import HupError

MOST_BEHAVIORS = 255
ROWS_OF_A_FILE = 1 << 40


@dataclass(frozen=True)
class NumberedLog:
    """Usable rows with numbers for names.

    Attributes
    ----------
    events : Table
        In order of ``key``, time, event id, place: ``key`` int64, ``file`` int32, ``item_id`` int32, ``behavior``
        uint8, ``time_ms`` int64, and ``event_id``, ``interval``, ``dwell`` where the log has them.
    items : Table
        ``item`` and ``item_id``, kept by the engine.
    n_items : int
        Their number.
    keys : pa.Table
        ``user`` and ``session`` (null where the log has none) of each history, by key.
    behaviors : tuple of Behavior
        Behavior types by code.
    """

    events: ir.Table
    items: ir.Table
    n_items: int
    keys: pa.Table
    behaviors: tuple[Behavior, ...]


def number(
    log: TableLog, engine: Engine, *, by_session: bool, rules: BehaviorRules, known: tuple[Behavior, ...] = ()
) -> NumberedLog:
    """Give numbers to the names in usable rows.

    Parameters
    ----------
    log : TableLog
        The rows.
    engine : Engine
        Keeps the tables ``items`` and ``keys``.
    by_session : bool
        Whether a history is a session of the log, or else all that a user did.
    rules : BehaviorRules
        Order of the behaviors.
    known : tuple of Behavior
        Behaviors that have codes already.

    Raises
    ------
    HupError
        If there are more behaviors than a dataset can hold.
    """
    behaviors = _behaviors(log.counts.behaviors, rules, known)
    items = engine.materialise("items", _numbered_items(log.good))
    n_items = int(engine.collect(items.aggregate(n=_.count()))["n"][0].as_py())
    keyed = log.good.mutate(
        user_key=_.user.fill_null(""), session_key=_.session.fill_null("") if by_session else ibis.literal("")
    )
    keys = engine.materialise("keys", _numbered_keys(keyed))
    ids_are_whole = log.counts.ids_are_whole
    if not by_session and log.counts.has_sessions:
        keyed, ids_are_whole = keyed.mutate(event_id=_of_session(keyed)), False
    return NumberedLog(
        events=_in_order(keyed, items, keys, behaviors, log, ids_are_whole),
        items=items,
        n_items=n_items,
        keys=_names(engine.collect(keys.order_by("key"))),
        behaviors=behaviors,
    )


def _of_session(good: ir.Table) -> ir.StringValue:
    """Give event ids of users: a table may count the events of each session anew, and says nothing twice by that."""
    return ibis.ifelse(good.session.isnull(), good.event_id, good.session + SEPARATOR + good.event_id)


def _numbered_items(good: ir.Table) -> ir.Table:
    names = good.select("item").distinct()
    return names.select("item", item_id=ibis.row_number().over(order_by="item").cast("int32"))


def _numbered_keys(keyed: ir.Table) -> ir.Table:
    names = keyed.select("user_key", "session_key").distinct()
    return names.mutate(key=ibis.row_number().over(order_by=["user_key", "session_key"]).cast("int64"))


def _names(keys: pa.Table) -> pa.Table:
    """Give names by key; what the log lacks is null."""
    columns = {}
    for name in ("user", "session"):
        text = keys[f"{name}_key"].cast(pa.large_string())
        columns[name] = pa.compute.if_else(pa.compute.equal(text, ""), pa.scalar(None, pa.large_string()), text)
    return pa.table(columns)


def _in_order(
    keyed: ir.Table,
    items: ir.Table,
    keys: ir.Table,
    behaviors: tuple[Behavior, ...],
    log: TableLog,
    ids_are_whole: bool,
) -> ir.Table:
    codes = [(behavior.code, code) for code, behavior in enumerate(behaviors)]
    columns = log.counts.columns
    joined = keyed.inner_join(items, "item").inner_join(keys, ["user_key", "session_key"])
    if ids_are_whole:
        joined = joined.mutate(event_id=_.event_id.cast("int64"))  # takes a third of the room
    by_event = [ibis.asc("event_id", nulls_first=True)] if "event_id" in columns else []
    chosen = joined.select(
        "key",
        "file",
        "item_id",
        "time_ms",
        *columns,
        behavior=_.behavior.cases(*codes, else_=None).cast("uint8"),
        # One number rather than two: what is sorted by is written to disk, too.
        place=_.file.cast("int64") * ROWS_OF_A_FILE + _.row.fill_null(0),
    )
    # Rows of a query have no place; there what they say decides.
    last = ["place"] if log.placed else ["item_id", "behavior"]
    ordered = chosen.order_by("key", "time_ms", *by_event, *last)
    return ordered.select("key", "file", "item_id", "behavior", "time_ms", *columns)


def _behaviors(found: Iterable[str], rules: BehaviorRules, known: tuple[Behavior, ...]) -> tuple[Behavior, ...]:
    """List the behaviors of the log: those known, then those the mapping puts in order, then by name."""
    there = {behavior.code for behavior in known}
    place = {name: number for number, name in enumerate(rules.order)}
    new = sorted(set(found) - there, key=lambda name: (place.get(name, len(place)), name))
    if len(there) + len(new) > MOST_BEHAVIORS:
        raise HupError(
            f"The log has {len(there) + len(new):,} behaviors, such as {', '.join(new[:5])}; a dataset holds "
            f"{MOST_BEHAVIORS}. Is the right column mapped to behavior? Keep some with [behaviors] keep = [...]."
        )
    return (*known, *(Behavior(code=name, name=name) for name in new))
