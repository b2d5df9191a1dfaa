"""SLIST: a linear model from item to item over whole and part-sessions (Choi et al. 2021), and EASE (Steck 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from hup.config import Section
from hup.errors import HupError
from hup.models.counted.item_to_item import ItemToItem, ItemToItemConfig
from hup.sessions.levels import ragged_arange
from hup.sessions.runs import session_matrix

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Bounds of what is in memory besides the two dense matrices.
ENTRIES_PER_BLOCK, CODES_PER_BLOCK = 1 << 22, 1024


class SLISTConfig(ItemToItemConfig):
    """Options of SLIST."""

    alpha: float = Field(0.4, ge=0, le=1, description="weight of whole sessions (SLIS) against part-sessions (SLIT)")
    l2: PositiveFloat = Field(10.0, description="λ, which keeps the weights near 0")
    training_decay: float = Field(
        0.4,
        ge=0,
        le=1,
        description="of a part-session: weight of a run relative to the one nearer to the place where it is parted",
    )
    session_decay: NonNegativeFloat = Field(
        0.0, description="over the age of a training session, as a share of the training split; 0 = none"
    )
    normalized: bool = Field(True, description="divide what is read of a session by its sum")
    itself: bool = Field(True, description="let a code say something for itself; without it the diagonal is 0")
    decay: float = Field(
        0.4,
        ge=0,
        le=1,
        description="weight of a run relative to the next one: 0 = the last run alone, 1 = all alike",
    )
    span: PositiveInt = Field(50, description="most runs on either side of the place where a session is parted")
    most_codes: PositiveInt = Field(
        10_000,
        description="codes with weights: the most frequent ones of a level. Fitting takes 16 bytes for each pair of "
        "them, 24 with itself=false",
    )


class SLIST(ItemToItem):
    """What a linear model has learned to follow what the session visited.

    The weights ``B`` of a level minimise ``α ‖W (X - X'B)‖² + (1 - α) ‖W (T - S'B)‖² + λ ‖B‖²`` (Choi et al.,
    "Session-aware Linear Item-Item Models for Session-based Recommendation", 2021). The rows of ``X`` are the training
    sessions, 1 for each code in them. The rows of ``S`` and ``T`` are what is before and after each run but the first,
    a code at its nearest run. ``X'`` and ``S'`` are divided by the sums of their rows; ``W²`` are the weights of the
    sessions.

    With ``alpha=1``, ``normalized=false`` and ``itself=false`` it is EASE (Steck, "Embarrassingly Shallow Autoencoders
    for Sparse Data", 2019).
    """

    kind: ClassVar[str] = "slist"
    options: ClassVar[type[Section]] = SLISTConfig
    config: SLISTConfig
    item_runs: ClassVar[bool] = True
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("alpha=0.8", "training_decay=0.8", "decay=0.8"),
        ("training_decay=0.1", "decay=0.1"),
        ("alpha=0.0",),
        ("l2=100.0",),
        ("session_decay=0.5",),
        ("alpha=0.8", "decay=0.95"),
        ("alpha=1.0", "normalized=false", "itself=false", "l2=100.0", "decay=0.8"),
    )

    def matrix(self, codes: IntArray, offsets: IntArray, n_known: int) -> sp.csr_array:
        """Solve for the weights of a level, and keep the strongest ones of every code."""
        config = self.config
        known = (codes >= 0) & (codes < n_known)
        counts = np.bincount(codes[known], minlength=n_known)
        frequent = np.sort(np.argsort(-counts, kind="stable")[: config.most_codes])
        number = np.full(n_known + 1, -1)
        number[frequent] = np.arange(len(frequent))
        regressions = self._regressions(number[np.where(known, codes, n_known)], offsets, len(frequent))
        weights = solved(regressions, len(frequent), config.l2, itself=config.itself)
        return _strongest(weights, frequent, config.neighbors, n_known)

    def _regressions(self, codes: IntArray, offsets: IntArray, n: int) -> Iterator[Regression]:
        """Give what is read and what is to follow it, by blocks of sessions; codes below 0 are left out."""
        config, n_sessions = self.config, len(offsets) - 1
        for low, high in _blocks(offsets, config.span):
            bounds = offsets[low : high + 1] - offsets[low]
            of_block = codes[offsets[low] : offsets[high]]
            age = (n_sessions - 1 - np.arange(low, high)) / n_sessions
            weight = np.exp(-age / config.session_decay) if config.session_decay else np.ones(len(age))
            if config.alpha > 0:
                whole = session_matrix(of_block, bounds, n).astype(np.float64)
                yield Regression(self._read(whole), whole, config.alpha * weight)
            if config.alpha < 1:
                parts = part_sessions(of_block, bounds, n, config.training_decay, config.span)
                yield Regression(self._read(parts.past), parts.future, (1 - config.alpha) * weight[parts.session])

    def _read(self, rows: sp.csr_array) -> sp.csr_array:
        if not self.config.normalized:
            return rows
        total = np.asarray(rows.sum(axis=1)).ravel()
        return sp.csr_array(sp.diags_array(1 / np.where(total > 0, total, 1)) @ rows)


@dataclass(frozen=True)
class Regression:
    """Rows from which others are to be told.

    Attributes
    ----------
    read, told : csr_array
        ``(R, n)``.
    weight : ndarray
        ``(R,)``, of the rows' squared errors.
    """

    read: sp.csr_array
    told: sp.csr_array
    weight: FloatArray


@dataclass(frozen=True)
class PartSessions:
    """Sessions, parted after each of their runs but the last.

    Attributes
    ----------
    past, future : csr_array
        ``(R, n)``, the codes before and after, with their weights.
    session : ndarray
        ``(R,)``.
    """

    past: sp.csr_array
    future: sp.csr_array
    session: IntArray


def part_sessions(codes: IntArray, offsets: IntArray, n: int, decay: float, span: int) -> PartSessions:
    """Part sessions after each of their runs but the last.

    Parameters
    ----------
    codes, offsets : ndarray
        Runs, as :func:`hup.sessions.runs.training_runs` gives them; codes below 0 are left out.
    n : int
        Number of codes.
    decay : float
        The runs next to the place where a session is parted weigh 1, those beyond them ``decay``, then ``decay**2``. A
        code has the weight of its nearest run.
    span : int
        Most runs on either side.
    """
    lengths = np.diff(offsets)
    session = np.repeat(np.arange(len(lengths)), lengths)
    run = np.flatnonzero(np.arange(len(codes)) + 1 < offsets[1:][session])
    session = session[run]
    before = np.minimum(run + 1 - offsets[:-1][session], span)
    after = np.minimum(offsets[1:][session] - run - 1, span)

    def side(nearest: IntArray, step: int, count: IntArray) -> sp.csr_array:
        row, away = np.repeat(np.arange(len(run)), count), ragged_arange(np.zeros_like(count), count)
        code = codes[nearest[row] + step * away]
        row, away, code = row[code >= 0], away[code >= 0], code[code >= 0]
        # Each row has its nearest run first.
        _, first = np.unique(row * max(n, 1) + code, return_index=True)
        weight = np.power(decay, away[first].astype(np.float64))
        return sp.csr_array((weight, (row[first], code[first])), shape=(len(run), n))

    return PartSessions(side(run, -1, before), side(run + 1, 1, after), session)


def solved(regressions: Iterator[Regression], n: int, l2: float, *, itself: bool) -> FloatArray:
    """Find the weights ``B`` ``(n, n)`` with the least ``Σ ‖W (told - read B)‖² + l2 ‖B‖²``.

    Parameters
    ----------
    regressions : iterator of Regression
    n : int
    l2 : float
        Above 0.
    itself : bool
        False = with a diagonal of 0.

    Raises
    ------
    HupError
        If ``l2`` is too small for double precision.
    """
    # Column-major, so that LAPACK works in place.
    read, told = (np.zeros((n, n), order="F") for _ in range(2))
    for regression in regressions:
        weighted = sp.csc_array(sp.diags_array(regression.weight) @ regression.read)
        for low in range(0, n, CODES_PER_BLOCK):
            columns = weighted[:, low : low + CODES_PER_BLOCK].T
            for total, rows in ((read, regression.read), (told, regression.told)):
                block = sp.coo_array(columns @ rows)
                total[low + block.row, block.col] += block.data
    diagonal = np.arange(n)
    read[diagonal, diagonal] += l2
    if not n:
        return told
    try:
        factor = cho_factor(read, overwrite_a=True, check_finite=False)
    except LinAlgError:
        raise HupError(f"l2 is {l2}, which is too small for {n:,} codes to be told apart; raise it.") from None
    if not itself:
        # B = P (told - diag(μ)), where P is the inverse and μ makes the diagonal of B 0.
        inverse = cho_solve(factor, np.eye(n, order="F"), overwrite_b=True, check_finite=False)
        told[diagonal, diagonal] -= np.einsum("jk,kj->j", inverse, told) / inverse[diagonal, diagonal]
        del inverse
    weights: FloatArray = cho_solve(factor, told, overwrite_b=True, check_finite=False)
    if not itself:
        weights[diagonal, diagonal] = 0  # but for rounding, it is
    return weights


def _blocks(offsets: IntArray, span: int) -> Iterator[tuple[int, int]]:
    """Cut the sessions into blocks whose part-sessions have about so many entries."""
    lengths = np.diff(offsets)
    entries = np.cumsum(lengths * np.minimum(lengths, 2 * span))
    low = 0
    while low < len(lengths):
        before = entries[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(entries, before + ENTRIES_PER_BLOCK, side="right")))
        yield low, high
        low = high


def _strongest(weights: FloatArray, codes: IntArray, most: int, n_known: int) -> sp.csr_array:
    """Keep the ``most`` weights of every row that are farthest from 0; row and column ``i`` are of ``codes[i]``."""
    most = min(most, len(codes))
    rows, columns, values = [], [], []
    for low in range(0, len(codes), CODES_PER_BLOCK):
        block = weights[low : low + CODES_PER_BLOCK]
        kept = np.argpartition(-np.abs(block), most - 1, axis=1)[:, :most]
        rows.append(np.repeat(codes[low : low + CODES_PER_BLOCK], most))
        columns.append(codes[kept].ravel())
        values.append(np.take_along_axis(block, kept, axis=1).ravel().astype(np.float32))
    if not n_known:
        return sp.csr_array(np.zeros((0, 0), dtype=np.float32))
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sp.csr_array(parts, shape=(n_known, n_known))
    matrix.eliminate_zeros()
    return matrix
