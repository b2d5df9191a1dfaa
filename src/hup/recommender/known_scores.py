"""What a model says of all known codes, in the form in which it has it, and how many are said to be at least so good.

A matrix of sessions by codes is large, and making it takes longer than counting in it. So ranks are counted in what the
matrix is made of, where a model gives that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from hup.errors import HupError
from hup.recommender.counting import count_products, count_rows, products_at


class KnownScores(Protocol):
    """Scores of every code of a vocabulary for ``B`` sessions; higher is better."""

    @property
    def shape(self) -> tuple[int, int]:
        """``(B, n_known)``."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the scores."""
        ...

    @property
    def device(self) -> torch.device:
        """Where they are."""
        ...

    @property
    def dense(self) -> Tensor:
        """All scores, ``(B, n_known)``; made once."""
        ...

    def rows(self, chosen: Tensor) -> Tensor:
        """All scores of some sessions, ``(M, n_known)``."""
        ...

    def at(self, codes: Tensor) -> Tensor:
        """Score one code ``(B,)`` of each session; each is below ``n_known``."""
        ...

    def at_least(self, score: Tensor, name: str) -> Tensor:
        """Count the codes of each session that score at least ``score``, ``(B,)``.

        Parameters
        ----------
        score : Tensor
            ``(B,)``, as :meth:`at` gives them, or of a higher precision.
        name : str
            Who scored, for the error message.

        Raises
        ------
        HupError
            A score is NaN.
        """
        ...


@dataclass(frozen=True)
class Matrix:
    """Scores as they are.

    Attributes
    ----------
    dense : Tensor
        ``(B, n_known)``.
    counted : Tensor, optional
        ``(B, n_known)`` bool, the codes that :meth:`at_least` counts; default all.
    """

    dense: Tensor
    counted: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(B, n_known)``."""
        return self.dense.shape[0], self.dense.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Of the scores."""
        return self.dense.dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.dense.device

    def rows(self, chosen: Tensor) -> Tensor:
        """Look some sessions up."""
        return self.dense[chosen]

    def at(self, codes: Tensor) -> Tensor:
        """Look one code of each session up."""
        return self.dense[torch.arange(len(codes), device=self.device), codes]

    def at_least(self, score: Tensor, name: str) -> Tensor:
        """Count in every row."""
        found = count_rows(self.dense, bound(score, self.dtype), self.counted)
        if found is None:
            refuse_nan(self.dense, name)
            above = self.dense >= score[:, None]
            return _true_values(above if self.counted is None else above & self.counted)
        count, total = found
        if total.isnan().any():  # a score is NaN, or both infinities are there
            refuse_nan(self.dense, name)
        return count


