"""Items, behaviors and histories as numbers, and the events in order: the last steps that an engine takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from hup.behaviors import Behavior
from hup.data.engines.engine import Engine
from hup.data.tables.category_paths import SEPARATOR
from hup.data.tables.item_table import CategorySource
from hup.data.tables.log import TableLog
from hup.data.tables.mapping import BehaviorRules
from hup.errors import HupError

MOST_BEHAVIORS = 255
ROWS_OF_A_FILE = 1 << 40


@dataclass(frozen=True)
class NumberedLog:
    """Usable rows with numbers for names.

    Attributes
    ----------
    events : Table
        In order of ``key``, time, event id, place: ``key`` int64, ``file`` int32, ``item_id`` and ``category`` int32,
        ``behavior`` uint8, ``time_ms`` int64, and ``event_id``, ``interval``, ``dwell`` where the log has them.
    items : LargeStringArray
        Names of the items by ``item_id``.
    categories : list of str or None
        Raw categories by code; None: the row states none.
    keys : pa.Table
        ``user`` and ``session`` (null where the log has none) of each history, by key.
    behaviors : tuple of Behavior
        Behavior types by code.
    """

    events: ir.Table
    items: pa.LargeStringArray
    categories: list[str | None]
    keys: pa.Table
    behaviors: tuple[Behavior, ...]


def number(
    log: TableLog,
    categories: CategorySource,
    engine: Engine,
    *,
    by_session: bool,
    rules: BehaviorRules,
    known: tuple[Behavior, ...] = (),
) -> NumberedLog:
    """Give numbers to the names in usable rows.

    Parameters
    ----------
    log : TableLog
        The rows.
    categories : CategorySource
        Where the categories of the rows come from.
    engine : Engine
        Keeps the tables ``items``, ``categories`` and ``keys``.
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
    keyed = categories.of_events(log.good).mutate(
        user_key=_.user.fill_null(""),
        session_key=_.session.fill_null("") if by_session else ibis.literal(""),
        category_key=_.category.fill_null(""),
    )
    raw = engine.materialise("categories", _numbered_categories(keyed))
    keys = engine.materialise("keys", _numbered_keys(keyed, by_session))
    ids_are_whole = log.counts.ids_are_whole
    if not by_session and log.counts.has_sessions:
        keyed, ids_are_whole = keyed.mutate(event_id=_of_session(keyed)), False
    joined = (
        keyed.inner_join(items, "item").inner_join(raw, "category_key").inner_join(keys, ["user_key", "session_key"])
    )
    names = engine.collect(items.order_by("item_id"))["item"].cast(pa.large_string()).combine_chunks()
    raw_names = engine.collect(raw.order_by("category_code"))["category_key"].to_pylist()
    return NumberedLog(
        events=_in_order(joined, behaviors, log, ids_are_whole),
        items=names,
        categories=[category or None for category in raw_names],
        keys=_names(engine.collect(keys.select("key", "known_user", "session_key").distinct().order_by("key"))),
        behaviors=behaviors,
    )


def _of_session(good: ir.Table) -> ir.StringValue:
    """Give event ids of users: a table may count the events of each session anew, and says nothing twice by that."""
    return ibis.ifelse(good.session.isnull(), good.event_id, good.session + SEPARATOR + good.event_id)


def _numbered_items(good: ir.Table) -> ir.Table:
    names = good.select("item").distinct()
    return names.select("item", item_id=ibis.row_number().over(order_by="item").cast("int32"))


def _numbered_categories(keyed: ir.Table) -> ir.Table:
    names = keyed.select("category_key").distinct()
    return names.mutate(category_code=ibis.row_number().over(order_by="category_key").cast("int32"))


def _numbered_keys(keyed: ir.Table, by_session: bool) -> ir.Table:
    """Give keys to names; rows of a session that name no user go to its only user, who logged in late."""
    names = keyed.select("user_key", "session_key").distinct()
    if by_session:
        session = ibis.window(group_by="session_key")
        named = names.mutate(
            n_users=(_.user_key != "").cast("int64").sum().over(session), last_user=_.user_key.max().over(session)
        )
        is_late = (named.user_key == "") & (named.n_users == 1)
        names = named.select(
            "user_key", "session_key", known_user=ibis.ifelse(is_late, named.last_user, named.user_key)
        )
    else:
        names = names.mutate(known_user=_.user_key)
    return names.mutate(key=ibis.dense_rank().over(order_by=["known_user", "session_key"]).cast("int64"))


def _names(keys: pa.Table) -> pa.Table:
    """Give names by key; what the log lacks is null."""
    columns = {}
    for name, column in (("user", "known_user"), ("session", "session_key")):
        text = keys[column].cast(pa.large_string())
        columns[name] = pa.compute.if_else(pa.compute.equal(text, ""), pa.scalar(None, pa.large_string()), text)
    return pa.table(columns)


def _in_order(joined: ir.Table, behaviors: tuple[Behavior, ...], log: TableLog, ids_are_whole: bool) -> ir.Table:
    codes = [(behavior.code, code) for code, behavior in enumerate(behaviors)]
    columns = log.counts.columns
    if ids_are_whole:
        joined = joined.mutate(event_id=_.event_id.cast("int64"))  # takes a third of the room
    by_event = [ibis.asc("event_id", nulls_first=True)] if "event_id" in columns else []
    # A log without a usable row has no behaviors.
    code = _.behavior.cases(*codes, else_=None) if codes else ibis.literal(0)
    chosen = joined.select(
        "key",
        "file",
        "item_id",
        "time_ms",
        *columns,
        category=_.category_code,
        behavior=code.cast("uint8"),
        # One number rather than two: what is sorted by is written to disk, too.
        place=_.file.cast("int64") * ROWS_OF_A_FILE + _.row.fill_null(0),
    )
    # Rows of a query have no place; there all that they say decides.
    stated = [ibis.asc(name, nulls_first=True) for name in columns if name != "event_id"]
    last = ["place"] if log.placed else ["item_id", "behavior", *stated, "category"]
    ordered = chosen.order_by("key", "time_ms", *by_event, *last)
    return ordered.select("key", "file", "item_id", "category", "behavior", "time_ms", *columns)


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
