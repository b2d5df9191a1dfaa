"""Structures and functions of ``native/single_model.hpp`` and ``native/single_answer.cpp``, as ctypes knows them."""

from __future__ import annotations

import ctypes

from hup.models.hup.mixture.co_visits import RELATIONS
from hup.nn.single_kernel import Tree

_At, _Number = ctypes.c_void_p, ctypes.c_int64


def _all(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class Attention(ctypes.Structure):
    """Scores of visits."""

    _fields_ = (*_all(_At, "rule signals bias score"), ("n_scores", _Number))


class Near(ctypes.Structure):
    """What is counted near every code by one relation."""

    _fields_ = tuple(_all(_At, "bounds codes counts"))


class Coarse(ctypes.Structure):
    """Vectors in 8 bits a number."""

    _fields_ = tuple(_all(_At, "numbers steps"))


class LevelTables(ctypes.Structure):
    """Tables of one level."""

    _fields_ = (
        *_all(_Number, "size k"),
        ("near", Near * len(RELATIONS)),
        *_all(_At, "totals runs popularity log_popularity"),
        ("pointer", Attention),
        ("neighbors", Attention),
        *_all(_At, "context context_bias part part_bias"),
        ("has", _Number * 4),
        ("parents", _At),
        ("targets", Tree),
        ("vectors", _At),
        ("coarse", Coarse),
        ("reranker", _At),
    )


class RerankerTables(ctypes.Structure):
    """A learned order of the likeliest codes of a level."""

    _fields_ = (
        *_all(_At, "mean spread first first_bias second second_bias last"),
        *_all(_Number, "n_signals hidden most"),
    )


class SimilarTables(ctypes.Structure):
    """Profiles of training sessions."""

    _fields_ = (
        *_all(_At, "kept centers codes bounds"),
        *_all(_Number, "n_clusters size nearest"),
        ("temperature", ctypes.c_float),
    )


class Model(ctypes.Structure):
    """All of a model."""

    _fields_ = (
        ("levels", ctypes.POINTER(LevelTables)),
        *_all(_Number, "n_levels n_categories n_behaviors n_signals n_context hidden most_visits"),
        *_all(_At, "weights similar"),
    )


class Question(ctypes.Structure):
    """The item runs of one session."""

    _fields_ = (
        ("n_runs", _Number),
        *_all(_At, "item categories events dwell behaviors earlier"),
        ("profiles", ctypes.POINTER(_At)),
    )


class Calls:
    """What the kernel can be asked for.

    Parameters
    ----------
    kernel : CDLL
    """

    def __init__(self, kernel: ctypes.CDLL) -> None:
        # The answer itself takes long enough to let other threads go on meanwhile.
        self.answer = kernel.hup_answer
        self.answer.argtypes, self.answer.restype = [ctypes.POINTER(Model), ctypes.POINTER(Question), _At], _At
        short = ctypes.PyDLL(None, handle=kernel._handle)
        self.forget, self.visits, self.own = short.hup_forget, short.hup_visits, short.hup_own
        self.contributions = short.hup_contributions
        self.forget.argtypes, self.forget.restype = [_At], None
        self.contributions.argtypes, self.contributions.restype = [_At, _Number, _At, _Number, *(_At,) * 4], None
        for one in (self.visits, self.own):
            one.argtypes, one.restype = [_At, _Number, _At, _At], _Number
