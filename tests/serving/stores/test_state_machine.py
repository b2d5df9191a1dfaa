"""Whatever is asked of a store in whatever order, it answers as a dictionary does."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hup.serving.stores.open_store import open_store
from hup.serving.stores.store import Change, Kept, Store

# A minute that is over, and others far ahead that only `sweep` is told of.
NOW = time.time()
MOMENTS = st.sampled_from([NOW - 60, NOW + 86_400, NOW + 2 * 86_400, NOW + 3 * 86_400])
NAMES = st.text(st.sampled_from("abé😀 /\x00"), min_size=1, max_size=4)
TEXTS = st.text(st.sampled_from("abé😀 /\x00"), max_size=3)
DATA = st.binary(max_size=8)


class AnyStore(RuleBasedStateMachine):
    """A store beside dictionaries of what must be in it."""

    new_address: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.records: dict[str, tuple[Kept, float]] = {}
        self.revisions: set[bytes] = set()
        self.items: dict[str, tuple[int, bytes]] = {}
        self.item_revision = 0
        self.seen: dict[str, bytes] = {}
        self.seen_revision = 0

    def do(self, asked: Any) -> Any:
        return self.runner.run(asked)

    @initialize()
    def open(self) -> None:
        self.address = type(self).new_address()
        self.store: Store = self.do(open_store(self.address))

    def alive(self, user: str) -> Kept | None:
        kept, expires = self.records.get(user, (None, 0.0))
        return kept if expires > NOW + 30 else None

    def expected(self, user: str, stale: bytes | None) -> bytes | None:
        """The revision that is there, or one that is not."""
        kept = self.alive(user)
        return stale if stale is not None else kept and kept.revision

    @rule(
        asked=st.dictionaries(
            NAMES, st.tuples(DATA, MOMENTS, st.none() | st.binary(min_size=16, max_size=16)), max_size=4
        )
    )
    def write(self, asked: dict[str, tuple[bytes, float, bytes | None]]) -> None:
        changes = [
            Change(user, self.expected(user, stale), data, expires) for user, (data, expires, stale) in asked.items()
        ]
        revisions = self.do(self.store.write(changes))
        assert len(revisions) == len(changes)
        for change, revision in zip(changes, revisions, strict=True):
            kept = self.alive(change.user)
            assert (revision is not None) == (change.expected == (kept and kept.revision))
            if revision is not None:
                assert revision not in self.revisions
                self.revisions.add(revision)
                self.records[change.user] = (Kept(revision, change.data), change.expires)

    @rule(user=NAMES, data=DATA, number=st.integers(0, 99))
    def write_on_an_old_revision(self, user: str, data: bytes, number: int) -> None:
        kept = self.alive(user)
        old = sorted(self.revisions - {kept and kept.revision})
        if old:
            assert self.do(self.store.write([Change(user, old[number % len(old)], data, NOW + 86_400)])) == [None]

    @rule(user=NAMES)
    def read(self, user: str) -> None:
        assert self.do(self.store.read(user)) == self.alive(user)

    @rule(number=st.integers(0, 99))
    def forget(self, number: int) -> None:
        if self.records:
            user = sorted(self.records)[number % len(self.records)]
            assert self.do(self.store.forget(user)) == (self.alive(user) is not None)
            del self.records[user]

    @rule(now=MOMENTS, limit=st.integers(0, 3))
    def sweep(self, now: float, limit: int) -> None:
        over = sorted((expires, user.encode()) for user, (_, expires) in self.records.items() if expires <= now)
        assert self.do(self.store.sweep(now, limit)) == min(limit, len(over))
        for _, user in over[:limit]:
            del self.records[user.decode()]

    @rule(prefix=TEXTS, after=TEXTS, limit=st.integers(0, 5))
    def users(self, prefix: str, after: str, limit: int) -> None:
        named = sorted(user for user in self.records if user.startswith(prefix) and user > after)
        assert self.do(self.store.users(prefix, after, limit)) == named[:limit]

    @rule(rows=st.dictionaries(NAMES, DATA, max_size=4))
    def put_items(self, rows: dict[str, bytes]) -> None:
        revision = self.do(self.store.put_items(rows))
        assert revision > self.item_revision if rows else revision == self.item_revision
        self.item_revision = revision
        self.items |= {item: (revision, row) for item, row in rows.items()}

    @rule()
    def items_since(self) -> None:
        found = self.do(self.store.items_since(self.seen_revision))
        assert found.revision == self.item_revision
        assert found.rows == {item: row for item, (put, row) in self.items.items() if put > self.seen_revision}
        self.seen |= found.rows
        self.seen_revision = found.revision
        assert self.seen == {item: row for item, (_, row) in self.items.items()}

    @rule()
    def reopen(self) -> None:
        if self.address != "memory:":
            self.do(self.store.close())
            self.store = self.do(open_store(self.address))

    @invariant()
    def all_are_listed(self) -> None:
        assert self.do(self.store.users("", "", 1000)) == sorted(self.records)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.do(self.store.close())
        self.runner.close()


def test_any_order_of_calls(new_address):
    machine = type("Machine", (AnyStore,), {"new_address": staticmethod(new_address)})
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=30, deadline=None))
