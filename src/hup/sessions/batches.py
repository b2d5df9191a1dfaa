"""Session prefixes as ragged tensors: what every model reads and every protocol asks about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from hup.data.dataset import Dataset
from hup.sessions.levels import Level, ragged_arange

LastInterval = Literal["mask", "keep"]


class OwnCodes(NamedTuple):
    """The distinct codes of each history that a vocabulary lacks, padded to the widest history.

    Attributes
    ----------
    codes : Tensor
        ``(B, U)`` int64, ``-1`` = padding.
    events : Tensor
        ``(B, U)`` int64, an event of the batch that carries the code (0 at padding).
    """

    codes: Tensor
    events: Tensor


@dataclass(frozen=True)
class Histories:
    """``B`` session prefixes of ``N`` events in all, without padding.

    Attributes
    ----------
    offsets : Tensor
        ``(B + 1,)`` int64; history ``b`` is ``offsets[b]:offsets[b + 1]`` and is never empty.
    item : Tensor
        ``(N,)`` int64. Codes beyond a model's vocabulary are items that it does not know; they keep their identity.
    categories : Tensor
        ``(N, K)`` int64, column ``k - 1`` is ``category_k``; ``-1`` where the path is not known.
    behavior : Tensor
        ``(N,)`` int64, ``-1`` = unknown.
    interval, dwell : Tensor
        ``(N,)`` float32 seconds. NaN = not known yet: the open event's interval, the open item run's dwell.
    user : Tensor or None
        ``(B,)`` int64, whose history it is (``Dataset.user_codes``); -1, or None for all, where that is not known.
    index : Tensor or None
        ``(B,)`` int64, the session's index in its dataset; None live.
    dataset : Dataset or None
        Where they are from, so that what a user did before a session can be looked up; None live.
    """

    offsets: Tensor
    item: Tensor
    categories: Tensor
    behavior: Tensor
    interval: Tensor
    dwell: Tensor
    user: Tensor | None = None
    index: Tensor | None = None
    dataset: Dataset | None = None

    def __len__(self) -> int:
        return self.offsets.numel() - 1

    @property
    def levels(self) -> int:
        """Number of category levels, K."""
        return self.categories.shape[1]

    def codes(self, level: str) -> Tensor:
        """Codes of a level at every event, ``(N,)``; ``level`` is ``"item"`` or ``"category_k"``."""
        return Level(level).codes(self.item, self.categories)

    def current(self, level: str) -> Tensor:
        """Code that each user is on, ``(B,)``: the one of the history's last event."""
        return self.codes(level)[self.offsets[1:] - 1]

    def session(self) -> Tensor:
        """Row of the history that each event belongs to, ``(N,)``."""
        if self.offsets.device.type != "cpu":
            return torch.repeat_interleave(torch.arange(len(self), device=self.offsets.device), self.offsets.diff())
        # By NumPy: threads that wait for each other cost more than this takes.
        return torch.from_numpy(np.repeat(np.arange(len(self)), np.diff(self.offsets.numpy())))

    def own_unknown(self, level: str, n_known: int) -> OwnCodes:
        """Distinct codes of each history that are not below ``n_known`` (nor missing).

        Parameters
        ----------
        level : str
            ``"item"`` or ``"category_k"``.
        n_known : int
            Size of the vocabulary.
        """
        codes = self.codes(level).numpy()
        session = self.session().numpy()
        at = np.flatnonzero(codes >= n_known)
        # One key for (history, code); np.unique sorts by it and names a first event of each.
        key = session[at] * (int(codes.max(initial=0)) + 1) + codes[at]
        _, first = np.unique(key, return_index=True)
        at = at[first]
        rows = session[at]
        counts = np.bincount(rows, minlength=len(self))
        column = np.arange(at.size) - np.repeat(np.cumsum(counts) - counts, counts)
        out = np.full((2, len(self), int(counts.max(initial=0))), -1, dtype=np.int64)
        out[1] = 0
        out[0, rows, column] = codes[at]
        out[1, rows, column] = at
        return OwnCodes(torch.from_numpy(out[0]), torch.from_numpy(out[1]))

    def to(self, device: torch.device | str) -> Self:
        """Move every tensor to a device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True)
class Targets:
    """What came next: ``item`` ``(B,)`` and ``categories`` ``(B, K)``, int64 codes."""

    item: Tensor
    categories: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Move every tensor to a device."""
        return replace(self, item=self.item.to(device), categories=self.categories.to(device))

    def codes(self, level: str) -> Tensor:
        """Codes of a level, ``(B,)``; the micro level's target is the next item, too (Eq. 6)."""
        return Level(level).codes(self.item, self.categories)

    def wanted(self, level: str, no_category: Sequence[int]) -> Tensor:
        """Tell which targets count at a level, ``(B,)`` bool: not those of items without a category.

        Parameters
        ----------
        level : str
        no_category : sequence of int
            ``Taxonomy.no_category``.
        """
        codes = self.codes(level)
        without = Level(level).pick(None, no_category)
        return torch.ones_like(codes, dtype=torch.bool) if without is None else codes != without


