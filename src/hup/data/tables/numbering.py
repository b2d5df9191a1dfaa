"""Items, behaviors and histories as numbers, and the events in order: the last steps that an engine takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from hup.behaviors import Behavior
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import quoted_name, quoted_text, select
from hup.data.tables.categories import SEPARATOR, CategorySource
from hup.data.tables.log import TableLog
from hup.data.tables.mapping_rules import BehaviorRules
from hup.data.tables.rows import EVENT_ID
from hup.errors import HupError

MOST_BEHAVIORS = 255
ROWS_OF_A_FILE = 1 << 40
#: Longer histories, which only robots have, are left out.
LONGEST_HISTORY = 1 << 20


@dataclass(frozen=True)
class NumberedLog:
    """Usable rows with numbers for names.

    Attributes
    ----------
    events : str
        A SELECT in order of ``key``, time, event id, place: ``key`` int64, ``file`` int32, ``item_id`` and
        ``category`` int32, ``behavior`` uint8, ``time_ms`` int64, and ``event_id``, ``interval``, ``dwell`` where the
        log has them.
    items : LargeStringArray
        Names of the items by ``item_id``.
    categories : list of str or None
        Raw categories by code; None: the row states none.
    keys : pa.Table
        ``user`` and ``session`` (null where the log has none) of each history, by key.
    too_long : pa.Table
        ``key`` and ``rows`` of histories of more than `LONGEST_HISTORY` rows, which `events` is without.
    behaviors : tuple of Behavior
        Behavior types by code.
    """

    events: str
    items: pa.LargeStringArray
    categories: list[str | None]
    keys: pa.Table
    too_long: pa.Table
    behaviors: tuple[Behavior, ...]


def number(
    log: TableLog,
    categories: CategorySource,
    engine: DuckDBEngine,
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
    engine : DuckDBEngine
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
    engine.create_table("items", _numbered("item", "item_id", log.good))
    session_key = "coalesce(session, '')" if by_session else "''"
    keyed = f"""
        SELECT *, coalesce("user", '') AS user_key, {session_key} AS session_key, coalesce(category, '') AS category_key
        FROM ({categories.of_events(log.good)})"""
    engine.create_table("categories", _numbered("category_key", "category_code", keyed))
    names = "user_key, session_key"
    engine.create_table("histories", f"SELECT {names}, count(*) AS rows FROM ({keyed}) GROUP BY {names}")
    engine.create_table("keys", _numbered_keys("histories", by_session))
    engine.drop("histories")
    names = engine.collect("SELECT item FROM items ORDER BY item_id")["item"]
    raw_names = engine.collect("SELECT category_key FROM categories ORDER BY category_code")["category_key"].to_pylist()
    keys = engine.collect("SELECT DISTINCT key, known_user, session_key FROM keys ORDER BY key")
    too_long = f"SELECT DISTINCT key, rows FROM keys WHERE rows > {LONGEST_HISTORY} ORDER BY key"
    return NumberedLog(
        events=_in_order(keyed, behaviors, log, by_session),
        items=names.cast(pa.large_string()).combine_chunks(),
        categories=[category or None for category in raw_names],
        keys=_names(keys),
        too_long=engine.collect(too_long),
        behaviors=behaviors,
    )


def _numbered(name: str, number: str, rows: str) -> str:
    """Give numbers to the distinct values of the column `name`, from 0 in their order."""
    values = f"SELECT DISTINCT {name} FROM ({rows})"
    return f"SELECT {name}, (row_number() OVER (ORDER BY {name}) - 1)::INTEGER AS {number} FROM ({values})"


def _numbered_keys(histories: str, by_session: bool) -> str:
    """Give keys to the names of a table; what of a session names no user goes to its only user, who logged in late."""
    known_user = "user_key"
    if by_session:
        users = "count(*) FILTER (WHERE user_key <> '') OVER (PARTITION BY session_key)"
        only_user = "max(user_key) OVER (PARTITION BY session_key)"
        known_user = f"CASE WHEN user_key = '' AND {users} = 1 THEN {only_user} ELSE user_key END"
    return f"""
        SELECT * REPLACE ((sum(rows) OVER (PARTITION BY known_user, session_key))::BIGINT AS rows),
            dense_rank() OVER (ORDER BY known_user, session_key) - 1 AS key
        FROM (SELECT *, {known_user} AS known_user FROM {histories})"""


def _names(keys: pa.Table) -> pa.Table:
    """Give names by key; what the log lacks is null."""
    columns = {}
    for name, column in (("user", "known_user"), ("session", "session_key")):
        text = keys[column].cast(pa.large_string())
        columns[name] = pa.compute.if_else(pa.compute.equal(text, ""), pa.scalar(None, pa.large_string()), text)
    return pa.table(columns)


def _in_order(keyed: str, behaviors: tuple[Behavior, ...], log: TableLog, by_session: bool) -> str:
    # A log without a usable row has no behaviors.
    codes = " ".join(f"WHEN {quoted_text(behavior.code)} THEN {code}" for code, behavior in enumerate(behaviors))
    columns = {name: quoted_name(name) for name in log.counts.columns}
    if "event_id" in columns:
        columns["event_id"] = _event_id(log, by_session)
    chosen = {
        "key": "key",
        "file": "file",
        "item_id": "item_id",
        "category": "category_code",
        "behavior": f"(CASE behavior {codes} END)::UTINYINT" if codes else "0::UTINYINT",
        "time_ms": "time_ms",
        **columns,
    }
    # Rows of a query have no place; there all that they say decides. One number rather than two: what is sorted by is
    # written to disk, too.
    last = {"place": f'file::BIGINT * {ROWS_OF_A_FILE} + coalesce("row", 0)'} if log.placed else {}
    if log.placed and log.exploded:
        last["part"] = "part"
    # Where no row has such digits they would but take room.
    finer = {"time_ns": "time_ns"} if log.counts.has_finer_times else {}
    stated = ["item_id", "behavior", *(name for name in columns if name != "event_id"), "category"]
    ids = ["event_id"] if "event_id" in columns else []
    order = ["key", "time_ms", *finer, *ids, *(last or stated)]
    joined = (
        f"({keyed}) JOIN items USING (item) JOIN categories USING (category_key) "
        f"JOIN (SELECT * FROM keys WHERE rows <= {LONGEST_HISTORY}) AS used_keys USING (user_key, session_key)"
    )
    by = ", ".join(f"{quoted_name(name)} NULLS FIRST" for name in order)
    rows = select({**chosen, **finer, **last}, joined)
    return f"SELECT {', '.join(map(quoted_name, chosen))} FROM ({rows}) ORDER BY {by}"


def _event_id(log: TableLog, by_session: bool) -> str:
    """Give event ids; of users with their session, as a table may count the events of each session anew."""
    if not by_session and log.counts.has_sessions:
        return f"CASE WHEN session IS NULL THEN {EVENT_ID} ELSE session || {quoted_text(SEPARATOR)} || {EVENT_ID} END"
    return "event_number" if log.counts.ids_are_whole else EVENT_ID  # takes a third of the room


def _behaviors(met: Iterable[str], rules: BehaviorRules, known: tuple[Behavior, ...]) -> tuple[Behavior, ...]:
    """List the behaviors of the log: those known, then those the mapping puts in order, then by name."""
    there = {behavior.code for behavior in known}
    place = {name: number for number, name in enumerate(rules.order)}
    new = sorted(set(met) - there, key=lambda name: (place.get(name, len(place)), name))
    if len(there) + len(new) > MOST_BEHAVIORS:
        raise HupError(
            f"The log has {len(there) + len(new):,} behaviors, such as {', '.join(new[:5])}; a dataset holds "
            f"{MOST_BEHAVIORS}. Is the right column mapped to behavior? Keep some with [behaviors] keep = [...]."
        )
    return (*known, *(Behavior(code=name, name=name) for name in new))
