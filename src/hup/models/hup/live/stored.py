"""States as bytes: a head with version and checksum, then MessagePack; to read one runs no code that is in it.

What the vocabulary says of known items is not stored, so a state takes some ten kilobytes; one of a model with
attention grows with the session.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hup.errors import HupError
from hup.models.hup.live.profiles import LiveProfiles
from hup.models.hup.live.state import EarlierRun, ItemRun, OpenRun, ProfileState, packed, unpacked
from hup.nn.single import Ended
from hup.recommender.vocabulary import Seen
from hup.sessions.events import Event

VERSION: Final = 1

_HEAD = struct.Struct("<4sBI")  # what it is, version, CRC-32 of the rest
_MAGIC = b"HUPs"


class _Item(msgspec.Struct, array_like=True, omit_defaults=True):
    """An item by name; of one that the vocabulary lacks also its code, path and names."""

    name: str
    code: int = -1
    path: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


class _Run(msgspec.Struct, array_like=True):
    """An item run; ``item`` is a place in the list of items."""

    item: int
    events: int
    dwell: int
    behaviors: tuple[int, ...]


class _Open(msgspec.Struct, array_like=True):
    """The open run; its events are the last ones of the log."""

    first: bytes
    n_kept: int
    passed: int
    n_events: int
    behaviors: tuple[int, ...]


class _Steps(msgspec.Struct, array_like=True):
    """Ended steps of a level: float32 states, and attention signals."""

    hidden: bytes
    cell: bytes
    signal: list[int]


class _State(msgspec.Struct, array_like=True):
    model: bytes
    items: list[_Item]
    session: list[int]
    ended: list[_Steps]
    steps: list[list[int]]
    run_dwell: tuple[int, ...]
    open_run: _Open | None
    runs: list[_Run]
    earlier: list[tuple[_Run, int, float | None]]
    began: float | None
    latest: float | None
    log: list[bytes]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


def stored(state: ProfileState, n_known: int) -> bytes:
    """Give a state as bytes; ``n_known`` is the size of its model's vocabulary of items."""
    places: dict[tuple[str, int], int] = {}
    items: list[_Item] = []

    def place(name: str, seen: Seen) -> int:
        if (name, seen.code) not in places:
            places[name, seen.code] = len(items)
            items.append(_Item(name) if seen.code < n_known else _Item(name, seen.code, seen.path, seen.names))
        return places[name, seen.code]

    def of_run(run: ItemRun) -> _Run:
        return _Run(place(run.item, run.seen), run.events, run.dwell, run.behaviors)

    now = state.open_run
    met = state.items | {run.item: run.seen for run in state.runs}
    body = _State(
        model=bytes.fromhex(state.model),
        items=items,
        session=[place(name, seen) for name, seen in state.items.items()],
        ended=[_Steps(_bytes(one.hidden), _bytes(one.cell), one.signal.tolist()) for one in state.ended],
        steps=[[place(name, met[name]) for name in names] for names in state.steps],
        run_dwell=state.run_dwell,
        open_run=None if now is None else _open(now),
        runs=[of_run(run) for run in state.runs],
        earlier=[(of_run(one.run), one.ago, one.ended) for one in state.earlier],
        began=state.began,
        latest=state.latest,
        log=list(state.log),
    )
    data = _encode(body)
    return _HEAD.pack(_MAGIC, VERSION, zlib.crc32(data)) + data


def _open(run: OpenRun) -> _Open:
    return _Open(packed(run.first), len(run.events), run.passed, run.n_events, run.behaviors)


def restored(data: bytes, live: LiveProfiles) -> ProfileState:
    """Take a state out of bytes.

    Parameters
    ----------
    data : bytes
        From :func:`stored`.
    live : LiveProfiles
        Of the model that made it.

    Raises
    ------
    HupError
        It is no state, a damaged one, of another version, or of another model.
    """
    body = _body(data)
    if body.model.hex() != live.digest:
        raise HupError("The state is of another model. Fold the user's events anew: model.state(hup.stored_events(…)).")
    try:
        return _state(body, live)
    except (IndexError, ValueError, HupError, msgspec.MsgspecError) as error:
        raise HupError(f"The state is damaged ({error}).") from None


