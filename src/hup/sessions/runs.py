"""Runs: what a session looks like at one level, once consecutive events of one item or category are one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.columns import changes
from hup.data.dataset import Dataset
from hup.sessions.batches import Histories
from hup.sessions.levels import Level

EVENTS_PER_BLOCK = 1 << 22


@dataclass(frozen=True)
class Runs:
    """Runs of ``B`` histories at one level, ``S`` in all, without padding; the last one of each history is still open.

    Attributes
    ----------
    offsets : Tensor
        ``(B + 1,)`` int64; history ``b`` has the runs ``offsets[b]:offsets[b + 1]``, at least one.
    codes : Tensor
        ``(S,)`` int64; beyond the vocabulary or negative where not known.
    first, last : Tensor
        ``(S,)`` int64, first and last event of each run.
    interval : Tensor
        ``(S,)`` float32 seconds from the run's last event to the next run, NaN = not known.
    dwell : Tensor
        ``(S,)`` float32 seconds: of a category run the sum over its item runs. NaN = not known.
    """

    offsets: Tensor
    codes: Tensor
    first: Tensor
    last: Tensor
    interval: Tensor
    dwell: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Move every tensor to a device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))

    def lengths(self) -> Tensor:
        """Count the runs of each history, ``(B,)``."""
        return self.offsets.diff()

    def history(self) -> Tensor:
        """Row of the history that each run belongs to, ``(S,)``."""
        return torch.repeat_interleave(
            torch.arange(self.offsets.numel() - 1, device=self.offsets.device), self.lengths()
        )


def runs_of(histories: Histories, level: str) -> Runs:
    """Collapse histories into the runs of a level.

    Parameters
    ----------
    histories : Histories
    level : str
        ``"item"`` or ``"category_k"``.
    """
    n = histories.item.numel()
    starts = histories.offsets[:-1]
    first = _begins(histories.codes(level), starts).nonzero().squeeze(1)
    last = torch.cat([first[1:] - 1, first.new_tensor([n - 1])])
    item_first = _begins(histories.item, starts)
    # Every item run's dwell once, at its last event; NaN goes through the sum, as an unknown part makes an unknown sum.
    item_last = torch.cat([item_first[1:], item_first.new_ones(1)])
    dwell = torch.where(item_last, histories.dwell, 0).double()
    run = torch.repeat_interleave(torch.arange(first.numel()), last - first + 1)
    offsets = torch.searchsorted(first, histories.offsets)
    return Runs(
        offsets=offsets,
        codes=histories.codes(level)[first],
        first=first,
        last=last,
        interval=histories.interval[last],
        dwell=dwell.new_zeros(first.numel()).index_add(0, run, dwell).float(),
    )


def _begins(codes: Tensor, starts: Tensor) -> Tensor:
    begins = torch.ones(codes.numel(), dtype=torch.bool)
    begins[1:] = codes[1:] != codes[:-1]
    begins[starts] = True
    return begins


def training_runs(dataset: Dataset, level: str, of: str | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Collapse all training sessions into the runs of a level, the target's run among them.

    Parameters
    ----------
    dataset : Dataset
    level : str
        ``"item"`` or ``"category_k"``.
    of : str, optional
        Level whose runs are meant, default the same: with ``"item"`` a code of a category level is there for every item
        run.

    Returns
    -------
    codes : ndarray
        ``(S,)`` int64.
    offsets : ndarray
        ``(n + 1,)`` int64; training session ``s`` has the runs ``offsets[s]:offsets[s + 1]``.
    """
    train = dataset.sessions("train")
    bounds = dataset.offsets[train.start : train.stop + 1] - dataset.offsets[train.start]
    low, high = int(dataset.offsets[train.start]), int(dataset.offsets[train.stop])
    codes = _event_codes(dataset, level, low, high)
    begins = changes(_event_codes(dataset, of or level, low, high))
    begins[bounds[:-1]] = True
    return codes[begins].astype(np.int64), np.concatenate([[0], np.cumsum(begins)])[bounds]


def code_counts(codes: NDArray[np.int64], offsets: NDArray[np.int64], n_known: int) -> NDArray[np.int64]:
    """Count the runs of every known code in sessions, ``(n_known,)``; one after the other of one code are one run.

    Parameters
    ----------
    codes, offsets : ndarray
        As :func:`training_runs` gives them.
    n_known : int
    """
    begins = changes(codes)
    begins[offsets[:-1]] = True
    return np.bincount(codes[begins & (codes >= 0) & (codes < n_known)], minlength=n_known)


def session_matrix(codes: NDArray[np.int64], offsets: NDArray[np.int64], n_known: int) -> sp.csr_array:
    """Mark which codes each session has, ``(S, n_known)`` float32 of 0 and 1.

    Parameters
    ----------
    codes, offsets : ndarray
        Runs of the sessions, as :func:`training_runs` gives them.
    n_known : int
    """
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    known = (codes >= 0) & (codes < n_known)
    pairs = np.unique(row[known] * n_known + codes[known])
    ones = np.ones(len(pairs), dtype=np.float32)
    return sp.csr_array((ones, (pairs // max(n_known, 1), pairs % max(n_known, 1))), shape=(len(offsets) - 1, n_known))


def run_counts(dataset: Dataset, level: str) -> NDArray[np.int64]:
    """Count the runs of every code of a level in the training split, ``(n_known,)``.

    Parameters
    ----------
    dataset : Dataset
    level : str
        ``"item"`` or ``"category_k"``.
    """
    n_known = Level(level).pick(dataset.n_train_items, dataset.n_train_categories)
    counts = np.zeros(n_known, dtype=np.int64)
    train = dataset.sessions("train")
    starts = dataset.offsets[train.start : train.stop]
    last = int(dataset.offsets[train.stop])
    for low in range(int(dataset.offsets[train.start]), last, EVENTS_PER_BLOCK):
        high = min(low + EVENTS_PER_BLOCK, last)
        # One event of the block before goes along, to tell whether the block's first event goes on with its run.
        before = max(low - 1, 0)
        codes = _event_codes(dataset, level, before, high)
        begins = changes(codes)
        begins[starts[np.searchsorted(starts, low) : np.searchsorted(starts, high)] - before] = True
        visited = codes[low - before :][begins[low - before :]]
        counts += np.bincount(visited[visited >= 0], minlength=n_known)
    return counts


def _event_codes(dataset: Dataset, level: str, low: int, high: int) -> NDArray[np.int32]:
    codes = dataset.item[low:high]
    column = Level(level).k - 1
    return codes if column < 0 else dataset.taxonomy.paths[codes, column]
