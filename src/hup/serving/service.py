"""Folds posted events into what is kept of users, and opens it for answers; it knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hup.errors import HupError, StoreError
from hup.serving.catalog import Catalog
from hup.serving.folding import fold, rebuilt
from hup.serving.logs import LOGGER
from hup.serving.options import ServeOptions
from hup.serving.posted import Posted, Verdict
from hup.serving.record import DamagedRecordError, Record, read_record, record_bytes
from hup.serving.served import Served
from hup.serving.stores.parts import in_parts
from hup.serving.stores.store import Change, Store

log = logging.getLogger(LOGGER)

#: Records that are kept open in memory.
_OPENED = 4096
#: Events that are folded before others have their turn.
_AT_ONCE = 64
#: Records of one write.
_WRITTEN_AT_ONCE = 512
#: Times that a write is tried while others write the same users.
_TRIES = 30
_DAY = 86_400.0


@dataclass(frozen=True)
class _Opened:
    revision: bytes
    record: Record


class Service:
    """The service of one process.

    Parameters
    ----------
    store : Store
    served : Served
    options : ServeOptions
    clock : callable
        Seconds since 1970.
    loaded : callable
        Called when another model has taken over.

    Attributes
    ----------
    served : Served
        The model that answers now.
    catalog : Catalog
    failed : str
        Why the model could not be loaded again the last time; empty = it could.
    """

    def __init__(
        self,
        store: Store,
        served: Served,
        options: ServeOptions,
        clock: Callable[[], float] = time.time,
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.served, self.options, self.clock, self.loaded = store, served, options, clock, loaded
        self.catalog = Catalog.of(served, options.items)
        self.failed = ""
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        self._loading = asyncio.Lock()
        self._reloads: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ events

    async def post(self, posted: Sequence[Posted]) -> list[Verdict]:
        """Fold events in; when it returns, what was accepted is durable.

        Returns
        -------
        list of Verdict
            In the order of ``posted``.

        Raises
        ------
        StoreError
            The store cannot be read or written, or others have written the same users again and again. Events that have
            an id can be posted again.
        """
        verdicts: list[Verdict] = [Verdict("accepted", one.event_id) for one in posted]
        now = self.clock()
        places: dict[str, list[int]] = {}
        for place, one in enumerate(posted):
            reason = self._ahead(one, now)
            if reason:
                verdicts[place] = Verdict("refused", one.event_id, reason)
            else:
                places.setdefault(one.user, []).append(place)
        for users in in_parts(sorted(places), _WRITTEN_AT_ONCE):
            await self._post(users, places, posted, verdicts, now)
        return verdicts

    async def _post(
        self,
        users: Sequence[str],
        places: dict[str, list[int]],
        posted: Sequence[Posted],
        verdicts: list[Verdict],
        now: float,
    ) -> None:
        """Fold the events of some users in, and put what became of them where they stand."""
        held = [await self._lock(user) for user in users]
        try:
            left: Sequence[str] = users
            for tried in range(_TRIES):
                if tried:
                    await asyncio.sleep(random.uniform(0, min(0.002 * 2**tried, 0.25)))
                left = await self._round(left, places, posted, verdicts, now)
                if not left:
                    return
            raise StoreError("Others write the same users again and again. Post the events once more.")
        finally:
            for user, lock in zip(users, held, strict=True):
                self._release(user, lock)

    async def _round(
        self,
        users: Sequence[str],
        places: dict[str, list[int]],
        posted: Sequence[Posted],
        verdicts: list[Verdict],
        now: float,
    ) -> list[str]:
        """Read, fold and write once; give the users that another one has written meanwhile."""
        changes: list[Change] = []
        records: list[Record] = []
        expires = now + self.options.ttl_days * _DAY
        served = self.served
        for user in users:
            try:
                kept = await self._read(user, served)
            except DamagedRecordError as error:
                for at in places[user]:
                    verdicts[at] = Verdict("refused", posted[at].event_id, str(error))
                continue
            before = None if kept is None else kept.record
            record = before
            for part in in_parts(places[user], _AT_ONCE):
                if len(users) > 1 or len(places[user]) > _AT_ONCE:
                    await asyncio.sleep(0)
                record, made = fold(record, [posted[at] for at in part], served, now, self.options.late_seconds)
                for at, verdict in zip(part, made, strict=True):
                    verdicts[at] = verdict
            if record is not None and record is not before:
                changes.append(Change(user, None if kept is None else kept.revision, _bytes(record, served), expires))
                records.append(record)
        if not changes:
            return []
        written = await self.store.write(changes)
        lost = []
        for change, record, revision in zip(changes, records, written, strict=True):
            if revision is None:
                lost.append(change.user)
                self._opened.pop(change.user, None)
            else:
                self._keep(change.user, _Opened(revision, record), served)
        return lost

    def _ahead(self, one: Posted, now: float) -> str:
        timestamp = one.event.timestamp
        if timestamp is None or timestamp <= now + self.options.ahead_seconds:
            return ""
        return (
            f"timestamp is {timestamp - now:,.0f} s ahead of the server's clock; {self.options.ahead_seconds:,.0f} s "
            "are taken. Timestamps are seconds since 1970."
        )

    # ------------------------------------------------------------------ users

    async def record(self, user: str) -> Record | None:
        """Give what is kept of a user, of the model that answers now; None = nothing is.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        found = await self._read(user, self.served)
        return None if found is None else found.record

    async def forget(self, user: str) -> bool:
        """Forget a user, durably; say whether there was anything."""
        lock = await self._lock(user)
        try:
            self._opened.pop(user, None)
            return await self.store.forget(user)
        finally:
            self._release(user, lock)

    async def _read(self, user: str, served: Served) -> _Opened | None:
        kept = await self.store.read(user)
        if kept is None:
            self._opened.pop(user, None)
            return None
        opened = self._opened.get(user)
        if opened is not None and opened.revision == kept.revision and opened.record.model == served.state_digest:
            self._opened.move_to_end(user)
            return opened
        try:
            record = _openable(read_record(kept.data), served)
        except HupError as error:
            log.error("a record is damaged", extra={"detail": str(error)})
            log.debug("a record is damaged", extra={"user": user})
            raise DamagedRecordError(f"{error} DELETE the user to begin anew.") from None
        opened = _Opened(kept.revision, record)
        self._keep(user, opened, served)
        return opened

    def _keep(self, user: str, opened: _Opened, served: Served) -> None:
        if served is self.served:
            self._opened[user] = opened
            self._opened.move_to_end(user)
            if len(self._opened) > _OPENED:
                self._opened.popitem(last=False)

    async def _lock(self, user: str) -> asyncio.Lock:
        """Take the lock of a user, so that requests of this process do not get in each other's way."""
        lock = self._locks.setdefault(user, asyncio.Lock())
        await lock.acquire()
        return lock

    def _release(self, user: str, lock: asyncio.Lock) -> None:
        lock.release()
        if not lock.locked() and not lock._waiters:
            self._locks.pop(user, None)

    # ------------------------------------------------------------------ the model

    def begin_reload(self) -> None:
        """Have the model read again, without waiting for it."""
        task = asyncio.get_running_loop().create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def reload(self) -> None:
        """Read the model folder again, aside, and answer with it from then on; the old one stays where it fails."""
        async with self._loading:
            try:
                served = await asyncio.to_thread(Served, self.options.model, self.options.idle_gap_minutes)
                catalog = await asyncio.to_thread(Catalog.of, served, self.options.items)
            except Exception as error:  # whatever is wrong with a folder, the old model goes on
                self.failed = str(error) if isinstance(error, HupError) else f"{type(error).__name__}: {error}"
                log.error("the model could not be loaded", extra={"detail": self.failed})
                return
            catalog.take_over(self.catalog)
            self.served, self.catalog, self.failed = served, catalog, ""
            self._opened.clear()
            self.loaded()
            log.info("the model was loaded", extra={"model": served.digest})

    async def close(self) -> None:
        """Let go of the store."""
        await self.store.close()


def _bytes(record: Record, served: Served) -> bytes:
    base, middle, now = (served.stored(one.state) for one in (record.base, record.middle, record.now))
    return record_bytes(record, (base, middle, now))


def _openable(record: Record, served: Served) -> Record:
    """Give a record of the model: its state opened, or made anew of the events where it is of another one."""
    if record.model != served.state_digest:
        return rebuilt(record, served)
    if served.has_profiles and record.now.state is not None:
        return replace(record, now=replace(record.now, state=served.opened(record.now.state)))
    return record
