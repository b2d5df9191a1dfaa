"""Items, behaviors and histories as numbers, and the events in order: the last steps that an engine takes."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from hup.data.behaviors import Behavior
from hup.data.engines.engine import Engine
from hup.data.tables.mapping import BehaviorRules
from hup.data.tables.rows import EVENT_ID_DIGITS, SEPARATOR
from hup.errors import HupError

MOST_BEHAVIORS = 255


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
    good: ir.Table, engine: Engine, by_session: bool, rules: BehaviorRules, known: tuple[Behavior, ...] = ()
) -> NumberedLog:
    """Give numbers to the names in usable rows.

    Parameters
    ----------
    good : Table
        Usable typed rows.
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
    behaviors = _behaviors(good, engine, rules, known)
    if not by_session:
        good = good.mutate(event_id=_of_session(good))
    items = engine.materialise("items", _numbered_items(good))
    n_items = int(engine.collect(items.aggregate(n=_.count()))["n"][0].as_py())
    keyed = good.mutate(
        user_key=_.user.fill_null(""), session_key=_.session.fill_null("") if by_session else ibis.literal("")
    )
    keys = engine.materialise("keys", _numbered_keys(keyed))
    return NumberedLog(
        events=_in_order(keyed, items, keys, behaviors, engine),
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
    keyed: ir.Table, items: ir.Table, keys: ir.Table, behaviors: tuple[Behavior, ...], engine: Engine
) -> ir.Table:
    codes = [(behavior.code, code) for code, behavior in enumerate(behaviors)]
    columns, ids_are_whole = _optional_columns(keyed, engine)
    joined = keyed.inner_join(items, "item").inner_join(keys, ["user_key", "session_key"])
    if ids_are_whole:
        joined = joined.mutate(event_id=_.event_id.cast("int64"))  # takes a third of the room
    by_event = [ibis.asc("event_id", nulls_first=True)] if "event_id" in columns else []
    # Rows of a query have no place; there what they say decides.
    place = [ibis.asc("file"), ibis.asc("row", nulls_first=True), ibis.asc("item_id"), ibis.asc("behavior")]
    chosen = joined.select(
        "key",
        "file",
        "item_id",
        "time_ms",
        "row",
        *columns,
        behavior=_.behavior.cases(*codes, else_=None).cast("uint8"),
    )
    ordered = chosen.order_by("key", "time_ms", *by_event, *place)
    return ordered.select("key", "file", "item_id", "behavior", "time_ms", *columns)


def _optional_columns(rows: ir.Table, engine: Engine) -> tuple[list[str], bool]:
    """List the columns that not every log has, and tell whether all event ids are whole numbers."""
    # Ids that are whole numbers have leading zeros up to the same length.
    number = rows.event_id.try_cast("int64")
    is_whole = number.notnull() & (number.cast("string").lpad(EVENT_ID_DIGITS, "0") == rows.event_id)
    found = engine.collect(
        rows.aggregate(
            event_id=rows.event_id.count(),
            interval=rows.interval.count(),
            dwell=rows.dwell.count(),
            whole=is_whole.fill_null(False).cast("int64").sum().fill_null(0),
        )
    ).to_pylist()[0]
    columns = [name for name in ("event_id", "interval", "dwell") if found[name]]
    return columns, 0 < found["event_id"] == found["whole"]


def _behaviors(
    good: ir.Table, engine: Engine, rules: BehaviorRules, known: tuple[Behavior, ...]
) -> tuple[Behavior, ...]:
    """List the behaviors of the log: those known, then those the mapping puts in order, then by name."""
    found = {row["behavior"] for row in engine.collect(good.select("behavior").distinct()).to_pylist()}
    there = {behavior.code for behavior in known}
    place = {name: number for number, name in enumerate(rules.order)}
    new = sorted(found - there, key=lambda name: (place.get(name, len(place)), name))
    if len(there) + len(new) > MOST_BEHAVIORS:
        raise HupError(
            f"The log has {len(there) + len(new):,} behaviors, such as {', '.join(new[:5])}; a dataset holds "
            f"{MOST_BEHAVIORS}. Is the right column mapped to behavior? Keep some with [behaviors] keep = [...]."
        )
    return (*known, *(Behavior(code=name, name=name) for name in new))
