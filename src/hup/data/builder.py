"""From validated events of any log to ordered rows, as Ibis expressions that any of its engines can run.

Sessions with fewer than two item runs go (they have no target), every item gets one category path, and events come
out in the order in which the dataset stores them.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis import _

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.event_log import EventLog
from hup.data.rejects import DROPPED, NOTED, RECATEGORISED, SESSION_DROPPED

_NOTHING_KNOWN = pa.table({"item": pa.array([], pa.large_string()), "path": pa.array([], pa.large_string())})


@dataclass(frozen=True)
class OrderedLog:
    """Events in order and what was left out.

    Attributes
    ----------
    events : Table
        In stored order: ``session``, ``item_id``, ``behavior``, ``interval``, ``dwell``.
    n_events, n_sessions : int
        Size of `events`.
    items : Table
        ``item_id`` (0 … n-1, in no order that matters), ``item``, ``path``; also items of dropped sessions.
    rejects : Table
        ``session``, ``position``, ``token``, ``reason``, ``effect``, in log order.
    """

    events: ir.Table
    n_events: int
    n_sessions: int
    items: ir.Table
    rejects: ir.Table


def build(log: EventLog, engine: DuckDBEngine, seed: int | None = None, known: pa.Table | None = None) -> OrderedLog:
    """Choose and order the events of `log`.

    Parameters
    ----------
    log : EventLog
        Validated events.
    engine : DuckDBEngine
        Keeps the tables ``known``, ``pairs``, ``items``, ``coded`` and ``sessions``.
    seed : int, optional
        Permute the sessions by this seed; by default they stay in log order.
    known : pa.Table, optional
        ``item`` and ``path`` of items whose path is settled, whatever the log says.
    """
    settled = known.select(["item", "path"]) if known is not None else _NOTHING_KNOWN
    pairs = engine.materialise("pairs", _pairs(log.events, engine.register("known", settled)))
    items = engine.materialise("items", _items(pairs))
    coded = engine.materialise(
        "coded",
        log.events.inner_join(items, "item").select("session", "position", "item_id", "behavior", "interval", "dwell"),
    )
    sessions = engine.materialise("sessions", _sessions(coded))
    kept, short = sessions.filter(_.has_target), sessions.filter(~_.has_target)
    size = engine.collect(kept.aggregate(events=_.events.sum().fill_null(0), sessions=_.count())).to_pylist()[0]
    used = coded.semi_join(kept, "session")
    events = used.order_by("position") if seed is None else _permuted(used, kept, engine, seed)
    return OrderedLog(
        events=events.select("session", "item_id", "behavior", "interval", "dwell"),
        n_events=int(size["events"]),
        n_sessions=int(size["sessions"]),
        items=items,
        rejects=_rejects(log, pairs, kept, short),
    )


def _pairs(events: ir.Table, known: ir.Table) -> ir.Table:
    """Give the category paths of each item, and which is its own: the known one, the most frequent, the first seen."""
    pairs = events.group_by("item", "path").aggregate(events=_.count(), first=_.position.min())
    best_first = ibis.window(group_by="item", order_by=[ibis.desc("events"), "first"])
    chosen = pairs.mutate(usual_path=_.path.first().over(best_first))
    with_known = chosen.left_join(known.select(known_item="item", known_path="path"), _["item"] == known["item"])
    return with_known.select(
        "item",
        "path",
        "first",
        item_path=ibis.coalesce(_.known_path, _.usual_path),
        is_known=_.known_path.notnull(),
    )


def _items(pairs: ir.Table) -> ir.Table:
    items = pairs.group_by("item", path=_.item_path).aggregate(first=_["first"].min())
    return items.select("item", "path", item_id=ibis.row_number().over(order_by="first").cast("int32"))


def _sessions(coded: ir.Table) -> ir.Table:
    """Tell which sessions have a target: two runs need two items, and two items make two runs."""
    spans = coded.group_by("session").aggregate(low=_.item_id.min(), high=_.item_id.max(), events=_.count())
    return spans.select("session", "events", has_target=_.low != _.high)


def _permuted(used: ir.Table, kept: ir.Table, engine: DuckDBEngine, seed: int) -> ir.Table:
    """Order events by a random permutation of their sessions that depends on the seed and the log alone."""
    sessions = engine.collect(kept.select("session").order_by("session"))["session"]
    place = np.random.default_rng(seed).permutation(len(sessions))
    places = engine.register("places", pa.table({"session": sessions, "place": pa.array(place)}))
    return used.inner_join(places, "session").order_by("place", "position")


def _rejects(log: EventLog, pairs: ir.Table, kept: ir.Table, short: ir.Table) -> ir.Table:
    columns = ("session", "position", "token", "reason", "effect")
    unusable = log.rejected.mutate(effect=ibis.literal(DROPPED)).select(*columns)
    whole_sessions = short.select(
        "session",
        position=ibis.null("int64"),
        token=ibis.null("string"),
        reason=ibis.literal("session has fewer than two item runs"),
        effect=ibis.literal(SESSION_DROPPED),
    )
    odd_pairs = pairs.filter(_.path != _.item_path).select("item", "path", "item_path", "is_known")
    odd = log.events.inner_join(odd_pairs, ["item", "path"]).semi_join(kept, "session")
    reason = ibis.literal("item has another category: ") + odd.path + " instead of " + odd.item_path
    # That a known item has moved since is no fault of the log.
    effect = ibis.ifelse(odd.is_known, ibis.literal(NOTED), ibis.literal(RECATEGORISED))
    recategorised = odd.mutate(token=log.token_text(odd), reason=reason, effect=effect)
    rejects = ibis.union(unusable, whole_sessions, recategorised.select(*columns))
    return rejects.order_by("session", ibis.asc("position", nulls_first=True), "reason")