@dataclass(frozen=True)
class Products:
    """Dot products of the sessions' vectors with those of the codes.

    The processor's kernel adds each one up by itself, in one order, and a matrix product in another; so their last
    digits differ, and equal vectors have equal scores in either.

    Attributes
    ----------
    profiles : Tensor
        ``(B, d)``.
    vectors : Tensor
        ``(n_known, d)``.
    bias : Tensor, optional
        ``(n_known,)``, added to the scores of each code.
    """

    profiles: Tensor
    vectors: Tensor
    bias: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(B, n_known)``."""
        return len(self.profiles), len(self.vectors)

    @property
    def dtype(self) -> torch.dtype:
        """Of the scores."""
        return self.vectors.dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.vectors.device

    @cached_property
    def dense(self) -> Tensor:
        """Multiply all of it out."""
        with torch.no_grad():
            if self.bias is None:
                return self.profiles @ self.vectors.t()
            return torch.addmm(self.bias, self.profiles, self.vectors.t())

    def rows(self, chosen: Tensor) -> Tensor:
        """Multiply out those of some sessions."""
        return Products(self.profiles[chosen], self.vectors, self.bias).dense

    def at(self, codes: Tensor) -> Tensor:
        """Multiply one vector for each session."""
        found = products_at(self.profiles, self.vectors, self.bias, codes)
        return Matrix(self.dense).at(codes) if found is None else found

    def at_least(self, score: Tensor, name: str) -> Tensor:
        """Count without keeping any product; without a kernel multiply all of it out."""
        found = count_products(self.profiles, self.vectors, self.bias, bound(score, self.dtype))
        if found is None:
            return Matrix(self.dense).at_least(score, name)
        count, total = found
        if total.isnan().any():
            refuse_nan(self.dense, name)
        return count


def products(profiles: Tensor, vectors: Tensor, bias: Tensor | None = None) -> KnownScores:
    """Score by dot products; those of a GPU are multiplied out there, and brought to the CPU."""
    known = Products(profiles, vectors, bias)
    return known if known.device.type == "cpu" else Matrix(known.dense.cpu())


def below_all(known: KnownScores, own_codes: Tensor) -> Tensor:
    """Score the own codes ``(B, U)`` of sessions below all others; -1 among them = padding."""
    row = (own_codes >= 0).any(dim=1).nonzero().squeeze(1)
    score = torch.zeros(own_codes.shape, dtype=known.dtype)
    if known.shape[1] and len(row):
        score[row] = known.rows(row).amin(dim=1, keepdim=True) - 1
    return score


class Common:
    """Scores that many sessions have in common, ``(n_known,)``; they are sorted once.

    Attributes
    ----------
    scores, ascending : Tensor
        ``(n_known,)``.
    """

    def __init__(self, scores: Tensor) -> None:
        self.scores, self.ascending = scores, scores.sort().values

    def to(self, dtype: torch.dtype) -> Common:
        """Give the same in another precision."""
        return self if dtype == self.scores.dtype else Common(self.scores.to(dtype))


@dataclass(frozen=True)
class Exceptions:
    """Scores that all sessions have in common, but for a few of each.

    Attributes
    ----------
    sessions : int
        ``B``.
    common : Common
    row, code, score : Tensor
        ``(M,)``, which session has another score for which code; each pair once.
    """

    sessions: int
    common: Common
    row: Tensor
    code: Tensor
    score: Tensor

    @classmethod
    def none(cls, sessions: int, common: Common) -> Self:
        """Give the same scores to so many sessions."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(sessions, common, nothing, nothing, common.scores[:0])

    @property
    def shape(self) -> tuple[int, int]:
        """``(B, n_known)``."""
        return self.sessions, len(self.common.scores)

    @property
    def dtype(self) -> torch.dtype:
        """Of the scores."""
        return self.common.scores.dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.common.scores.device

    @cached_property
    def dense(self) -> Tensor:
        """Repeat what is common, with the exceptions in it."""
        dense = self.common.scores.repeat(self.sessions, 1)
        dense[self.row, self.code] = self.score
        return dense

    def rows(self, chosen: Tensor) -> Tensor:
        """Look some sessions up."""
        return self.dense[chosen]

    def at(self, codes: Tensor) -> Tensor:
        """Look one code of each session up."""
        score = self.common.scores[codes]
        asked = (self.code == codes[self.row]).nonzero().squeeze(1)
        score[self.row[asked]] = self.score[asked]
        return score

    def at_least(self, score: Tensor, name: str) -> Tensor:
        """Find the place among what is common, and count the exceptions in and out."""
        if self.score.isnan().any() or self.common.ascending[-1:].isnan().any():  # NaN is sorted last
            refuse_nan(self.dense, name)
        score = bound(score, self.dtype)
        count = self.shape[1] - torch.searchsorted(self.common.ascending, score)
        wanted = score[self.row]
        change = (self.score >= wanted).long() - (self.common.scores[self.code] >= wanted).long()
        return count.index_add(0, self.row, change)


def bound(score: Tensor, dtype: torch.dtype) -> Tensor:
    """Round up to a precision: what is at least the result, is at least the score."""
    if score.dtype == dtype:
        return score
    rounded = score.to(dtype)
    up = torch.nextafter(rounded, rounded.new_tensor(torch.inf))
    return torch.where(rounded.to(score.dtype) < score, up, rounded)


def refuse_nan(values: Tensor, name: str) -> None:
    """Check that scores ``(B, n)`` are numbers.

    Raises
    ------
    HupError
        One of them is NaN.
    """
    # A row's sum is NaN if one of its scores is (or if it holds both infinities: then look at each).
    if not values.sum(dim=1).isnan().any():
        return
    bad = values.isnan().any(dim=1)
    if bad.any():
        raise HupError(
            f"{name} gave scores that are not numbers (NaN) for {int(bad.sum())} of {len(bad)} sessions of a batch. A "
            f"model in this state ranks nothing: training has probably diverged. Train it again with a lower learning "
            f"rate, or evaluate an earlier checkpoint."
        )


def _true_values(mask: Tensor) -> Tensor:
    """Count the true values of each row; NumPy does it without widening bytes first."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.count_nonzero(mask.numpy(), axis=1).astype(np.int64))
    return mask.sum(dim=1)