def stored_events(data: bytes) -> list[Event]:
    """Give the latest events of a stored state, oldest first, whatever model it is of.

    After a change of model they make a state of the new one: ``model.state(hup.stored_events(data))``.

    Parameters
    ----------
    data : bytes
        From :meth:`hup.HUP.state_bytes`.

    Raises
    ------
    HupError
        It is no state, a damaged one, or of another version.
    """
    try:
        return [unpacked(one) for one in _body(data).log]
    except (HupError, msgspec.MsgspecError) as error:
        raise HupError(f"The state is damaged ({error}).") from None


def _body(data: bytes) -> _State:
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        raise HupError("These bytes are no state; expected what model.state_bytes(state) gave.")
    _, version, checksum = _HEAD.unpack_from(data)
    if version != VERSION:
        raise HupError(f"The state is of version {version}, this is read here: {VERSION}.")
    body = memoryview(data)[_HEAD.size :]
    if zlib.crc32(body) != checksum:
        raise HupError("The state is damaged: its checksum is another one.")
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise HupError(f"The state is damaged ({error}).") from None


def _state(body: _State, live: LiveProfiles) -> ProfileState:
    depth, n_behaviors = live.vocabulary.levels, len(live.vocabulary.behaviors)
    items = [(one.name, _seen(one, live)) for one in body.items]

    def behaviors(counts: tuple[int, ...]) -> tuple[int, ...]:
        if len(counts) != n_behaviors:
            raise ValueError(f"{len(counts)} behaviors, expected {n_behaviors}")
        return counts

    def run(of: _Run) -> ItemRun:
        return ItemRun(*items[of.item], of.events, of.dwell, behaviors(of.behaviors))

    now, open_run = body.open_run, None
    if now is not None:
        events = tuple(unpacked(one) for one in body.log[-now.n_kept :])
        open_run = OpenRun(events, unpacked(now.first), now.passed, now.n_events, behaviors(now.behaviors))
    if (len(body.ended), len(body.steps), len(body.run_dwell)) != (len(live.network.level_names), depth + 2, depth):
        raise ValueError("another number of levels")
    session = dict(items[place] for place in body.session)
    if open_run is not None and open_run.first.item not in session:
        raise ValueError("the open run is on no item of the session")
    return ProfileState(
        live.digest,
        ended=tuple(_ended(one, live.network.hidden_size) for one in body.ended),
        steps=tuple(tuple(items[place][0] for place in places) for places in body.steps),
        run_dwell=body.run_dwell,
        open_run=open_run,
        runs=tuple(run(one) for one in body.runs),
        items=session,
        earlier=tuple(EarlierRun(run(of), ago, ended) for of, ago, ended in body.earlier),
        began=body.began,
        latest=body.latest,
        log=tuple(body.log),
    )


def _seen(item: _Item, live: LiveProfiles) -> Seen:
    if item.code >= 0:
        if len(item.path) != live.vocabulary.levels or len(item.names) != live.vocabulary.levels:
            raise ValueError(f"item {item.name!r} has a path of another length")
        return Seen(item.code, item.path, item.names)
    known = live.reader.known(item.name)
    if known is None:
        raise ValueError(f"item {item.name!r} is not known")
    return known


def _ended(steps: _Steps, size: int) -> Ended:
    signal = np.asarray(steps.signal, dtype=np.int64)
    hidden, cell = (
        np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(len(signal), size)
        for data in (steps.hidden, steps.cell)
    )
    return Ended(hidden, cell, signal)


def _bytes(values: NDArray[np.float32]) -> bytes:
    return values.astype("<f4", copy=False).tobytes()