def histories_and_targets(
    dataset: Dataset,
    sessions: np.ndarray,
    last_interval: LastInterval = "mask",
    *,
    max_events: int | None = None,
) -> tuple[Histories, Targets]:
    """Cut sessions before their last item run: the history, and the target that the run stands for.

    Parameters
    ----------
    dataset : Dataset
    sessions : ndarray
        ``(B,)`` session indices.
    last_interval : {"mask", "keep"}
        ``"mask"`` hides what is known only once the target has happened: the last event's interval and the dwell of the
        item run it belongs to. ``"keep"`` leaves both, as the paper's code did.
    max_events : int, optional
        Cut every session to its first ``max_events`` events beforehand (the authors' habit). Sessions that then have a
        single item run are left out.
    """
    sessions = np.asarray(sessions, dtype=np.int64)
    start = dataset.offsets[sessions]
    length = dataset.offsets[sessions + 1] - start
    if max_events is not None:
        length = np.minimum(length, max_events)
    # The last item run starts after the last event whose item differs from the session's last one.
    at = ragged_arange(start, length)
    item = dataset.item[at]
    ends = np.cumsum(length)
    differs = item != np.repeat(item[ends - 1], length)
    place = np.arange(at.size) - np.repeat(ends - length, length)
    history_length = np.zeros(len(sessions), dtype=np.int64)
    np.maximum.at(history_length, np.repeat(np.arange(len(sessions)), length)[differs], place[differs] + 1)
    usable = history_length > 0
    target_item = item[ends - 1][usable].astype(np.int64)
    return (
        _histories(dataset, sessions[usable], start[usable], history_length[usable], last_interval),
        Targets(torch.from_numpy(target_item), torch.from_numpy(dataset.taxonomy.paths[target_item].astype(np.int64))),
    )


def whole_sessions(dataset: Dataset, sessions: np.ndarray, last_interval: LastInterval = "keep") -> Histories:
    """Lay out whole sessions, ``(B,)``: with all that is known of them, or with ``"mask"`` as if they went on."""
    return _histories(dataset, sessions, dataset.offsets[sessions], np.diff(dataset.offsets)[sessions], last_interval)


def _histories(
    dataset: Dataset, sessions: np.ndarray, start: np.ndarray, length: np.ndarray, last_interval: LastInterval
) -> Histories:
    at = ragged_arange(start, length)
    ends = np.cumsum(length)
    item = dataset.item[at].astype(np.int64)
    interval, dwell = dataset.interval[at], dataset.dwell[at]
    if last_interval == "mask":
        interval[ends - 1] = np.nan
        dwell[open_item_run(item, ends)] = np.nan
    return Histories(
        offsets=torch.from_numpy(np.concatenate([[0], ends])),
        item=torch.from_numpy(item),
        categories=torch.from_numpy(dataset.taxonomy.paths[item].astype(np.int64)),
        behavior=torch.from_numpy(dataset.behavior[at].astype(np.int64)),
        interval=torch.from_numpy(interval),
        dwell=torch.from_numpy(dwell),
        user=torch.from_numpy(dataset.user_codes[sessions]),
        index=torch.from_numpy(sessions),
        dataset=dataset,
    )


def open_item_run(item: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Mark the events of every history's last item run, ``(N,)`` bool; ``ends`` are the histories' ends, ``(B,)``."""
    new_run = np.ones(item.size, dtype=bool)
    new_run[1:] = item[1:] != item[:-1]
    # A run may reach over from the history before; numbers are only compared within one history.
    run = np.cumsum(new_run)
    lengths = np.diff(ends, prepend=0)
    marked: np.ndarray = run == np.repeat(run[ends - 1], lengths)
    return marked


def forget_items(histories: Histories, share: float) -> Histories:
    """Make a share of the items of a batch unknown, each at all of its events; their categories stay.

    Random, by torch's generator.
    """
    if not share:
        return histories
    distinct, place = torch.unique(histories.item, return_inverse=True)
    forgotten = torch.rand(len(distinct)) < share
    return replace(histories, item=torch.where(forgotten[place], -1, histories.item))


def batches(
    dataset: Dataset,
    sessions: np.ndarray,
    batch_size: int,
    *,
    last_interval: LastInterval = "mask",
    max_events: int | None = None,
    shuffle_seed: tuple[int, ...] | None = None,
) -> Iterator[tuple[Histories, Targets]]:
    """Yield batches of sessions of similar length.

    Parameters
    ----------
    dataset : Dataset
    sessions : ndarray
        ``(n,)`` session indices; every one is in exactly one batch (partial batches are not dropped).
    batch_size : int
        Sessions a batch.
    last_interval, max_events
        As for :func:`histories_and_targets`.
    shuffle_seed : tuple of int, optional
        Seed of the order, e.g. ``(seed, epoch)``. Sessions are shuffled, sorted by length within pools of 32 batches so
        that recurrent steps work on full rows, and the batches are shuffled again. Without it the given order is kept.
    """
    sessions = np.asarray(sessions, dtype=np.int64)
    starts = np.arange(0, len(sessions), batch_size)
    if shuffle_seed is not None:
        rng = np.random.default_rng(shuffle_seed)
        sessions = rng.permutation(sessions)
        length = np.diff(dataset.offsets)[sessions] if len(sessions) > 1 else np.zeros(len(sessions))
        pool = np.arange(len(sessions)) // (32 * batch_size)
        sessions = sessions[np.lexsort((length, pool))]
        starts = rng.permutation(starts)
    for start in starts:
        chunk = sessions[start : start + batch_size]
        histories, targets = histories_and_targets(dataset, chunk, last_interval, max_events=max_events)
        if len(histories):
            yield histories, targets
